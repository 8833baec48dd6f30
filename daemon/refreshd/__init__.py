"""Keeps OAuth 2.0 credentials fresh."""

__version__ = "0.1.0"
