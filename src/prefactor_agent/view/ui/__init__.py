"""``prefactor-agent ui``: all calls in the browser, from a small server on this machine."""

from .server import serve

__all__ = ["serve"]
