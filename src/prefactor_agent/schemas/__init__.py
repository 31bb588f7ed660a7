"""The span types: what they are called, what they hold, and how Prefactor is told."""

from ..compat.schemas import (
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
from .catalog import QUALITY, TOOL_PREFIX, agent_schema_version, registry
from .types import BASE_TYPES, ToolSchema

__all__ = [
    "BASE_TYPES",
    "DEFAULT_LIVEKIT_AGENT_SCHEMA",
    "LIVEKIT_ASSISTANT_TURN_SCHEMA",
    "LIVEKIT_ERROR_SCHEMA",
    "LIVEKIT_LLM_SCHEMA",
    "LIVEKIT_SESSION_SCHEMA",
    "LIVEKIT_STATE_SCHEMA",
    "LIVEKIT_STT_SCHEMA",
    "LIVEKIT_TOOL_SCHEMA",
    "LIVEKIT_TTS_SCHEMA",
    "LIVEKIT_USER_TURN_SCHEMA",
    "QUALITY",
    "TOOL_PREFIX",
    "LiveKitToolSchemaConfig",
    "ToolSchema",
    "agent_schema_version",
    "compile_livekit_agent_schema",
    "register_livekit_schemas",
    "registry",
]
