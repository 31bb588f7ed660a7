"""Silences inside an answer."""

from __future__ import annotations

from ..core.json import JSON
from .playout import Playout
from .turn import Reply

GAP_NS = 200_000_000
"""Silence inside an answer that is longer than this is told."""


def starved(reply: Reply, until: int | None = None) -> list[JSON]:
    """The silences inside an answer, because the player had nothing: when, how long, and why.

    The cause is the language model if it was still writing when the silence began, else the voice.

    Args:
        until: How much of its audio was played, in nanoseconds; ``None``: all.
    """
    voice = reply.spoken_by()
    if voice is None or reply.playback_started is None:
        return []
    writing_until = max((model.ended or 0 for model in reply.models), default=0)
    playout = Playout(reply.playback_started, voice.late)
    heard_from = playout.moment(voice.sound_at or 0)
    return [
        {"at_ns": at, "ms": length // 1000 / 1000, "cause": "llm" if writing_until > at else "tts"}
        for at, length in playout.gaps(until)
        if length > GAP_NS and at >= heard_from
    ]
