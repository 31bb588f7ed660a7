"""A silence that was not measured, worked out from the moments of its turn.

Interpretation, with the same stages as what is measured (docs/latency.md), for speeches that never
ended, because their process was killed, and for calls of versions that measured nothing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...conversation import stages, totals
from ...conversation.split import Step, split
from .calltree import CallTree
from .moments import first, user_ended, user_moment, words_began
from .sounds import heard_answers, leading_silence_us
from .turns import Node, Turn, kind
from .values import as_int, as_list, mappings, text


class Derived(NamedTuple):
    """Times are microseconds since the Unix epoch."""

    answer: Node
    """The speech that ended the silence."""
    begins_us: int
    ends_us: int
    stages: dict[str, int]
    """How long each took, in microseconds, in order."""


class FirstSound(NamedTuple):
    """When an answer was first heard to play, in microseconds since the Unix epoch."""

    answer: Node
    at_us: int


def first_sounds(call: CallTree) -> list[FirstSound]:
    """The first sound of every turn, in the order of time: a speech from elsewhere (the dialogue of
    a task that a tool runs) ends a silence, too."""
    found = [sound for turn in call.turns if (sound := _first_sound(call, heard_answers(turn)))]
    return sorted(found, key=lambda sound: sound.at_us)


def derive(
    call: CallTree, turn: Turn, answers: Sequence[Node], sounds: Sequence[FirstSound]
) -> Derived | None:
    """The silence after a user's turn; ``None``: it had none.

    Args:
        answers: Those of the turn that were heard, as far as that is known.
        sounds: See :func:`first_sounds`.
    """
    begins = user_ended(call, turn)
    if begins is None:
        return None
    if (sound := _first_sound(call, answers)) is not None:
        answer, started = sound
        ends = started + leading_silence_us(answer)
        cuts = [
            *_cuts(call, turn, answer),
            (stages.PLAYBACK, started),
            (stages.LEADING_SILENCE, ends),
        ]
    elif (words := _first_words(answers)) is not None:
        answer, started = words
        ends = started
        cuts = list(_cuts(call, turn, answer))
    else:
        return None
    after = bisect_right(sounds, begins, key=lambda sound: sound.at_us)
    if after < len(sounds) and sounds[after].at_us < started:
        answer, ends = sounds[after]
    if ends <= begins:
        return None
    steps = [Step(name, None, cut * 1000) for name, cut in cuts]
    return Derived(answer, begins, ends, totals(split(begins * 1000, ends * 1000, steps)))


def _first_sound(call: CallTree, answers: Sequence[Node]) -> FirstSound | None:
    """The answer that was heard first, and when its playback started."""
    for answer in answers:
        started = call.moment(answer.span, "playback_started")
        if started is None:
            begun = [
                as_int(part.get("started_us"))
                for part in mappings(answer.span.result.get("segments"))
            ]
            offset = min((at for at in begun if at is not None), default=None)
            started = None if offset is None else call.started_us + offset
        if started is not None:
            return FirstSound(answer, started)
    return None


def _first_words(answers: Sequence[Node]) -> FirstSound | None:
    """The answer whose words came out as text first, and when."""
    for answer in answers:
        if (at := words_began(answer)) is not None:
            return FirstSound(answer, at)
    return None


def _cuts(call: CallTree, turn: Turn, answer: Node) -> Iterator[tuple[str, int]]:
    """Where each stage ended that comes before playback, in the order of the stages."""
    for stage, name in (
        (stages.VAD, "vad_ended"),
        (stages.TRANSCRIPT, "final_transcript"),
        (stages.ENDPOINTING, "committed"),
        (stages.TURN_HOOK, "hook_done"),
    ):
        if (moment := user_moment(call, turn, name)) is not None:
            yield stage, moment
    voices = answer.spans("tts")
    sound = first(voices[0], "audio") if voices else None
    yield from _thinking_cuts(answer, until=sound)
    if voices:
        if (words := first(voices[0], "text")) is not None:
            yield stages.FIRST_SENTENCE, words
        if sound is not None:
            yield stages.TTS_TTFB, sound


def _thinking_cuts(answer: Node, until: int | None) -> Iterator[tuple[str, int]]:
    """The requests to the model and the tools, up to the first audio."""
    requests = 0
    for span in sorted(answer.spans("llm", "tool"), key=lambda span: span.started_us):
        if until is not None and span.started_us > until:
            break
        end = span.finished_us if span.finished_us is not None else span.started_us
        if kind(span) == "tool":
            yield stages.of_tool(span.name), end
            continue
        requests += 1
        if requests > 1:
            yield stages.numbered(stages.LLM_QUEUE, requests), span.started_us
        if as_list(span.result.get("tool_calls")) and not text(span.result.get("text")):
            yield stages.numbered(stages.LLM_TOOL_CALL, requests), end
        elif (token := first(span, "output")) is not None:
            yield stages.numbered(stages.LLM_TTFT, requests), token
