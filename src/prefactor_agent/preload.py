"""Everything that a call needs, for the process that starts the processes of calls:

.. code-block:: python

    server = AgentServer(preload_modules=["prefactor_agent.preload"])

On Linux LiveKit forks the process of each call from one that has imported these modules
(``multiprocessing``'s fork server), in newer versions the program's own choice among them
(``ServerOptions.preload_modules`` in livekit/agents/worker.py). So they are imported once, their
memory is shared, and they are frozen for the garbage collector, which then does not walk them in a
call. Elsewhere LiveKit ignores the option, and older versions do not know it: there each process
imports what it needs with the agent's file (:mod:`.ahead`).

Importing this module starts no thread, opens no file and reads no setting. It must stay so: threads
and connections do not go through a fork, and the settings belong to the agent's file, which the new
process imports later. As it may want any target, all are imported."""

from __future__ import annotations

from . import agent, tools
from .ahead import (
    import_for_archive,
    import_for_journal,
    import_for_otlp,
    import_for_prefactor,
)
from .compat import session

__all__ = ["agent", "session", "tools"]
"""Imported for what they bring: LiveKit, and all that records the calls of traced agents and of
plain ones."""

import_for_journal()
import_for_prefactor()
import_for_otlp()
import_for_archive()
