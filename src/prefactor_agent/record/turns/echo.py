"""The echo of an agent's turn: what was heard of the caller meanwhile, compared with the agent's
own voice. Called off the event loop."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from ...core.json import JSON
from ..audio.echo import Echo, curve, find_echo, halved
from ..audio.loudness import LEAST_DBFS, WINDOW_MS
from .turn import HeardMeanwhile

_UNHEARD = round(-LEAST_DBFS)


def echo_in(heard: HeardMeanwhile) -> Echo | None:
    """The agent's voice in what came in of the caller; ``None``: it is not to be seen there."""
    rate = heard.sample_rate
    if all(packed & 0xFF > _UNHEARD for _, packed in heard.frames):
        return None  # most callers are silent while the agent speaks
    agent = halved(heard.voice.opening()[: heard.played_ns // (WINDOW_MS * 1_000_000)])
    user = curve(
        [
            (
                (at - heard.started_ns) // 1000,
                (packed >> 8) * 1_000_000 // rate,
                float(-(packed & 0xFF)),
            )
            for at, packed in heard.frames
        ]
    )
    return find_echo(agent, user)


def echo_json(echo: Echo | None) -> JSON | None:
    """An echo as the result of a turn has it."""
    return dict(echo._asdict()) if echo is not None else None


def summarize_echoes(looked: int, found: Iterable[Echo]) -> JSON | None:
    """The echo of a whole call: in how many of the speeches that were looked through, and the
    medians."""
    echoes = list(found)
    if not echoes:
        return None
    return {
        "turns": len(echoes),
        "of_turns": looked,
        "delay_ms": median(echo.delay_ms for echo in echoes),
        "attenuation_db": round(median(echo.attenuation_db for echo in echoes), 1),
    }
