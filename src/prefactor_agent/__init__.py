"""Tracing for LiveKit voice agents.

Change ``Agent`` to :class:`TracedAgent` and ``@function_tool`` to :func:`traced_tool`; run the
agent as before; look at its calls with ``prefactor-agent show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import ConfigurationError, Settings, configure

if TYPE_CHECKING:
    from .agent import TracedAgent, TracedAgentTask
    from .record.budgets import BudgetExceeded
    from .tools import traced_tool
else:
    # What an agent uses is imported at its first use: it brings livekit.agents, which takes two
    # seconds that the command line, which only reads, would spend for nothing.
    def __getattr__(name: str) -> Any:
        from importlib import import_module

        module = _LAZY.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(module, __name__), name)
        return value


_LAZY = {
    "BudgetExceeded": ".record.budgets",
    "TracedAgent": ".agent",
    "TracedAgentTask": ".agent",
    "traced_tool": ".tools",
}

__version__ = "0.1.0"

__all__ = [
    "BudgetExceeded",
    "ConfigurationError",
    "Settings",
    "TracedAgent",
    "TracedAgentTask",
    "configure",
    "traced_tool",
]
