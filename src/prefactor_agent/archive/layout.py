"""Where a call lies in the archive: hive partitions of the agent's name and the day on which the
call began (UTC), and in them

- ``ID.parquet``: a call that has ended;
- ``ID.running.parquet``: what a call had so far that runs for long. Its end replaces it;
- ``day-ID.parquet``: many calls that :mod:`.compact` has put together;
- ``ID.ogg``: the recording of a call that has ended, where recordings are archived.

Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from ..core.ids import ALPHABET

SUFFIX = ".parquet"
RECORDING = ".ogg"
RUNNING = ".running"
DAY = "day-"
_STAMP = 10
"""The characters of an id that say when it was made, in milliseconds since the epoch."""
_LONGEST = 120
"""Characters of an agent's name in a path. Of a longer one a hash distinguishes it."""


class Object(NamedTuple):
    """An object of the archive, as storage lists it."""

    path: str
    size: int
    tag: str | None
    """Another one after each change, where the storage has tags."""

    @classmethod
    def listed(cls, meta: Mapping[str, Any]) -> Object:
        return cls(meta["path"], meta["size"], meta["e_tag"])

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(SUFFIX).removesuffix(RECORDING)

    @property
    def many(self) -> bool:
        """Whether it has the calls of a day."""
        return self.name.startswith(DAY)

    @property
    def running(self) -> bool:
        """Whether the call was still running when it was written."""
        return self.name.endswith(RUNNING)

    @property
    def session_id(self) -> str:
        """Of an object with one call."""
        return self.name.removesuffix(RUNNING)


def partition(agent: str, started_us: int) -> str:
    """The folder of a call.

    Args:
        agent: The agent's name, of any characters.
        started_us: When the call began, in microseconds since the epoch.
    """
    return f"agent={escaped(agent)}/date={day_of(started_us).isoformat()}"


def escaped(agent: str) -> str:
    """An agent's name as Hive writes a partition's value: what is not plain, percent-encoded."""
    name = quote(agent, safe="", errors="replace").replace("~", "%7E") or "%20"
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(agent.encode(errors="replace")).hexdigest()[:12]
    return f"{quote(unquote(name[:_LONGEST])[:40], safe='')}-{digest}"


def object_path(folder: str, session_id: str, *, running: bool = False) -> str:
    return f"{folder}/{quote(session_id, safe='')}{RUNNING if running else ''}{SUFFIX}"


def recording_path(folder: str, session_id: str) -> str:
    return f"{folder}/{quote(session_id, safe='')}{RECORDING}"


def day_of(us: int) -> date:
    """The day (UTC) of a moment in microseconds since the epoch."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).date()


def day_in(path: str) -> date | None:
    """The day of a partition; ``None``: the path has none."""
    for part in path.split("/"):
        if part.startswith("date="):
            try:
                return date.fromisoformat(part.removeprefix("date="))
            except ValueError:
                return None
    return None


def days_of_id(beginning: str) -> tuple[date, date] | None:
    """The days on which a call can have begun whose id begins so; ``None``: it can be any."""
    stamp = beginning[:_STAMP]
    if not stamp or not set(stamp) <= set(ALPHABET):
        return None
    missing = _STAMP - len(stamp)
    least = _number(stamp + ALPHABET[0] * missing)
    most = _number(stamp + ALPHABET[-1] * missing)
    day = timedelta(days=1)  # a call that began at midnight has an id of the day before, or after
    try:
        return day_of(least * 1000) - day, day_of(most * 1000) + day
    except OverflowError:
        return None


def _number(text: str) -> int:
    value = 0
    for character in text:
        value = value << 5 | ALPHABET.index(character)
    return value
