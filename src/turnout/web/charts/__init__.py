"""Charts as data: evidence goes in, the geometry that a template draws as SVG comes out.

Pure, and free of markup: paths are in a square of 1000 by 1000 that the page stretches, and
everything with text is placed by percent, so that letters keep their size at any width.
"""
