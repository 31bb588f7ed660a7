"""The facts of an assistant's turn at one moment, as a value that nothing changes any more.

They are taken on the event loop, when the turn ends or somebody waits, and are read on the
journal's thread: what comes of them is the same whoever asks first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...conversation import Question
from ...core.clock import now_ns
from ...core.json import JSON
from ...core.span import Span
from ..spans.stream import LLMOutput, Stream
from .turn import AssistantTurn, HeardVoice, MeasuredRequest, Resumed, Segment


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """An :class:`AssistantTurn` as it was. Its streams may still wait to be absorbed."""

    id: str
    source: str
    created_ns: int
    ended_ns: int | None
    question: str | None
    latest: str | None
    from_hook: bool
    by_program: bool
    screened_ns: int | None
    inside: str | None
    during: Question | None
    user_until_ns: int | None
    came_out: bool
    cut_short: bool
    caused_by: str | None
    tool_reply: bool
    entered: tuple[int | None, int | None] | None
    left_ns: int | None
    resumed: Resumed | None
    previous_ended_ns: int | None
    outputs: Sequence[LLMOutput]
    texts: Sequence[Stream]
    voices: Sequence[HeardVoice]
    measured_models: Sequence[MeasuredRequest]
    measured_voices: Sequence[MeasuredRequest]
    generations: Sequence[int]
    tools: Sequence[Span]
    segments: Sequence[Segment]
    pauses: Sequence[tuple[int, str]]
    spoke_over_ns: int | None
    spoke_over_until_ns: int | None
    spoken: Sequence[str]
    message: JSON | None
    uncommitted: bool
    tools_executed: int
    declined: bool
    item_metrics: JSON
    measured: Mapping[str, Sequence[Callable[[], JSON]]]
    error: JSON | None
    interrupted_by: str | None
    preemptive: str | None
    moments: Mapping[str, int]


def facts_of(turn: AssistantTurn) -> TurnFacts:
    """The facts of a turn, as they are now."""
    for heard in turn.voices:
        heard.voice.catch_up()
    over = turn.user_spoke_over
    entered: Any = tuple(turn.entered) if turn.entered is not None else None
    return TurnFacts(
        id=turn.span.id,
        source=turn.span.payload["source"],
        created_ns=turn.moments["created"],
        ended_ns=turn.ended_ns,
        question=turn.question.span.id if turn.question is not None else None,
        latest=turn.latest.span.id if turn.latest is not None else None,
        from_hook=turn.from_hook,
        by_program=turn.by_program,
        screened_ns=turn.screened_ns,
        inside=turn.inside,
        during=_as_understood(turn),
        user_until_ns=turn.heard_over.moments.get("speech_ended") if turn.heard_over else None,
        came_out=turn.came_out,
        cut_short=turn.cut_short,
        caused_by=turn.caused_by,
        tool_reply=turn.replies_for is not None and turn.caused_by == turn.replies_for.span.id,
        entered=entered,
        left_ns=turn.left_ns,
        resumed=turn.resumed,
        previous_ended_ns=turn.previous_ended_ns,
        outputs=tuple(turn.outputs),
        texts=tuple(turn.texts),
        voices=tuple(turn.voices),
        measured_models=tuple(turn.measured_models),
        measured_voices=tuple(turn.measured_voices),
        generations=tuple(turn.generations),
        tools=tuple(turn.tool_spans),
        segments=tuple(turn.segments),
        pauses=tuple(turn.pauses),
        spoke_over_ns=turn.user_spoke_over_ns,
        spoke_over_until_ns=over.moments.get("speech_ended") if over is not None else None,
        spoken=tuple(turn.spoken),
        message=turn.message,
        uncommitted=turn.uncommitted,
        tools_executed=turn.tools_executed,
        declined=turn.declined,
        item_metrics=dict(turn.item_metrics),
        measured={kind: tuple(told) for kind, told in turn.measured.items()},
        error=turn.error,
        interrupted_by=turn.interrupted_by,
        preemptive=turn.preemptive,
        moments=dict(turn.moments),
    )


def _as_understood(turn: AssistantTurn) -> Question | None:
    """The question that was open when the speech was first heard. Whether it was one at all is
    known later: of a cough no words come."""
    during, user = turn.during, turn.heard_over
    if during is None or user is None or user.has_words(now_ns()):
        return during
    return replace(during, has_words=False)
