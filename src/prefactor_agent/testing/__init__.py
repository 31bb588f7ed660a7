"""Assert on the trace of an agent's test, and play a recorded call to a changed agent.

The pytest fixture ``prefactor_trace`` is there once the package is installed; see
``docs/testing.md``. Importing this is cheap: what needs LiveKit is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..replay import NotReplayableError
    from .player import Replay, replay
    from .results import Assistant, Call, Failed, Latency, Pickup, ToolCall, Tools, Turn, User
    from .script import ReplayMismatch
    from .trace import Trace, collecting
else:

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        module = _LAZY.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(module, __name__), name)
        return value


_LAZY = {
    "Assistant": ".results",
    "Call": ".results",
    "Failed": ".results",
    "Latency": ".results",
    "NotReplayableError": "..replay",
    "Pickup": ".results",
    "Replay": ".player",
    "ReplayMismatch": ".script",
    "ToolCall": ".results",
    "Tools": ".results",
    "Trace": ".trace",
    "Turn": ".results",
    "User": ".results",
    "collecting": ".trace",
    "replay": ".player",
}

__all__ = [
    "Assistant",
    "Call",
    "Failed",
    "Latency",
    "NotReplayableError",
    "Pickup",
    "Replay",
    "ReplayMismatch",
    "ToolCall",
    "Tools",
    "Trace",
    "Turn",
    "User",
    "collecting",
    "replay",
]
