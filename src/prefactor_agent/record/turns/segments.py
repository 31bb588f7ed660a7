"""How a stretch of the agent's audio was played: when it began, and what of it came too late.

Two places tell. Frames are seen as they leave the call of the voice; on their way to the output the
event loop can be busy, and a room's output collects 50 ms before it plays them. That output tells
each time that it has run dry (``playback_progressed``, voice/io.py, from LiveKit 1.8 on)."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge

from ...conversation import Late, Playout, Wait, join_short_waits
from .turn import HeardVoice, Segment

WAIT_NS = 1_000_000
"""A shorter wait is not told on its own: nobody hears it."""
WAITS_KEPT = 100
"""Waits that are told of a stretch of audio at most."""


def voice_of(segment: Segment, voices: Sequence[HeardVoice]) -> HeardVoice | None:
    """The request that a stretch of audio came from: the last that had begun to give audio when it
    began to be played."""
    began = segment.started_ns
    made = [one for one in voices if one.first_frame_ns and one.first_frame_ns <= began]
    return made[-1] if made else None


def late_in(voice: HeardVoice, segment: Segment | None) -> list[Late]:
    """What came too late of the audio of a request, by what was seen of it and by the output."""
    seen = list(voice.voice.late)
    return seen if segment is None else list(merge(seen, segment.late))


def waits_in(
    segment: Segment, voices: Sequence[HeardVoice], pauses: Sequence[tuple[int, str]]
) -> list[Wait]:
    """When the output had nothing to play of a stretch of audio that was not over, up to its first
    pause."""
    voice = voice_of(segment, voices)
    late = segment.late if voice is None else late_in(voice, segment)
    position = segment.position_s
    until = int(position * 1e9) if position is not None else None
    waits = Playout(segment.started_ns, late).gaps(until)
    stood = (at for at, state in pauses if state == "paused" and at >= segment.started_ns)
    paused = next(stood, None)
    before = [wait for wait in waits if paused is None or wait[0] < paused]
    return join_short_waits(before, WAIT_NS, WAITS_KEPT)
