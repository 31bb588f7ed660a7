"""Prefactor's ingestion API on the loopback, as strict as the contract is known.

Strict on purpose: where the contract leaves something open, the stricter reading is taken, so that
a client that satisfies this server does not depend on the service being lenient. `process` is the
door for tests; everything else runs in the server's own process.
"""

from .process import FaultHandle, PrefactorServer, ServerError, Span

__all__ = ["FaultHandle", "PrefactorServer", "ServerError", "Span"]
