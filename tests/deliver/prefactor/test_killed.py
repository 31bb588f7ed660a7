"""``kill -9`` in the middle of real calls, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import statistics
import time
from pathlib import Path

from pydantic import SecretStr

from prefactor_agent.config import Settings
from prefactor_agent.deliver.prefactor.target import Prefactor
from prefactor_agent.journal.reader import Journal, JournalError
from support.prefactor_server import PrefactorServer

from ..processes import Put, Zygote
from ..pushed import pushed
from .arrived import arrived

KILLS = int(os.environ.get("PREFACTOR_TEST_KILLS", "40"))
"""How many processes are killed; each takes half a second."""
AT_ONCE = 4
TURNS = 5


def test_kills_lose_at_most_what_came_after_the_last_write(
    zygote: Zygote, server: PrefactorServer, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    settings = Settings(journal=journal, api_url=server.url, api_token=SecretStr(server.token))
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    whole = zygote.fork(tmp_path / "whole.db", server.url, None, turns=TURNS)
    zygote.join(whole)
    last = len(whole.puts())
    ran = 0
    lost: list[float] = []
    for _ in range(KILLS // AT_ONCE):
        # After so many of its puts; some before they begin, some after their end.
        killed_at = {
            zygote.fork(journal, server.url, server.token, turns=TURNS, waits=True): moment
            for moment in (chance.randrange(round(1.2 * last)) for _ in range(AT_ONCE))
        }
        while killed_at:
            for child, moment in list(killed_at.items()):
                puts = child.puts()
                if len(puts) < moment and (not puts or _runs(puts)):
                    continue
                del killed_at[child]
                killed_ns = zygote.kill(child)
                puts = child.puts()
                ran += bool(puts) and _runs(puts)
                lost += _lost(journal, puts, child.writes(), killed_ns)
            time.sleep(0.001)
    with sqlite3.connect(journal) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    connection.close()
    assert ran > KILLS // 4, "most should be in the middle of something"
    # What begins or ends waits for the flush interval (tests/journal/test_killed.py has words and
    # loudness), and then for one write, whose time is up to the machine.
    print(f"seconds lost: median {statistics.median(lost):.3f}, worst {max(lost):.3f}")

    done = asyncio.run(pushed(Prefactor(settings)))
    assert (done.problem, done.left, done.parked, done.running) == (None, 0, 0, 0)
    arrived(server, journal)
    reader = Journal(journal)
    for root in reader.sessions():
        ended_by_itself = root.status == "complete"
        assert ended_by_itself or (root.status, root.result["reason"]) == (
            "failed",
            "process ended",
        )
    reader.close()


def _runs(puts: list[Put]) -> bool:
    """Whether the call had not ended."""
    return not any(put.span_id == put.session_id and put.status != "active" for put in puts)


def _lost(journal: Path, puts: list[Put], writes: list[int], killed_ns: int) -> list[float]:
    """The journal can be read, and what is not in it is the end of the call, put after the last
    write had begun: of how many seconds, if anything is lost."""
    if not puts:
        return []
    kept: dict[str, str] = {}
    # The first one may be killed before it had made its file.
    with contextlib.suppress(JournalError), contextlib.closing(Journal(journal)) as reader:
        kept = {span.id: span.status for span in reader.call(puts[0].session_id)}
    lost = [
        put
        for put in puts
        if put.span_id not in kept or (put.status != "active" and kept[put.span_id] == "active")
    ]
    if not lost:
        return []
    # The last one that was noted before that may have come a moment too late.
    written = [put for put in puts if writes and put.at_ns < writes[-1]][:-1]
    assert not set(written) & set(lost), "something is lost that was written"
    known_before = {put.span_id for put in puts if put.at_ns < lost[0].at_ns}
    begun_after = {put.span_id for put in puts if put.at_ns > lost[0].at_ns} - known_before
    assert not begun_after & kept.keys(), "something in the middle is lost"
    return [(killed_ns - lost[0].at_ns) / 1e9]
