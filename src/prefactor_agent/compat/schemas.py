"""The schemas under the names of ``prefactor_livekit``, for programs that were written for it.

They are a superset of the schemas of ``prefactor_livekit`` 0.1.5: its span types with its keys and
their types, and more of each. ``tests/compat`` compares the two."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from prefactor_core import SchemaRegistry  # type: ignore[import-untyped]

from ..core.json import JSON
from ..schemas.catalog import TOOL_PREFIX
from ..schemas.catalog import registry as catalog
from ..schemas.types import TOOL_TYPE, TYPES

SCHEMA_NAME = "livekit-schema"

ANY_OBJECT: JSON = {"type": "object", "additionalProperties": True}
_NUMBER, _STRING, _BOOLEAN = {"type": "number"}, {"type": "string"}, {"type": "boolean"}
_KINDS: dict[str, JSON] = {
    **dict.fromkeys(
        [
            "name",
            "agent_name",
            "session_class",
            "agent_class",
            "tool_name",
            "call_id",
            "group_id",
            "request_id",
            "label",
            "model_name",
            "provider",
            "source",
            "error_type",
            "message",
            "transcript",
            "speaker_id",
            "language",
            "actor",
            "old_state",
            "new_state",
            "event_type",
        ],
        _STRING,
    ),
    **dict.fromkeys(("created_at", "started_at", "finished_at", "timestamp"), _NUMBER),
    **dict.fromkeys(("user_initiated", "is_final", "is_error", "interrupted"), _BOOLEAN),
    **dict.fromkeys(
        ("metadata", "usage", "conversation", "error", "metrics", "outputs", "inputs"), ANY_OBJECT
    ),
    "turn_index": {"type": "integer"},
    "status": {"type": "string", "enum": ["completed", "failed", "cancelled"]},
}
"""The schema of each key of ``prefactor_livekit``."""


@dataclass(frozen=True)
class LiveKitToolSchemaConfig:
    """The schema of one tool: the type of its spans, and what they hold.

    Args:
        span_type: Type of the tool's spans; ``order`` and ``tool:order`` stand for
            ``livekit:tool:order``.
        input_schema: JSON schema of the arguments.
        result_schema: JSON schema of the whole result of the span.
    """

    span_type: str
    input_schema: dict[str, Any]
    result_schema: dict[str, Any] = field(default_factory=lambda: deepcopy(ANY_OBJECT))


_BUILT_IN = {type_.name: type_.entry() for type_ in TYPES}
ToolSchemas = Mapping[str, LiveKitToolSchemaConfig | Mapping[str, Any]]


def compile_livekit_agent_schema(
    tool_schemas: ToolSchemas | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Compile built-in and tool-specific LiveKit schemas.

    Args:
        tool_schemas: By tool name, the schema of the tool.

    Returns:
        The schemas as they are registered with a call, and the span type of each of these tools.

    Raises:
        ValueError: The schema of a tool is not valid, or two tools share a span type.
    """
    span_types: dict[str, str] = {}
    entries = [_typed(type_.entry()) for type_ in TYPES]
    for name, given in (tool_schemas or {}).items():
        config = _checked(name, given)
        type_ = span_type(config.span_type)
        if type_ in span_types.values():
            other = next(tool for tool, taken in span_types.items() if taken == type_)
            raise ValueError(f'tool_schemas.{name}.span_type conflicts with "{other}"')
        span_types[name] = type_
        entries.append(_tool(type_, config))
    return {"external_identifier": SCHEMA_NAME, "span_type_schemas": entries}, span_types


def register_livekit_schemas(
    registry: SchemaRegistry, tool_schemas: ToolSchemas | None = None
) -> dict[str, str]:
    """Register LiveKit schemas in a schema registry, including the schema of a call's quality.

    Args:
        registry: The registry; its other schemas stay.
        tool_schemas: By tool name, the schema of the tool.

    Returns:
        The span type of each of these tools.

    Raises:
        ValueError: The schema of a tool is not valid, or a type is registered already.
    """
    compiled, span_types = compile_livekit_agent_schema(tool_schemas=tool_schemas)
    for entry in compiled["span_type_schemas"]:
        registry.register_type(**entry)
    registry.register_quality_schema(**_quality())
    return span_types


