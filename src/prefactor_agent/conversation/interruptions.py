"""What the user's voice did to a speech: who broke it off, and for how long both were heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .playout import Playout
from .timeline import Segment, Speech

Pause = tuple[int, str]
"""When the audio stood still (``paused``) or went on (``resumed``)."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """A user who spoke while the agent was heard. Lengths in microseconds."""

    overlap_us: int
    """How long both were heard."""
    barge_in_us: int | None = None
    """From the user's first sound to the agent's last; ``None``: the speech was not broken off."""


def interrupted_by(source: str | None, *, spoken_over: bool, user_spoke: bool) -> str:
    """Who broke a speech off: ``user`` or ``program``.

    LiveKit says ``programmatic`` also where it stops a speech itself, because the user's turn is
    over while a tool runs (voice/agent_activity.py, ``_user_turn_completed_impl``): who broke it
    off is who spoke.

    Args:
        source: LiveKit's word (from 1.8 on).
        spoken_over: The user spoke over its audio, and was allowed to interrupt it.
        user_spoke: The user said something while it lasted, which LiveKit has not answered yet.
    """
    if source is not None and source != "programmatic":
        return "user"
    if user_spoke:
        return "user"
    return "user" if source is None and spoken_over else "program"


def overlap_of(
    segments: Sequence[Segment],
    pauses: Sequence[Pause],
    user_began: int | None,
    user_ended: int | None,
) -> Overlap | None:
    """How long the user spoke over a speech; ``None``: nobody did, or it is not known.

    Args:
        user_ended: ``None``: not known; then until the agent was silent.
    """
    if user_began is None:
        return None
    segment = next((one for one in segments if _covers(one, user_began)), None)
    if segment is None or segment.finished is None:
        return None
    ended = segment.finished
    if segment.played is not None and segment.voice is not None:
        # An output tells only a while after the last sample that it was the last. A position
        # inside the audio is where the sound ended, pauses and gaps aside.
        playout = Playout(segment.started, segment.voice.late)
        ended = min(ended, playout.moment(segment.played) + paused_ns(pauses, ended))
    both_until = ended if user_ended is None else min(ended, user_ended)
    return Overlap(
        overlap_us=max(0, both_until - user_began) // 1000,
        barge_in_us=max(0, ended - user_began) // 1000 if segment.interrupted else None,
    )


def cut_in_us(speech: Speech) -> int | None:
    """How long the agent spoke over a user who had not stopped when it began, in microseconds;
    ``None``: the user had."""
    asked, sound = speech.during, speech.side.sound()
    if asked is None or sound is None or not speech.heard or asked.side.is_over():
        return None
    ended = speech.segments[0].finished if speech.segments else None
    until = speech.user_until if speech.user_until is not None else ended
    if ended is None or until is None or until <= sound[0]:
        return None
    return max(0, min(ended, until) - sound[0]) // 1000


def paused_ns(pauses: Sequence[Pause], until: int) -> int:
    """How long the audio stood still, up to a moment, before it was played on."""
    total, since = 0, None
    for moment, state in pauses:
        if state == "paused" and since is None:
            since = moment
        elif state == "resumed" and since is not None:
            total += min(moment, until) - min(since, until)
            since = None
    return total


def _covers(segment: Segment, moment: int) -> bool:
    return segment.started <= moment and (segment.finished is None or moment <= segment.finished)
