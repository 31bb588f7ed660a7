"""The silences of a call: how long the user waited for each answer, and what for.

Pure. What was recorded (docs/latency.md) counts. Of a turn that has no recorded latency (its
process was killed, or an older version wrote it) the silence is worked out from the moments of its
spans, with the same stages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...conversation import UNATTRIBUTED, median, totals
from . import stagenames
from .calltree import CallTree
from .moments import ENDS, first, first_sound, first_words, user_ended, user_moment, words_began
from .sounds import leading_silence_us
from .turns import Node, Turn, kind, typed
from .values import as_list, mapping, mappings, number, text


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    ms: float

    @property
    def label(self) -> str:
        return stagenames.label(self.name)


@dataclass(frozen=True)
class Silence:
    """The dead air before one answer: from the user's last sound to the agent's first. Of a typed
    turn, from the message to the first words."""

    turn: Turn
    answer: Node
    """The speech that ended it."""
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
    """Nobody measured it: it was worked out from the moments of the turn."""
    audible: bool = True
    """Whether somebody was listening: a typed turn has nothing to hear."""

    @property
    def us(self) -> int:
        return round(self.ms * 1000)

    @property
    def ends_us(self) -> int:
        return self.begins_us + self.us

    @property
    def slowest(self) -> Stage | None:
        """What most of it was spent on; of a stage that came more than once, the sum."""
        took = totals((stage.name, stage.ms) for stage in self.stages)
        name = max(took, key=lambda name: took[name], default=None)
        return Stage(name, took[name]) if name is not None and took[name] > 0 else None


@dataclass(frozen=True)
class Silences:
    """All silences of a call, in the order of its turns."""

    all: tuple[Silence, ...]

    def before(self, answer: Node) -> Silence | None:
        """The one that an answer ended."""
        return self._by_answer.get(answer.span.id)

    def of(self, turn: Turn) -> Silence | None:
        """The one that a turn's first sound ended."""
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
        return median([silence.ms for silence in self.all]) if self.all else None

    @cached_property
    def over_budget(self) -> int:
        return sum(bool(silence.over_budget) for silence in self.all)

    @cached_property
    def stage_names(self) -> list[str]:
        """The stages that occur, in the order in which they follow each other."""
        seen = dict.fromkeys(stage.name for silence in self.all for stage in silence.stages)
        return sorted(seen, key=stagenames.place)


def silences(call: CallTree) -> Silences:
    """All silences of a call: those that were measured, and what can be worked out of the rest."""
    # A speech from elsewhere (the dialogue of a task that a tool runs) ends a silence too.
    sounds = [found for turn in call.turns if (found := first_sound(call, turn))]
    heard = sorted(sounds, key=lambda sound: sound[1])
    return Silences(tuple(found for turn in call.turns for found in _of_turn(call, turn, heard)))


def budgets_of(call: CallTree) -> dict[str, float]:
    """The budgets that were set for a call, in milliseconds, by what they are for."""
    return _milliseconds(call.session.payload.get("budgets")) if call.session else {}


def _milliseconds(seconds: object) -> dict[str, float]:
    return {
        name: found * 1000
        for name, value in mapping(seconds).items()
        if (found := number(value)) is not None
    }


def _of_turn(call: CallTree, turn: Turn, heard: Sequence[tuple[Node, int]]) -> Iterator[Silence]:
    recorded = [found for answer in turn.answers if (found := _recorded(call, turn, answer))]
    if recorded:
        yield from recorded
    elif found := _derived(call, turn, heard):
        yield found


def _recorded(call: CallTree, turn: Turn, answer: Node) -> Silence | None:
    span = answer.span
    latency = mapping(span.result.get("latency"))
    perceived = number(latency.get("perceived_ms"))
    if perceived is None or perceived <= 0:
        return None
    basis = text(mapping(latency.get("basis")).get("from"))
    stages = tuple(
        Stage(text(stage.get("name")) or UNATTRIBUTED, max(0.0, ms))
        for stage in mappings(latency.get("stages"))
        if (ms := number(stage.get("ms"))) is not None
    )
    return Silence(
        turn,
        answer,
        _recorded_begin(call, turn, answer, basis, perceived, stages),
        perceived,
        stages,
        over_budget=_milliseconds(latency.get("over_budget")),
        budgets=budgets_of(call),
        audible=basis != "text",
    )


