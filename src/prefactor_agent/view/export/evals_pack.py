"""A pack for Prefactor's open evals, which know the span types of other agents: it says what ours
are to them, and which checks make sense of a voice call.

The format is that of schema v1 (``spec/schema/v1`` and ``spec/packs`` of
``prefactor-evals-no-llm-required``): ``span_type_map`` from exact names of types to theirs, and
``evals`` with what each is set to."""

from __future__ import annotations

from collections.abc import Iterable

from ...core.json import JSON
from ...core.span import SpanType
from ...core.values import as_list
from ...stored.span import StoredSpan

_TYPES = {
    SpanType.LLM: "llm_call",
    SpanType.REALTIME: "llm_call",
    SpanType.ASSISTANT_TURN: "output",
    SpanType.HANDOFF: "handoff",
    SpanType.TOOL: "tool_call",
}
SLOWEST_STEP_MS = 10_000
"""A request to a model or a tool that takes longer holds up a caller too long to be normal."""


def tool_types(spans: Iterable[StoredSpan]) -> set[str]:
    """The types of the tools of calls: those that were called, and those that an agent has."""
    found: set[str] = set()
    for span in spans:
        if span.type.startswith(f"{SpanType.TOOL}:"):
            found.add(span.type)
        elif span.parent_id is None:
            names = as_list(span.payload.get("tools"))
            found |= {f"{SpanType.TOOL}:{name}" for name in names if isinstance(name, str)}
    return found


def evals_pack(tools: Iterable[str]) -> JSON:
    """The pack for agents with these types of tools."""
    return {
        "pack": "livekit-voice",
        "version": 1,
        "schema_version": "v1",
        "description": "Checks of voice calls that prefactor-agent has delivered.",
        "span_type_map": {**_TYPES, **dict.fromkeys(sorted(tools), "tool_call")},
        "evals": {
            "core.errors": {},
            "core.loop_detection": {"max_occurrences": 3},
            "core.redundant_tool_calls": {"max_repeats": 2},
            "core.termination_state": {"allow_states": ["complete"]},
            "core.latency_budget": {
                "max_span_ms": SLOWEST_STEP_MS,
                "span_types": ["llm_call", "tool_call"],
            },
            "core.efficiency": {},
            "core.conversation_length": {},
        },
    }
