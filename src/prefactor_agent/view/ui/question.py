"""What the overview is asked: which period, agent and version, and what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

AGES = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
"""The periods that end now."""
PERIODS = {
    "24h": "last 24 hours",
    "7d": "last 7 days",
    "30d": "last 30 days",
    "90d": "last 90 days",
    "all": "all calls",
    "dates": "from … to …",
}
"""All that can be chosen, in words."""
BEFORE = "period before"
"""In the place of a version: this period is compared with the one before it."""
_LONGEST = 200
"""Characters of a name."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for. Texts are as the form has them; empty: any, or none."""

    period: str = "7d"
    """One of :data:`PERIODS`."""
    begin: str = ""
    end: str = ""
    """Local times (``2026-11-24T14:00``); what is none of them is left out."""
    agent: str = ""
    version: str = ""
    against: str = ""
    """A version, or :data:`BEFORE`."""
    sure: bool = False
    """Whether the intervals of a comparison are waited for."""
    reading: int = -1
    """The number of the reading that they belong to; less than zero: of the newest."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Question:
        """What an address asks for."""
        given = {
            name: query.get(name, "").strip()[:_LONGEST]
            for name in ("period", "begin", "end", "agent", "version", "against")
        }
        if given["period"] not in PERIODS:
            given["period"] = "dates" if given["begin"] or given["end"] else "7d"
        if given["period"] != "dates":
            given["begin"] = given["end"] = ""
        reading = query.get("reading", "")
        number = int(reading) if reading.isdecimal() and len(reading) < 10 else -1
        return cls(**given, sure="sure" in query, reading=number)

    def between(self, now_us: int) -> tuple[int | None, int | None]:
        """The period, in microseconds since the Unix epoch: calls that began at the first moment
        or later, and before the second; ``None``: no bound."""
        if (age := AGES.get(self.period)) is not None:
            return now_us - _us(age), None
        return _moment(self.begin), _moment(self.end)

    def before(self, now_us: int) -> tuple[int, int] | None:
        """The period of the same length before this one; ``None``: this one has no beginning."""
        begin, end = self.between(now_us)
        if begin is None:
            return None
        return begin - ((now_us if end is None else end) - begin), begin

    def address(self, **changes: str | bool | int) -> str:
        """The address of the answer, with something else asked for."""
        asked = replace(self, **changes)  # type: ignore[arg-type]  # as the fields are
        parts = {
            name: value
            for name in ("period", "begin", "end", "agent", "version", "against")
            if (value := getattr(asked, name))
        }
        if asked.sure:
            parts["sure"] = "1"
            if asked.reading >= 0:
                parts["reading"] = str(asked.reading)
        return f"/overview?{urlencode(parts)}"

    def during(self, begins_us: int, ends_us: int) -> str:
        """The address of the same question about a part of the period."""
        begin, end = map(_local, (begins_us, ends_us))
        return self.address(period="dates", begin=begin, end=end, against="")


def _us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _moment(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text).astimezone().timestamp() if text else None
    except (ValueError, OverflowError):
        return None
    # Nobody called before the epoch.
    return round(max(0.0, moment) * 1e6) if moment is not None else None


def _local(moment_us: int) -> str:
    return f"{datetime.fromtimestamp(moment_us / 1e6):%Y-%m-%dT%H:%M}"
