"""The echo of an agent's turn: what was heard of the caller meanwhile, compared with the agent's
own voice. Called off the event loop."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from ...core.json import JSON
from ..audio.echo import Echo, curve, find_echo
from ..audio.loudness import WINDOW_MS
from .turn import HeardMeanwhile

_WINDOW_US = WINDOW_MS * 1000


def echo_in(heard: HeardMeanwhile) -> Echo | None:
    """The agent's voice in what came in of the caller; ``None``: it is not to be seen there."""
    levels = heard.voice.opening()[: heard.played_ns // (_WINDOW_US * 1000)]
    agent = curve(
        (index * _WINDOW_US, _WINDOW_US, float(level)) for index, level in enumerate(levels)
    )
    user = curve(
        (
            (at - heard.started_ns) // 1000,
            (packed >> 8) * 1_000_000 // heard.sample_rate,
            float(-(packed & 0xFF)),
        )
        for at, packed in heard.frames
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
