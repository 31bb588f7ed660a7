"""Calls over a real LiveKit server, for tests: server, models, Prefactor, workers and callers.

`Site` has all that is shared; `site.worker(agent)` starts a worker as a user would, and
`site.phone(room)` gives a caller in a room. The processes are those of `samples/offline`.
"""

from .site import Site, together
from .trace import Trace, trace_of
from .worker import Worker

__all__ = ["Site", "Trace", "Worker", "together", "trace_of"]
