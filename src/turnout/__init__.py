"""Turnout moves live web traffic onto a new release without dropping a request, and back."""

__version__ = "0.1.0"