def opened(registered: JSON) -> JSON:
    """The schemas of a registry. Built-in types that the program has not changed are as open as in
    :mod:`..schemas.types`."""
    entries = registered.get("span_type_schemas", [])
    return {
        **registered,
        "span_type_schemas": [
            _BUILT_IN[name] if (name := entry["name"]) in _BUILT_IN and _is_ours(entry) else entry
            for entry in entries
        ],
    }


def _is_ours(entry: JSON) -> bool:
    return entry == _typed(_BUILT_IN[entry["name"]])


def span_type(given: str) -> str:
    """The full name of a tool's span type; programs may leave out its beginning."""
    given = given.strip()
    if given.startswith(TOOL_PREFIX):
        return given
    return f"livekit:{given}" if given.startswith("tool:") else TOOL_PREFIX + given


def _typed(entry: JSON) -> JSON:
    entry = deepcopy(entry)
    for part in ("params_schema", "result_schema"):
        for key, schema in entry[part]["properties"].items():
            schema.update(deepcopy(_KINDS.get(key, {})))
    properties = entry["params_schema"]["properties"]
    if "type" in properties:
        properties["type"].update({"type": "string", "const": entry["name"]})
    return entry


def _tool(type_: str, config: LiveKitToolSchemaConfig) -> JSON:
    entry = _typed({**deepcopy(TOOL_TYPE.entry()), "name": type_})
    entry["params_schema"]["properties"]["inputs"] = deepcopy(config.input_schema)
    return {
        **entry,
        "result_schema": deepcopy(config.result_schema),
        "title": type_,
        "description": f"LiveKit tool span for {type_}",
    }


def _checked(
    name: str, given: LiveKitToolSchemaConfig | Mapping[str, Any]
) -> LiveKitToolSchemaConfig:
    where = f"Invalid tool_schemas.{name}"
    if isinstance(given, Mapping):
        if not isinstance(given.get("span_type"), str):
            raise ValueError(f"{where}: expected an object with span_type")
        given = LiveKitToolSchemaConfig(
            given["span_type"],
            given.get("input_schema"),  # type: ignore[arg-type]  # looked at below
            given.get("result_schema", ANY_OBJECT),
        )
    elif not isinstance(given, LiveKitToolSchemaConfig):
        raise ValueError(f"{where}: expected an object with span_type")
    if not given.span_type.strip():
        raise ValueError(f"{where}.span_type: expected a non-empty string")
    for part in ("input_schema", "result_schema"):
        if not isinstance(getattr(given, part), dict):
            raise ValueError(f"{where}.{part}: expected an object")
    return given


def _quality() -> JSON:
    [entry] = catalog().to_agent_schema_version("")["quality_schemas"]
    return deepcopy(dict(entry))


DEFAULT_LIVEKIT_AGENT_SCHEMA = compile_livekit_agent_schema()[0]
_PARAMS: dict[str, JSON] = {
    entry["name"]: entry["params_schema"]
    for entry in DEFAULT_LIVEKIT_AGENT_SCHEMA["span_type_schemas"]
}
LIVEKIT_SESSION_SCHEMA = _PARAMS["livekit:session"]
LIVEKIT_USER_TURN_SCHEMA = _PARAMS["livekit:user_turn"]
LIVEKIT_ASSISTANT_TURN_SCHEMA = _PARAMS["livekit:assistant_turn"]
LIVEKIT_TOOL_SCHEMA = _PARAMS["livekit:tool"]
LIVEKIT_LLM_SCHEMA = _PARAMS["livekit:llm"]
LIVEKIT_STT_SCHEMA = _PARAMS["livekit:stt"]
LIVEKIT_TTS_SCHEMA = _PARAMS["livekit:tts"]
LIVEKIT_STATE_SCHEMA = _PARAMS["livekit:state"]
LIVEKIT_ERROR_SCHEMA = _PARAMS["livekit:error"]
