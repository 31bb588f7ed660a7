"""Both voices on the axis of time: how loud each was when it could be heard.

Pure. Times are microseconds since the Unix epoch. The caller is heard when their audio comes in.
The agent is heard when its audio is played, which is later than when it was made, and shorter where
it was cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...conversation import Playout
from ...core.json import JSON
from ...core.values import as_int, as_list, mappings, number, text
from ...stored.span import StoredSpan
from .calltree import CallTree
from .turns import Node, Turn

SILENCE_DBFS = -127
"""The level of a frame without any sound."""
_USUAL_RATE = 24_000
"""The sample rate of a span that is still open, which does not say it: LiveKit's usual one."""
_FRAME_US = 20_000
"""The length that a frame of such a span is assumed to have."""


class Sound(NamedTuple):
    """A stretch of audio and how loud it was."""

    started_us: int
    ended_us: int
    dbfs: int


class Stretch(NamedTuple):
    """A stretch of time in which a part of an answer was played."""

    started_us: int
    ended_us: int


def heard(utterance: StoredSpan) -> list[Sound]:
    """The audio of an utterance, each frame where it passed."""
    audio = utterance.stream("audio")
    rate = number(audio.get("sample_rate"))
    columns = [as_list(audio.get(name)) for name in ("offset_us", "size", "dbfs")]
    found = []
    for offset, size, dbfs in zip(*columns, strict=False):
        begun = utterance.started_us + offset
        found.append(Sound(begun, begun + (_length_us(size, rate) if rate else _FRAME_US), dbfs))
    return found


def played(call: CallTree, answer: Node) -> tuple[list[Stretch], list[Sound]]:
    """When an answer was played, and its audio at the time at which it was: without its pauses,
    up to where it was cut. An answer that is not over has no report of its playback yet: its audio
    stands where it was made."""
    voices = answer.spans("tts", "realtime")
    segments = _segments(answer)
    if not segments:
        return [], [] if answer.span.finished_us is not None else _made(voices)
    stretches: list[Stretch] = []
    sounds: list[Sound] = []
    pauses = sorted(_pauses(call, answer), key=lambda pause: pause[0])
    parts = [list(_frames(span)) for span in voices]
    if len(parts) != len(segments):
        parts = list(_split([frame for part in parts for frame in part], segments))
    for segment, frames in zip(segments, parts, strict=True):
        times = _played(call, segment, pauses, frames)
        stretches += times
        sounds += _placed(frames, times)
    quiet = number(voices[0].result.get("leading_silence_ms")) if voices else None
    if quiet and stretches:
        # A frame has one level, which does not say where in it the voice begins; this does.
        sounds = _from(sounds, _moment(stretches, round(quiet * 1000)))
    return stretches, sounds


def leading_silence_us(answer: Node) -> int:
    """How far into its audio the first sound of an answer is."""
    voices = answer.spans("tts", "realtime")
    silence = number(voices[0].result.get("leading_silence_ms")) if voices else None
    return round((silence or 0) * 1000)


def heard_answers(turn: Turn) -> list[Node]:
    """The answers of a turn, without those that were cut off before any sound of them was
    played."""
    return [answer for answer in turn.answers if not _unheard(answer)]


def _unheard(answer: Node) -> bool:
    """Whether an answer was cut off before any sound of it was played."""
    result = answer.span.result
    position = number(result.get("playback_position_s"))
    if not result.get("interrupted") or position is None:
        return False
    return round(position * 1e6) <= leading_silence_us(answer)


def _segments(answer: Node) -> list[JSON]:
    segments = mappings(answer.span.result.get("segments"))
    return [segment for segment in segments if as_int(segment.get("started_us")) is not None]


def _length_us(samples: float, rate: float | None) -> int:
    return round(samples * 1e6 / (rate or _USUAL_RATE))


def _frames(voice: StoredSpan) -> Iterator[tuple[int, int]]:
    """How long each frame sounds, and how loud it is."""
    audio = voice.stream("audio")
    rate = number(audio.get("sample_rate"))
    sizes, levels = as_list(audio.get("size")), as_list(audio.get("dbfs"))
    for size, dbfs in zip(sizes, levels, strict=False):
        yield _length_us(size, rate), dbfs


def _made(voices: Sequence[StoredSpan]) -> list[Sound]:
    sounds = []
    for span in voices:
        at = span.started_us + (as_int(next(iter(_offsets(span)), None)) or 0)
        for us, dbfs in _frames(span):
            sounds.append(Sound(at, at + us, dbfs))
            at += us
    return sounds


def _offsets(span: StoredSpan) -> list[int]:
    return as_list(span.stream("audio").get("offset_us"))


def _split(
    frames: list[tuple[int, int]], segments: Sequence[JSON]
) -> Iterator[list[tuple[int, int]]]:
    """The audio of each segment, by how much each of them played."""
    at = 0
    for index, segment in enumerate(segments):
        if index == len(segments) - 1:
            yield frames[at:]
            return
        left = (number(segment.get("position_s")) or 0.0) * 1e6
        begin = at
        while at < len(frames) and left > 0:
            left -= frames[at][0]
            at += 1
        yield frames[begin:at]