def _recorded_begin(
    call: CallTree,
    turn: Turn,
    answer: Node,
    basis: str,
    perceived_ms: float,
    stages: Sequence[Stage],
) -> int:
    """Where a silence stands whose length is recorded: it begins with the user's last sound. But
    the speech that an ``AgentTask`` comes back to answers the last words in the task, not those
    that its turn began with, and then it is its own sound that tells."""
    us = round(perceived_ms * 1000)
    name = ENDS.get(basis, "speech_ended")
    heard = call.moment(answer.span, "playback_started") or words_began(answer)
    begins = call.moment(answer.span, f"user_{name}")
    if begins is None and turn.user is not None:
        begins = call.moment(turn.user.span, name)
    # Nothing is heard before it is played.
    if begins is not None and (heard is None or begins + us >= heard):
        return begins
    quiet = sum(stage.ms for stage in stages if stage.name == "leading_silence")
    return (heard or answer.span.started_us) + round(quiet * 1000) - us


def _derived(call: CallTree, turn: Turn, heard: Sequence[tuple[Node, int]]) -> Silence | None:
    """The silence of a turn that nobody measured. ``heard``: who was heard in the call, and when
    playback started."""
    begins = user_ended(call, turn)
    if begins is None:
        return None
    if (sound := first_sound(call, turn)) is not None:
        answer, started = sound
        ends = started + leading_silence_us(answer)
        cuts = [*_cuts(call, turn, answer), ("playback", started), ("leading_silence", ends)]
        after = bisect_right(heard, begins, key=lambda sound: sound[1])
        if after < len(heard) and heard[after][1] < started:
            answer, ends = heard[after]
    elif (words := first_words(turn)) is not None:
        answer, ends = words
        cuts = list(_cuts(call, turn, answer))
    else:
        return None
    if ends <= begins:
        return None
    return Silence(
        turn,
        answer,
        begins,
        (ends - begins) / 1000,
        _consecutive(begins, ends, cuts),
        over_budget={},
        budgets=budgets_of(call),
        derived=True,
        audible=turn.user is None or not typed(turn.user),
    )


def _cuts(call: CallTree, turn: Turn, answer: Node) -> Iterator[tuple[str, int]]:
    """Where each stage ended that comes before playback, in the order of the stages."""
    for stage, name in (
        ("vad", "vad_ended"),
        ("transcript", "final_transcript"),
        ("endpointing", "committed"),
        ("on_user_turn_completed", "hook_done"),
    ):
        if (moment := user_moment(call, turn, name)) is not None:
            yield stage, moment
    voices = answer.spans("tts")
    sound = first(voices[0], "audio") if voices else None
    yield from _thinking_cuts(answer, until=sound)
    if voices:
        if (words := first(voices[0], "text")) is not None:
            yield "first_sentence", words
        if sound is not None:
            yield "tts_ttfb", sound


def _thinking_cuts(answer: Node, until: int | None) -> Iterator[tuple[str, int]]:
    """The requests to the model and the tools, up to the first audio."""
    requests = 0
    for span in sorted(answer.spans("llm", "tool"), key=lambda span: span.started_us):
        if until is not None and span.started_us > until:
            break
        end = span.finished_us if span.finished_us is not None else span.started_us
        if kind(span) == "tool":
            yield f"tool:{span.name}", end
            continue
        requests += 1
        suffix = f"_{requests}" if requests > 1 else ""
        if requests > 1:
            yield f"llm_queue{suffix}", span.started_us
        if as_list(span.result.get("tool_calls")) and not text(span.result.get("text")):
            yield f"llm_tool_call{suffix}", end
        elif (token := first(span, "output")) is not None:
            yield f"llm_ttft{suffix}", token


def _consecutive(begins: int, ends: int, cuts: Sequence[tuple[str, int]]) -> tuple[Stage, ...]:
    """Stages that follow each other without a gap and sum to the whole. A stage that ended before
    the one before it did (work that was begun early) took no time of its own."""
    stages: dict[str, int] = {}
    at = begins
    for name, cut in cuts:
        cut = min(max(cut, at), ends)
        if cut > at:
            stages[name] = stages.get(name, 0) + cut - at
        at = cut
    if at < ends:
        stages[UNATTRIBUTED] = stages.get(UNATTRIBUTED, 0) + ends - at
    return tuple(Stage(name, us / 1000) for name, us in stages.items())
