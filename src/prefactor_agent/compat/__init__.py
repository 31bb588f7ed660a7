"""The names of ``prefactor_livekit``, for programs that were written for it."""

_SCHEMAS = ".compat.schemas"
NAMES = {
    "DEFAULT_LIVEKIT_AGENT_SCHEMA": _SCHEMAS,
    "LIVEKIT_ASSISTANT_TURN_SCHEMA": _SCHEMAS,
    "LIVEKIT_ERROR_SCHEMA": _SCHEMAS,
    "LIVEKIT_LLM_SCHEMA": _SCHEMAS,
    "LIVEKIT_SDK_HEADER_ENTRY": ".compat.session",
    "LIVEKIT_SESSION_SCHEMA": _SCHEMAS,
    "LIVEKIT_STATE_SCHEMA": _SCHEMAS,
    "LIVEKIT_STT_SCHEMA": _SCHEMAS,
    "LIVEKIT_TOOL_SCHEMA": _SCHEMAS,
    "LIVEKIT_TTS_SCHEMA": _SCHEMAS,
    "LIVEKIT_USER_TURN_SCHEMA": _SCHEMAS,
    "LiveKitToolSchemaConfig": _SCHEMAS,
    "PrefactorLiveKitSession": ".compat.session",
    "compile_livekit_agent_schema": _SCHEMAS,
    "register_livekit_schemas": _SCHEMAS,
}
"""In which module of the package each of them is; ``prefactor_agent`` has them all."""
