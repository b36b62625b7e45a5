"""The command line: reads what a person or a script wants, asks the server over HTTP, shows it.

Nothing of the server is imported here; the documents are those of :mod:`turnout.wire.api`.
Commands import their machinery inside their functions, so that ``turnout --help`` is quick.
"""
