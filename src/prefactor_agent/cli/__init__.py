"""The command line."""

from .looking import app, main

__all__ = ["app", "main"]
