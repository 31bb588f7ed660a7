"""Tracing for LiveKit voice agents.

Change ``Agent`` to :class:`TracedAgent` and ``@function_tool`` to :func:`traced_tool`; run the
agent as before; look at its calls with ``prefactor-agent show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import ConfigurationError, Settings, configure

if TYPE_CHECKING:
    from .agent import TracedAgent, TracedAgentTask
    from .compat.schemas import (
        DEFAULT_LIVEKIT_AGENT_SCHEMA,
        LIVEKIT_ASSISTANT_TURN_SCHEMA,
        LIVEKIT_ERROR_SCHEMA,
        LIVEKIT_LLM_SCHEMA,
        LIVEKIT_SESSION_SCHEMA,
        LIVEKIT_STATE_SCHEMA,
        LIVEKIT_STT_SCHEMA,
        LIVEKIT_TOOL_SCHEMA,
        LIVEKIT_TTS_SCHEMA,
        LIVEKIT_USER_TURN_SCHEMA,
        LiveKitToolSchemaConfig,
        compile_livekit_agent_schema,
        register_livekit_schemas,
    )
    from .compat.session import LIVEKIT_SDK_HEADER_ENTRY, PrefactorLiveKitSession
    from .record.session.budgets import BudgetExceeded
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
    "BudgetExceeded": ".record.session.budgets",
    "DEFAULT_LIVEKIT_AGENT_SCHEMA": ".compat.schemas",
    "LIVEKIT_ASSISTANT_TURN_SCHEMA": ".compat.schemas",
    "LIVEKIT_ERROR_SCHEMA": ".compat.schemas",
    "LIVEKIT_LLM_SCHEMA": ".compat.schemas",
    "LIVEKIT_SDK_HEADER_ENTRY": ".compat.session",
    "LIVEKIT_SESSION_SCHEMA": ".compat.schemas",
    "LIVEKIT_STATE_SCHEMA": ".compat.schemas",
    "LIVEKIT_STT_SCHEMA": ".compat.schemas",
    "LIVEKIT_TOOL_SCHEMA": ".compat.schemas",
    "LIVEKIT_TTS_SCHEMA": ".compat.schemas",
    "LIVEKIT_USER_TURN_SCHEMA": ".compat.schemas",
    "LiveKitToolSchemaConfig": ".compat.schemas",
    "PrefactorLiveKitSession": ".compat.session",
    "TracedAgent": ".agent",
    "TracedAgentTask": ".agent",
    "compile_livekit_agent_schema": ".compat.schemas",
    "register_livekit_schemas": ".compat.schemas",
    "traced_tool": ".tools",
}

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_LIVEKIT_AGENT_SCHEMA",
    "LIVEKIT_ASSISTANT_TURN_SCHEMA",
    "LIVEKIT_ERROR_SCHEMA",
    "LIVEKIT_LLM_SCHEMA",
    "LIVEKIT_SDK_HEADER_ENTRY",
    "LIVEKIT_SESSION_SCHEMA",
    "LIVEKIT_STATE_SCHEMA",
    "LIVEKIT_STT_SCHEMA",
    "LIVEKIT_TOOL_SCHEMA",
    "LIVEKIT_TTS_SCHEMA",
    "LIVEKIT_USER_TURN_SCHEMA",
    "BudgetExceeded",
    "ConfigurationError",
    "LiveKitToolSchemaConfig",
    "PrefactorLiveKitSession",
    "Settings",
    "TracedAgent",
    "TracedAgentTask",
    "compile_livekit_agent_schema",
    "configure",
    "register_livekit_schemas",
    "traced_tool",
]
