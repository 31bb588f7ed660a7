"""Moments and periods, as they are written on the command line."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from datetime import time as Time  # noqa: N812

from ..config import ConfigurationError

_UNITS = {"m": 60, "h": 3600, "d": 86400}


def moment_us(when: str, option: str, until_us: int | None = None) -> int:
    """``90m``, ``24h``, ``7d`` ago, a date, or the last ``14:05`` before ``until_us`` (default:
    now). Microseconds since the Unix epoch."""
    until = time.time() if until_us is None else until_us / 1e6
    try:
        if when[-1:] in _UNITS and when[:-1].isdecimal():
            return int((time.time() - int(when[:-1]) * _UNITS[when[-1]]) * 1e6)
        moment = _last(when, until) if ":" in when[:3] else datetime.fromisoformat(when)
        return int(moment.astimezone().timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{option} takes a time (14:05), a date (2026-11-21, 2026-11-21T14:05) "
            f"or an age (90m, 24h, 7d), not {when!r}"
        ) from None


def _last(when: str, until: float) -> datetime:
    """The last moment at which the clock showed this time."""
    latest = datetime.fromtimestamp(until).astimezone()
    moment = datetime.combine(latest.date(), Time.fromisoformat(when.zfill(5)))
    return moment if moment.astimezone() <= latest else moment - timedelta(days=1)


def period_us(words: str, option: str) -> tuple[int | None, int | None] | None:
    """``7d..3d``, ``2026-11-01..2026-11-15``, ``3d..`` as its beginning and its end; ``None``:
    this is no period."""
    begin, dots, end = words.partition("..")
    if not dots:
        return None
    began, ended = (moment_us(part, option) if part else None for part in (begin, end))
    return began, ended