def held_back(turn: StoredSpan) -> list[tuple[int, int | None]]:
    """When LiveKit held the playback back for what may have been an interruption: from when to
    when, on the clock of the segments. ``None``: it did not go on."""
    pauses: list[tuple[int, int | None]] = []
    since: int | None = None
    for pause in mappings(turn.result.get("pauses")):
        at, state = as_int(pause.get("at_us")), text(pause.get("state"))
        if at is None:
            continue
        if state == "paused":
            since = at if since is None else since
        elif since is not None and "resumed" in state:
            pauses.append((since, at))
            since = None
    if since is not None:
        pauses.append((since, None))
    return pauses


def late_frames(voice: StoredSpan) -> list[tuple[int, int]]:
    """The frames of a voice that came later, against their place in its audio, than all before
    them: that place, and the arrival less it, as :class:`prefactor_agent.conversation.Playout`
    takes them, but in microseconds."""
    place = 0
    late: list[tuple[int, int]] = []
    for offset, (length, _) in zip(_offsets(voice), _frames(voice), strict=False):
        began = voice.started_us + offset - place
        if not late or began > late[-1][1]:
            late.append((place, began))
        place += length
    return late


def _waits_in_silence(call: CallTree, answer: Node) -> list[tuple[int, int | None]]:
    """When the player had nothing to play before the first sound of an answer, because the voice
    faltered in its leading silence: from when to when, on the clock of the segments. The caller
    hears no gap there, so the result of the turn has none: it is a part of the dead air."""
    voices, segments = answer.spans("tts", "realtime"), _segments(answer)
    if not voices or not segments:
        return []
    zero = call.started_us
    begun = zero + (as_int(segments[0].get("started_us")) or 0)
    # A wait for the first sound itself is in the dead air, too.
    waits = Playout(begun, late_frames(voices[0])).gaps(leading_silence_us(answer) + 1)
    return [(at - zero, at - zero + lasted) for at, lasted in waits]


def _pauses(call: CallTree, answer: Node) -> list[tuple[int, int | None]]:
    """When the playback stood still: from when to when, on the clock of the segments."""
    waits = [wait for one in _segments(answer) for wait in mappings(one.get("waits"))]
    if waits:
        return [*held_back(answer.span), *_stretches(waits)]
    # A version that did not write the waits down, or a call without any.
    gaps = _stretches(mappings(answer.span.result.get("gaps")))
    return [*held_back(answer.span), *gaps, *_waits_in_silence(call, answer)]


def _stretches(waits: Sequence[JSON]) -> list[tuple[int, int | None]]:
    found: list[tuple[int, int | None]] = []
    for wait in waits:
        at, lasted = as_int(wait.get("at_us")), number(wait.get("ms"))
        if at is not None and lasted is not None:
            found.append((at, at + round(lasted * 1000)))
    return found


def _played(
    call: CallTree,
    segment: JSON,
    pauses: Sequence[tuple[int, int | None]],
    frames: Sequence[tuple[int, int]],
) -> list[Stretch]:
    """The stretches of time in which a segment was played: without its pauses."""
    zero = call.started_us
    begun = as_int(segment.get("started_us")) or 0
    finished = as_int(segment.get("finished_us"))
    position = number(segment.get("position_s"))
    # The player's own position counts; the moment at which it finished comes a little later.
    left = sum(us for us, _ in frames) if position is None else round(position * 1e6)
    if position is None and not frames:
        left = max((finished if finished is not None else call.last_us - zero) - begun, 0)
    stretches: list[Stretch] = []
    for at, until in pauses:
        if at < begun or at - begun >= left:
            continue
        stretches.append(Stretch(zero + begun, zero + at))
        left -= at - begun
        if until is None:
            return stretches
        begun = until
    ended = begun + left if finished is None else min(begun + left, max(finished, begun))
    return [*stretches, Stretch(zero + begun, zero + ended)]


def _placed(frames: Sequence[tuple[int, int]], stretches: Sequence[Stretch]) -> list[Sound]:
    """Frames one after the other, on the stretches of time in which they were played."""
    placed: list[Sound] = []
    waiting = iter(frames)
    us, dbfs = next(waiting, (0, 0))
    for stretch in stretches:
        at = stretch.started_us
        while us and at < stretch.ended_us:
            take = min(us, stretch.ended_us - at)
            placed.append(Sound(at, at + take, dbfs))
            at += take
            us -= take
            if not us:
                us, dbfs = next(waiting, (0, 0))
    return placed


def _moment(stretches: Sequence[Stretch], into_us: int) -> int:
    """When what lies so far into the audio was played."""
    for stretch in stretches:
        if into_us < stretch.ended_us - stretch.started_us:
            return stretch.started_us + into_us
        into_us -= stretch.ended_us - stretch.started_us
    return stretches[-1].ended_us


def _from(sounds: Sequence[Sound], audible_us: int) -> list[Sound]:
    """The sounds from a moment on; what comes before it is silent."""
    return [
        sound._replace(started_us=max(sound.started_us, audible_us))
        for sound in sounds
        if sound.ended_us > audible_us
    ]
