"""What a span that has ended adds to the series. Pure; it reads what was measured, and measures
nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..conversation import totals
from ..conversation.stages import CALLER, base
from ..core.json import JSON
from ..core.span import SpanType
from ..core.values import mapping, mappings, number, text
from . import series
from .series import Observation

_TOOL_TYPES = f"{SpanType.TOOL}:"
_COUNTED = frozenset(
    {
        SpanType.SESSION,
        SpanType.USER_TURN,
        SpanType.ASSISTANT_TURN,
        SpanType.TOOL,
        SpanType.ERROR,
    }
)
LOST = "lost"
"""The outcome of what never ended: its process was killed, or lost the end."""


def counts(type_: str) -> bool:
    """Whether spans of this type add to a series."""
    return type_ in _COUNTED or type_.startswith(_TOOL_TYPES)


def of_span(
    agent: str,
    type_: str,
    name: str,
    status: str,
    payload: Callable[[], JSON],
    result: Callable[[], JSON],
) -> Iterator[Observation]:
    """What a span adds that has ended, once.

    Args:
        agent: The name of the agent that began the call.
        type_: One that :func:`counts`.
        name: The span's name: a tool's is that of the tool.
        payload, result: Read what the span carries. Called only where something of it counts.
    """
    if type_ == SpanType.SESSION:
        outcome = result()
        ended = LOST if outcome.get("lost_end") else status
        yield from _of_call(agent, ended, payload(), outcome)
    elif type_ == SpanType.USER_TURN:
        yield Observation(series.TURNS, (agent, "user"), 1)
    elif type_ == SpanType.ASSISTANT_TURN:
        yield from _of_answer(agent, result())
    elif type_ == SpanType.ERROR:
        source = text(payload().get("source")) or "unknown"
        yield Observation(series.ERRORS, (agent, source), 1)
    else:
        outcome = result()
        ended = LOST if outcome.get("lost_end") else status
        yield Observation(series.TOOL_CALLS, (name, ended), 1)
        yield from _seconds(series.TOOL, (name, ended), outcome.get("duration_ms"))


def call_outcome(payload: JSON) -> str:
    """The outcome of a call whose process is gone, by the payload of its session: ``lost``, unless
    the session had closed and only its job went on."""
    if "closed_at" not in payload:
        return LOST
    return "failed" if payload.get("close_reason") == "error" else "complete"


def _of_call(agent: str, outcome: str, payload: JSON, result: JSON) -> Iterator[Observation]:
    outcome = call_outcome(payload) if outcome == LOST else outcome
    yield Observation(series.CALLS, (agent, outcome), 1)
    for name, key in (
        (series.LOST_SPANS, "lost_spans"),
        (series.TRACER_FAILURES, "tracer_failures"),
    ):
        # Also none: a counter whose first value is not 0 hides its first increase.
        yield Observation(name, (agent,), max(0.0, number(result.get(key)) or 0.0))
    left = number(mapping(result.get("unanswered")).get("turns"))
    if left is not None:  # of a call that was killed, nobody knows
        yield Observation(series.UNANSWERED, (agent,), max(0.0, left))
    pickup = mapping(result.get("pickup"))
    if mapping(pickup.get("basis")).get("to") != CALLER:  # nobody can tell how long it would be
        yield from _seconds(series.PICKUP, (agent,), pickup.get("ms"))


def _of_answer(agent: str, result: JSON) -> Iterator[Observation]:
    yield Observation(series.TURNS, (agent, "agent"), 1)
    yield Observation(series.INTERRUPTIONS, (agent,), result.get("interrupted") is True)
    yield from _seconds(series.BARGE_IN, (), result.get("barge_in_ms"))
    latency = mapping(result.get("latency"))
    perceived = number(latency.get("perceived_ms"))
    if perceived is None or perceived <= 0:  # the agent was heard while the user still spoke
        return
    yield from _seconds(series.DEAD_AIR, (agent,), perceived)
    stages = (
        (base(text(stage.get("name")))[0], ms)
        for stage in mappings(latency.get("stages"))
        if (ms := number(stage.get("ms"))) is not None
    )
    for stage, ms in totals(stages).items():
        yield from _seconds(series.STAGE, (agent, stage), ms)


def _seconds(name: str, labels: tuple[str, ...], ms: object) -> Iterator[Observation]:
    length = number(ms)
    if length is not None and length >= 0:
        yield Observation(name, labels, length / 1000)
