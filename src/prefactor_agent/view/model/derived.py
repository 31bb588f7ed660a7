"""The silences that were not recorded, worked out from what the spans of a call have of moments."""

from __future__ import annotations

from typing import NamedTuple

from ...conversation import Timeline, first_sound_after, latency_of, lengths
from .turns import Turn


class Derived(NamedTuple):
    """Times are microseconds since the Unix epoch."""

    answer: str
    """The speech that ended the silence, by its span's id."""
    begins_us: int
    us: int
    stages: dict[str, int]
    """How long each took, in microseconds, in order."""


def derive(timeline: Timeline, turn: Turn) -> Derived | None:
    """The silence after a user's turn; ``None``: it had none."""
    question = timeline.question(turn.user.span.id) if turn.user is not None else None
    speech = first_sound_after(timeline, question) if question is not None else None
    latency = latency_of(timeline, speech) if speech is not None else None
    if speech is None or latency is None or latency.perceived_us <= 0:
        return None
    return Derived(speech.id, latency.start // 1000, latency.perceived_us, lengths(latency))
