"""The silence that LiveKit adds to what the user said, so that an STT finishes: while the input is
disabled, ``commit_user_turn`` adds seconds of it at once (voice/audio_recognition.py)."""

from __future__ import annotations

from ..audio.loudness import SILENCE_DBFS
from ..audio.user_voice import UserVoice

_BEFORE_NS = 1_000_000_000
"""How long before a moment the length of the input's own frames is looked for."""
_LEAST_NS = 150_000_000
"""What is added comes in frames longer than this, and than those of the input."""


def added_silence_ns(voice: UserVoice, since: int) -> int:
    """How much silence was added from a moment on, in nanoseconds. A VAD counts it as time, and
    dates the end of the speech back by it.

    Args:
        since: When the last sound ended. The clock of the samples stands still while silence is
            added: all of it lies behind that moment.
    """
    rate = voice.sample_rate
    if rate is None:
        return 0
    usual, added = _LEAST_NS, 0
    for at, packed in voice.frames_since(since - _BEFORE_NS):
        length = (packed >> 8) * 1_000_000_000 // rate
        if -(packed & 0xFF) > SILENCE_DBFS:
            usual = max(usual, length)
        elif at >= since and length > usual:
            added += length
    return added
