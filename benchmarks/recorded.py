"""Many calls made from a real one: the same spans under other ids and at other times."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from prefactor_agent.journal import schema

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"\b[0-9a-hjkmnp-tv-z]{32}\b")
_DAY_US = 86_400_000_000


class Recorded(NamedTuple):
    """The rows of one call of a journal."""

    session_id: str
    spans: list[tuple[object, ...]]
    chunks: list[tuple[object, ...]]

    @classmethod
    def last_of(cls, journal: Path) -> Recorded:
        with closing(sqlite3.connect(journal)) as connection:
            [id_] = connection.execute(
                "SELECT id FROM spans WHERE parent_id IS NULL ORDER BY started_us DESC"
            ).fetchone()
            spans = connection.execute(
                "SELECT id, session_id, parent_id, type, name, status, started_us, finished_us, "
                "payload, result FROM spans WHERE session_id = ? ORDER BY rowid",
                (id_,),
            ).fetchall()
            chunks = connection.execute(
                "SELECT span_id, stream, columns FROM chunks WHERE span_id IN "
                "(SELECT id FROM spans WHERE session_id = ?) ORDER BY rowid",
                (id_,),
            ).fetchall()
        return cls(id_, spans, chunks)

    def again(self, at_us: int, chance: random.Random) -> Recorded:
        """The same call under ids of its own, begun at another moment."""
        root = next(row for row in self.spans if row[0] == self.session_id)
        shift = at_us - int(str(root[6]))
        new: dict[str, str] = {}
        for row in self.spans:
            began = int(str(row[6])) + shift
            new[str(row[0])] = _encode(began // 1000, 10) + "".join(chance.choices(_ALPHABET, k=22))

        def named(text: object) -> object:
            return _ID.sub(lambda m: new.get(m[0], m[0]), text) if isinstance(text, str) else text

        def moved(us: object) -> object:
            return us + shift if isinstance(us, int) else us

        return Recorded(
            new[self.session_id],
            [
                (*map(named, row[:6]), moved(row[6]), moved(row[7]), named(row[8]), named(row[9]))
                for row in self.spans
            ],
            [(new[str(span)], stream, columns) for span, stream, columns in self.chunks],
        )


def spread(call: Recorded, count: int, days: float, until_us: int) -> Iterator[Recorded]:
    """``count`` calls made from one, over the days before a moment, the oldest first."""
    chance = random.Random(7)
    for number in range(count):
        ago = days * _DAY_US * (1 - (number + 1) / (count + 1))
        yield call.again(int(until_us - ago), chance)


def write(journal: Path, calls: Iterator[Recorded]) -> None:
    """Write calls as their processes would have, each in a transaction."""
    with closing(schema.connect(journal, 5.0)) as connection:
        for call in calls:
            with schema.transaction(connection):
                connection.executemany(
                    "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", call.spans
                )
                connection.executemany("INSERT INTO chunks VALUES (?, ?, ?)", call.chunks)


def _encode(value: int, characters: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(characters)))
