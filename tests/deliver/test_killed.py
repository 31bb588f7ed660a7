"""``kill -9`` in the middle of real calls, a hundred times."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import statistics
import time
from pathlib import Path

from pydantic import SecretStr

from prefactor_agent.config import Settings
from prefactor_agent.deliver.push import push
from prefactor_agent.deliver.target import target
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.reader import Journal, JournalError
from support.prefactor_server import PrefactorServer

from .arrived import arrived
from .processes import Put, Zygote

KILLS = 100
AT_ONCE = 4
LONGEST_S = 0.6
"""A call takes about half a second: some are killed before they begin, some after their end."""


def test_a_hundred_kills_lose_at_most_the_last_flush_interval(
    zygote: Zygote, server: PrefactorServer, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    settings = Settings(journal=journal, api_url=server.url, api_token=SecretStr(server.token))
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ran = 0
    lost: list[float] = []
    for _ in range(KILLS // AT_ONCE):
        begun = time.monotonic()
        moments = sorted(chance.uniform(0.0, LONGEST_S) for _ in range(AT_ONCE))
        children = [
            zygote.fork(journal, server.url, server.token, turns=5, waits=True) for _ in moments
        ]
        for moment, child in zip(moments, children, strict=True):
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            killed_ns = zygote.kill(child)
            puts = child.puts()
            ran += bool(puts) and _runs(puts)
            lost += _lost(journal, puts, killed_ns)
    with sqlite3.connect(journal) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    connection.close()
    assert ran > KILLS // 4, "most should be in the middle of something"
    # Each within the flush interval and the time of one write; how long a write takes is up to the
    # machine, so the one in the middle is held to it.
    print(f"seconds lost: median {statistics.median(lost):.3f}, worst {max(lost):.3f}")
    assert statistics.median(lost) <= settings.flush_interval + 0.05

    outbox = Outbox(journal)
    aim = target(settings)
    assert aim is not None
    done = asyncio.run(push(settings, aim, outbox, patience=10.0, watch=lambda _: None))
    outbox.close()
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


def _lost(journal: Path, puts: list[Put], killed_ns: int) -> list[float]:
    """The journal can be read, and what is not in it is the end of the call: of how many seconds,
    if anything is lost."""
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
    known_before = {put.span_id for put in puts if put.at_ns < lost[0].at_ns}
    begun_after = {put.span_id for put in puts if put.at_ns > lost[0].at_ns} - known_before
    assert not begun_after & kept.keys(), "something in the middle is lost"
    return [(killed_ns - lost[0].at_ns) / 1e9]
