"""Tracing for LiveKit voice agents.

Change ``Agent`` to :class:`TracedAgent` and ``@function_tool`` to :func:`traced_tool`; run the
agent as before; look at its calls with ``prefactor-agent show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import compat, livekit_version
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
    from .tracing import flush, off_the_record, record_quality
else:
    # What an agent uses is imported at its first use: it brings livekit.agents, which takes two
    # seconds that the command line, which only reads, would spend for nothing.
    def __getattr__(name: str) -> Any:
        from importlib import import_module

        module = _LAZY.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        livekit_version.require_livekit()
        value = globals()[name] = getattr(import_module(module, __name__), name)
        if name == "PrefactorLiveKitSession":  # the agents of its calls are LiveKit's own
            import_module(".ahead", __name__).import_for_calls(have_token=True)
        return value


_LAZY = {
    "BudgetExceeded": ".record.session.budgets",
    "TracedAgent": ".agent",
    "TracedAgentTask": ".agent",
    "flush": ".tracing",
    "off_the_record": ".tracing",
    "record_quality": ".tracing",
    "traced_tool": ".tools",
    **compat.NAMES,
}

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022  # in the order in which a user meets them
    "TracedAgent",
    "TracedAgentTask",
    "traced_tool",
    "configure",
    "ConfigurationError",
    "Settings",
    "BudgetExceeded",
    "flush",
    "record_quality",
    "off_the_record",
    # Of prefactor_livekit:
    "PrefactorLiveKitSession",
    "LiveKitToolSchemaConfig",
    "compile_livekit_agent_schema",
    "register_livekit_schemas",
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
]
