"""Numbers as people read them, the same in the terminal and on the page, and times as people give
them."""

from __future__ import annotations

import math
from datetime import datetime

from ...core.text import count as count

ABOUT_US = 60_000_000
"""How far off a time may be that a person gives for something."""


def length(microseconds: float) -> str:
    """``0.5 ms``, ``320 ms``, ``1.42 s``, ``12.3 s``, ``2:05``, ``1:02:05``."""
    ms = microseconds / 1000
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    )


def milliseconds(value: float) -> str:
    """Whole, with thousands set apart: what is compared stands in one unit."""
    return f"{math.floor(value + 0.5):,} ms"


def clock(microseconds: int) -> str:
    """A moment of a call, from its beginning: ``0:04.1``."""
    tenths = max(0, microseconds) // 100_000
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{tenths // 10:02}.{tenths % 10}"


def date(unix_us: int, form: str = "%d %b %Y %H:%M:%S %Z") -> str:
    """In the reader's own time zone."""
    try:
        return f"{datetime.fromtimestamp(unix_us / 1e6).astimezone():{form}}"
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"


def megabytes(size: int) -> str:
    """``0.3 MB``, ``12.5 MB``, of bytes."""
    return f"{size / 1e6:.1f} MB"


def about(at_us: int, began_us: int, ended_us: int | None) -> bool:
    """Whether something went on at about this time; ``None``: it has not ended."""
    return began_us <= at_us + ABOUT_US and (ended_us is None or ended_us >= at_us - ABOUT_US)
