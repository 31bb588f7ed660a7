"""Tracing for LiveKit voice agents.

Change ``Agent`` to :class:`TracedAgent` and ``@function_tool`` to :func:`traced_tool`; run the
agent as before; look at its calls with ``prefactor-agent show``."""

from __future__ import annotations

from .agent import TracedAgent, TracedAgentTask
from .config import ConfigurationError, Settings, configure
from .record.budgets import BudgetExceeded
from .tools import traced_tool

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
