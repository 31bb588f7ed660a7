"""The span of a tool call, whoever runs the tool: an input span while it runs, and a result span
below it when it is over."""

from __future__ import annotations

import time
from typing import Any

from ...core.json import JSON, without_none
from ...core.span import Span, SpanType, Status
from ..spans.outcome import PREFACTOR_STATUS
from ..spans.tree import SpanTree
from ..turns.state import Scope
from ..turns.turn import AssistantTurn


def begin_tool(
    scope: Scope,
    name: str,
    turn: AssistantTurn | None,
    parent: Span | None,
    at: int,
    inputs: Any,
    *,
    usual_type: str = SpanType.TOOL,
    **more: Any,
) -> Span:
    """Begin the input span of a tool.

    Args:
        turn: The turn that the call belongs to.
        parent: The span that it lies in, which may be another tool's; ``None``: the session.
        usual_type: The type of the span, where the program chose none for this tool.
        more: What else its payload says: ``call_id``, ``group_id``, ``from_events``, ``run_by``,
            ``otel``.
    """
    type_ = scope.state.tool_type(name, str(usual_type))
    return scope.spans.begin(
        type_,
        name,
        parent,
        without_none(
            {
                "name": name,
                "type": type_,
                "tool_name": name,
                "call_id": more.get("call_id"),
                "group_id": more.get("group_id"),
                "run_by": more.get("run_by"),
                "turn_index": turn.index if turn is not None else None,
                "from_events": more.get("from_events"),
                "inputs": inputs,
                "otel": more.get("otel"),
                "created_at": round(time.time(), 6),
                "metadata": {},
            }
        ),
        at=at,
    )


def end_tool(
    spans: SpanTree, span: Span, status: Status, result: JSON, at: int, *, timed: bool = True
) -> None:
    """End the input span of a tool, with the result span below it. The spans of a tool that went on
    after its turn was over end with the turn; the result says when the tool was over.

    Args:
        timed: It is known when the tool began.
    """
    result = {"status": PREFACTOR_STATUS[status], **result}
    if timed:
        result["duration_ms"] = round((at - span.started_ns) / 1e6, 3)
    latest = spans.latest_end(span)
    if latest is not None and at > latest:
        result["finished_us"] = spans.offset_us(at)
        at = latest
    result_span = spans.begin(
        SpanType.TOOL_RESULT,
        span.name,
        span,
        without_none(
            {
                "name": span.name,
                "type": SpanType.TOOL_RESULT.value,
                "tool_name": span.name,
                "call_id": span.payload.get("call_id"),
                "from_events": span.payload.get("from_events"),
                "run_by": span.payload.get("run_by"),
            }
        ),
        at=at,
    )
    spans.end(result_span, status, _without_stack(result), at=at)
    spans.end(span, status, result, at=at)


def _without_stack(result: JSON) -> JSON:
    """What the result span tells of a failure: where it was is on the input span."""
    if "error" not in result:
        return result
    error = {key: value for key, value in result["error"].items() if key != "stacktrace"}
    return {**result, "error": error}
