"""The span types as a call is registered with them at Prefactor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from prefactor_core import SchemaRegistry  # type: ignore[import-untyped]
from pydantic_core import to_json

from ..core.json import JSON
from ..stored.figures import FIGURES
from . import parts, risk, templates
from .entry import ToolSchema
from .types import BASE_TYPES, TOOL_TYPE, TYPES

TOOL_PREFIX = "livekit:tool:"
"""Of the span types of single tools."""
QUALITY = "livekit:call"
"""The name of the schema of how a call went."""

_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
QUALITY_SCHEMA: JSON = {
    "type": "object",
    "properties": {
        **{one.name: _COUNT if one.counts else _NUMBER for one in FIGURES},
        "cost_usd": _NUMBER,
        "cost_partial": {"const": True},
        "prompt_tokens": _COUNT,
        "completion_tokens": _COUNT,
        "total_tokens": _COUNT,
        "user_speech_seconds": _NUMBER,
        "agent_speech_seconds": _NUMBER,
        "outcome": {"enum": ["success", "fail"]},
        "evaluations": _COUNT,
        "evaluation_score": {**_NUMBER, "maximum": 1},
    },
    "additionalProperties": False,
}

_RESULT = parts.keys(outputs="what it returned", error="what it raised")
"""Of a single tool; the rest is as in the type of all tools."""


def registry(
    tool_types: Iterable[str] = (), tools: Mapping[str, ToolSchema] | None = None
) -> SchemaRegistry:
    """All span types, those of single tools (``livekit:tool:<name>``) among them."""
    made = SchemaRegistry()
    for type_ in TYPES:
        made.register_type(**type_.entry())
    for name in sorted({*tool_types} - BASE_TYPES):
        said = (tools or {}).get(name.removeprefix(TOOL_PREFIX), ToolSchema())
        made.register_type(
            name,
            said.input_schema or said.params(),
            said.result_schema or _RESULT,
            title=f"Tool {name.removeprefix(TOOL_PREFIX)}",
            description=said.description or TOOL_TYPE.description,
            template=said.summary(),
            data_risk=said.data_risk or TOOL_TYPE.risk,
        )
    made.register_quality_schema(
        QUALITY,
        QUALITY_SCHEMA,
        title="Call quality",
        description="How a call went: counts, dead air, tokens, seconds of speech.",
        template=templates.CALL,
        data_risk=risk.MEASURES,
    )
    return made


def agent_schema_version(
    tool_types: Iterable[str] = (),
    tools: Mapping[str, ToolSchema] | None = None,
    chosen: JSON | None = None,
    quality: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    marked: bool = False,
) -> JSON:
    """The schemas as a call is registered with them. Their name is a hash of them, since Prefactor
    lets a name mean one set of schemas for ever.

    Args:
        chosen: What the program's own ``SchemaRegistry`` holds, as it would register it: its word
            on a type wins.
        quality: The program's own quality schemas, by name.
        marked: Values in the spans are marked as sensitive.
    """
    made = registry(tool_types, tools)
    for name, entry in (quality or {}).items():
        made.register_quality_schema(name, **{**entry, "schema": dict(entry["schema"])})
    body: JSON = made.to_agent_schema_version("")
    for entry in body["span_type_schemas"] if marked else ():
        entry["template"] = templates.reading_marks(entry["template"])
    if chosen:
        body = _joined(chosen, body)
    fingerprint = hashlib.sha256(to_json(body)).hexdigest()[:20]
    return {**body, "external_identifier": f"prefactor-agent-{fingerprint}"}


def _joined(chosen: JSON, ours: JSON) -> JSON:
    """What the program chose, and ours for the types that it says nothing of."""
    # A registry lists a type with all that belongs to it, or its schemas alone, by its name.
    flat = {*chosen.get("span_schemas", ()), *chosen.get("span_result_schemas", ())}
    joined = {**ours, **chosen}
    for part in ("span_type_schemas", "quality_schemas"):
        said = chosen.get(part, [])
        names = {*flat, *(entry["name"] for entry in said)}
        joined[part] = [*said, *(entry for entry in ours[part] if entry["name"] not in names)]
    return joined
