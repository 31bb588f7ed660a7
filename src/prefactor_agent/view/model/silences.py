"""The silences of a call: how long the caller waited for each answer, and what for.

Pure. What was recorded (docs/latency.md) counts: a speech that has ended and has no latency ended
no silence. Only where it could not be recorded (the process was killed, or an older version wrote
the call) the silence is worked out of the moments that its spans have (:mod:`.facts`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ...conversation import (
    UNATTRIBUTED,
    first_sound_after,
    latency_of,
    lengths,
    median,
    totals,
)
from ...conversation.stages import LEADING_SILENCE
from ...core.json import JSON
from ...core.values import as_int, mapping, mappings, number, text
from . import stagenames
from .calltree import CallTree
from .facts import timeline_near
from .moments import ENDS, user_ended, words_began
from .sounds import heard_answers
from .turns import Node, Turn, typed, unfinished


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    ms: float

    @property
    def label(self) -> str:
        return stagenames.label(self.name)


def slowest_of(found: Sequence[Stage]) -> Stage | None:
    """What most of a stretch of time was spent on. A stage that came more than once counts with its
    sum."""
    took = totals((stage.name, stage.ms) for stage in found)
    name = max(took, key=lambda name: took[name], default=None)
    return Stage(name, took[name]) if name is not None and took[name] > 0 else None


@dataclass(frozen=True)
class Silence:
    """The dead air before one answer: from the caller's last sound to the agent's first. In a typed
    turn, from the message to the first words."""

    turn: Turn
    """The turn of the question. (Of a speech that answers none, its own.)"""
    answer: Node
    """The speech that ended it: the answer, or what was said before the answer was there."""
    begins_us: int
    """Microseconds since the Unix epoch."""
    ms: float
    stages: tuple[Stage, ...]
    """They follow each other and sum to it."""
    over_budget: dict[str, float]
    """How long each took that was over its budget, in milliseconds: ``perceived``, or a stage."""
    budgets: dict[str, float]
    """How long each may take at most, in milliseconds, as it was set for the call."""
    derived: bool = False
    """It was not measured, but worked out from the moments of the turn."""
    audible: bool = True
    """Whether somebody was listening: a typed turn has nothing to hear."""
    answer_ms: float | None = None
    """How long the question's own answer took, if something else was said before it."""

    @property
    def us(self) -> int:
        return round(self.ms * 1000)

    @property
    def ends_us(self) -> int:
        return self.begins_us + self.us

    @property
    def slowest(self) -> Stage | None:
        """What most of it was spent on."""
        return slowest_of(self.stages)


@dataclass(frozen=True)
class Silences:
    """All silences of a call, in the order of its turns."""

    all: tuple[Silence, ...]

    def before(self, answer: Node) -> Silence | None:
        """The one that an answer ended."""
        return self._by_answer.get(answer.span.id)

    def of(self, turn: Turn) -> Silence | None:
        """The one after a turn's question."""
        return self._by_turn.get(turn.number)

    @cached_property
    def _by_answer(self) -> dict[str, Silence]:
        return {silence.answer.span.id: silence for silence in self.all}

    @cached_property
    def _by_turn(self) -> dict[int, Silence]:
        # From the last to the first, so that the first of a turn is what stays.
        return {silence.turn.number: silence for silence in reversed(self.all)}

    @cached_property
    def worst(self) -> Silence | None:
        return max(self.all, key=lambda silence: silence.ms, default=None)

    @cached_property
    def median_ms(self) -> float | None:
        return round(median([silence.ms for silence in self.all]), 3) if self.all else None

    @cached_property
    def worst_answer_ms(self) -> float | None:
        """The longest wait for an answer that something else was said before."""
        waits = [silence.answer_ms for silence in self.all if silence.answer_ms is not None]
        return max(waits, default=None)

    @cached_property
    def over_budget(self) -> int:
        return sum(bool(silence.over_budget) for silence in self.all)

    @cached_property
    def stage_names(self) -> list[str]:
        """The stages that occur, in the order in which they follow each other."""
        seen = dict.fromkeys(stage.name for silence in self.all for stage in silence.stages)
        return sorted(seen, key=stagenames.place)


class Recorded(NamedTuple):
    """The latency of a speech, as it was recorded."""

    perceived_ms: float
    """0: the agent was heard while the user still spoke. That is no silence."""
    stages: tuple[Stage, ...]
    basis: str
    """What the beginning is based on."""
    over_budget: JSON
    """By name, in seconds."""
    at_us: int | None = None
    """When it begins, from the start of the session on; ``None``: an older version wrote it."""


def recorded(answer: Node) -> Recorded | None:
    """The recorded latency of a speech; ``None``: it ended no silence, or it was not measured."""
    latency = mapping(answer.span.result.get("latency"))
    perceived = number(latency.get("perceived_ms"))
    if perceived is None:
        return None
    return Recorded(
        perceived,
        tuple(
            Stage(text(stage.get("name")) or UNATTRIBUTED, max(0.0, ms))
            for stage in mappings(latency.get("stages"))
            if (ms := number(stage.get("ms"))) is not None
        ),
        text(mapping(latency.get("basis")).get("from")),
        mapping(latency.get("over_budget")),
        as_int(latency.get("at_us")),
    )


