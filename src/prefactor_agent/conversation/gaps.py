"""Silences inside an answer: the user waits for more of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from .playout import Playout
from .sides import AgentSide, ModelCall, ToolRun
from .silences import silence_ended_by
from .stages import of_tool
from .timeline import Segment, Speech, Timeline

GAP_NS = 200_000_000
"""Silence inside an answer that is longer than this is recorded."""


Stretch = tuple[int, int]
"""When something began and ended, in nanoseconds."""


class Gap(NamedTuple):
    """A silence inside an answer."""

    at: int
    """When it began, in nanoseconds."""
    us: int
    """How long it was, in microseconds."""
    cause: str
    """What was waited for: ``llm``, ``tts``, or ``tool:NAME``."""


def gaps_of(speech: Speech, timeline: Timeline) -> list[Gap]:
    """The silences inside a speech, in order.

    Args:
        timeline: Who else was heard in between. What another speech (a tool's words) fills is no
            silence. Who speaks in between did not wait for the rest before, and waits for it again
            afterwards, if that is not the silence which the speech ended first.
    """
    segments = speech.segments
    first = segments[0] if segments else None
    played = first.played if first is not None else None
    asked = [
        (one.began, (one.side.end() or (one.began,))[0])
        for one in timeline.questions
        if one.has_words
    ]
    said = [
        (_first_sound(segment), ended)
        for other in timeline.speeches
        if other.id != speech.id
        for segment in other.segments
        if (ended := _last_sound(segment)) is not None
    ]
    ended_first = silence_ended_by(timeline, speech)
    end = ended_first.question.side.end() if ended_first is not None else None
    between = _between(speech, asked, said, end[0] if end is not None else None)
    return sorted([*starved(speech.side, played), *between])


def starved(reply: AgentSide, until: int | None = None) -> list[Gap]:
    """The silences inside the first stretch of audio, because the player had nothing.

    The cause is the language model if it was still writing when the silence began, else the voice.

    Args:
        until: How much of its audio was played, in nanoseconds; ``None``: all.
    """
    voice = reply.spoken_by()
    if voice is None or reply.playback_started is None:
        return []
    playout = Playout(reply.playback_started, voice.late)
    heard_from = playout.moment(voice.sound_at or 0)
    return [
        Gap(at, length // 1000, _model_or_voice(reply, at))
        for at, length in playout.gaps(until)
        if length > GAP_NS and at >= heard_from
    ]


def _between(
    speech: Speech, asked: Sequence[Stretch], said: Sequence[Stretch], counted: int | None
) -> Iterator[Gap]:
    """The silences between one stretch of audio and the next.

    Args:
        counted: When a silence began that is no gap: it is the one before the speech.
    """
    for before, after in pairwise(filter(_is_heard, speech.segments)):
        ended, begun = _last_sound(before), _first_sound(after)
        if ended is None or before.interrupted:
            continue
        for silent, until in _without(ended, begun, sorted([*said, *asked])):
            broken_off = any(began == until for began, _ in asked)
            if until - silent > GAP_NS and silent != counted and not broken_off:
                yield Gap(silent, (until - silent) // 1000, _cause(speech, silent, until))


def _without(begin: int, end: int, taken: Sequence[Stretch]) -> Iterator[Stretch]:
    """What is left of a stretch of time without others, which are given in order."""
    for began, ended in taken:
        if ended > begin and began < end:
            if began > begin:
                yield begin, began
            begin = max(begin, ended)
    if begin < end:
        yield begin, end


def _cause(speech: Speech, begin: int, end: int) -> str:
    run = max(speech.tools, key=lambda tool: _shared(tool, begin, end), default=None)
    if run is not None and _shared(run, begin, end) > (end - begin) // 2:
        return of_tool(run.name)
    return _model_or_voice(speech.side, begin)


def _shared(tool: ToolRun, begin: int, end: int) -> int:
    """How long a tool ran within a stretch of time."""
    until = end if tool.ended is None else min(end, tool.ended)
    return max(0, until - max(begin, tool.began))


def _model_or_voice(reply: AgentSide, at: int) -> str:
    if any(voice.llm for voice in reply.voices):
        return "llm"  # it speaks by itself
    return "llm" if any(_at_work_until(model) > at for model in reply.models) else "tts"


def _at_work_until(model: ModelCall) -> int:
    return model.called if model.realtime else model.ended or 0


def _is_heard(segment: Segment) -> bool:
    """Whether it was not broken off within the silence that it begins with."""
    voice, played = segment.voice, segment.played
    if not segment.interrupted or played is None or voice is None or voice.sound_at is None:
        return True
    return played > voice.sound_at


def _first_sound(segment: Segment) -> int:
    voice = segment.voice
    if voice is None or voice.sound_at is None:
        return segment.started
    return Playout(segment.started, voice.late).moment(voice.sound_at)


def _last_sound(segment: Segment) -> int | None:
    voice, finished = segment.voice, segment.finished
    if finished is None:
        return None
    if voice is None or voice.sound_until is None:
        return finished
    return min(finished, Playout(segment.started, voice.late).moment(voice.sound_until))