def _is_recorded(answer: Node) -> bool:
    """Whether a speech has a recorded latency. Asked of each many times: what is in it costs more
    to read."""
    return number(mapping(answer.span.result.get("latency")).get("perceived_ms")) is not None


def silences(call: CallTree) -> Silences:
    """All silences of a call."""
    found = [*_all_recorded(call), *_all_derived(call)]
    return Silences(tuple(sorted(found, key=lambda silence: silence.turn.number)))


def needs_streams(call: CallTree) -> bool:
    """Whether a silence has to be worked out, which takes what passed through the streams."""
    return any(True for _ in _to_derive(call))


def budgets_of(call: CallTree) -> dict[str, float]:
    """The budgets that were set for a call, in milliseconds, by what they are for."""
    return _milliseconds(call.session.payload.get("budgets")) if call.session else {}


def _milliseconds(seconds: object) -> dict[str, float]:
    return {
        name: found * 1000
        for name, value in mapping(seconds).items()
        if (found := number(value)) is not None
    }


def _all_recorded(call: CallTree) -> Iterator[Silence]:
    questions = _questions(call)
    for turn in call.turns:
        for answer in turn.answers:
            latency = recorded(answer)
            if latency is not None and latency.perceived_ms > 0:
                asked = turn if turn.user is not None else questions.get(answer.span.id, turn)
                yield _as_recorded(call, asked, answer, latency)


def _questions(call: CallTree) -> Mapping[str, Turn]:
    """The turn whose answer was still on its way when a speech was heard, by the speech's id. (A
    turn whose own answer ended a silence has that one.)"""
    found: dict[str, Turn] = {}
    for turn in call.turns:
        if any(map(_is_recorded, turn.answers)):
            continue
        for answer in turn.answers:
            if earlier := text(answer.span.result.get("first_sound_by")):
                found.setdefault(earlier, turn)
    return found


def _as_recorded(call: CallTree, turn: Turn, answer: Node, latency: Recorded) -> Silence:
    waits = (
        number(own.span.result.get("answer_ms"))
        for own in turn.answers
        if own.span.result.get("first_sound_by") == answer.span.id
    )
    return Silence(
        turn,
        answer,
        _recorded_begin(call, turn, answer, latency),
        latency.perceived_ms,
        latency.stages,
        over_budget=_milliseconds(latency.over_budget),
        budgets=budgets_of(call),
        audible=latency.basis != "text",
        answer_ms=next((wait for wait in waits if wait is not None), None),
    )


def _recorded_begin(call: CallTree, turn: Turn, answer: Node, latency: Recorded) -> int:
    """Where a recorded silence begins: with the caller's last sound. But the speech that an
    ``AgentTask`` comes back to answers the last words in the task, not those that its turn began
    with: its silence is counted back from its own first sound."""
    if latency.at_us is not None:
        return call.started_us + latency.at_us
    us = round(latency.perceived_ms * 1000)
    name = ENDS.get(latency.basis, "speech_ended")
    heard = call.moment(answer.span, "playback_started") or words_began(answer)
    begins = call.moment(answer.span, f"user_{name}")
    if begins is None and turn.user is not None:
        begins = call.moment(turn.user.span, name)
    # Nothing is heard before it is played.
    if begins is not None and (heard is None or begins + us >= heard):
        return begins
    quiet = sum(stage.ms for stage in latency.stages if stage.name == LEADING_SILENCE)
    return (heard or answer.span.started_us) + round(quiet * 1000) - us


def _all_derived(call: CallTree) -> Iterator[Silence]:
    nodes = {node.span.id: node for turn in call.turns for node in turn.answers}
    for turn, _ in _to_derive(call):
        timeline = timeline_near(call, turn)
        question = timeline.question(turn.user.span.id) if turn.user is not None else None
        speech = first_sound_after(timeline, question) if question is not None else None
        latency = latency_of(timeline, speech) if speech is not None else None
        if speech is None or latency is None or latency.perceived_us <= 0:
            continue
        if _is_recorded(answer := nodes[speech.id]):
            continue  # it is counted where it was recorded
        yield Silence(
            turn,
            answer,
            latency.start // 1000,
            latency.perceived_us / 1000,
            tuple(Stage(name, us / 1000) for name, us in lengths(latency).items()),
            over_budget={},
            budgets=budgets_of(call),
            derived=True,
            audible=turn.user is None or not typed(turn.user),
        )


def _to_derive(call: CallTree) -> Iterator[tuple[Turn, Sequence[Node]]]:
    """The turns whose silence could not be recorded, each with the answers that this is true of."""
    answers = [answer for turn in call.turns for answer in turn.answers]
    measures = any("latency" in answer.span.result for answer in answers)
    questions = _questions(call)
    counted = {turn.number for turn in questions.values()}
    for turn in call.turns:
        if turn.number in counted or any(map(_is_recorded, turn.answers)):
            continue
        unrecorded = [
            answer
            for answer in heard_answers(turn)
            if unfinished(answer) or not (measures or _is_measured(answer))
        ]
        if unrecorded and user_ended(call, turn) is not None:
            yield turn, unrecorded


def _is_measured(answer: Node) -> bool:
    """Whether the version that wrote a speech measures latency: those that do also write down when
    it was over."""
    return "finished_at" in answer.span.result
