"""``kill -9`` in the middle of real calls that are sent to an OpenTelemetry backend."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from pathlib import Path

from prefactor_agent.config import Settings
from prefactor_agent.deliver.otlp.mapping import to_span
from prefactor_agent.deliver.otlp.target import Otlp
from support.otlp_receiver import OtlpReceiver

from ..processes import Zygote
from ..pushed import pushed
from .arrived import arrived
from .ended import of_journal

KILLS = 30
AT_ONCE = 3
TURNS = 5


def test_every_span_that_was_kept_arrives_although_its_process_is_killed(
    zygote: Zygote, receiver: OtlpReceiver, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    whole = zygote.fork(tmp_path / "whole.db", "", None, otlp=receiver.url, turns=TURNS)
    zygote.join(whole)
    receiver.taken.clear()
    last = len(whole.puts())
    for _ in range(KILLS // AT_ONCE):
        killed_at = {
            zygote.fork(journal, "", None, otlp=receiver.url, turns=TURNS, waits=True): moment
            for moment in (chance.randrange(1, round(1.2 * last)) for _ in range(AT_ONCE))
        }
        while killed_at:
            for child, moment in list(killed_at.items()):
                puts = child.puts()
                over = any(p.span_id == p.session_id and p.status != "active" for p in puts)
                if len(puts) < moment and not over:
                    continue
                del killed_at[child]
                zygote.kill(child)
            time.sleep(0.001)
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    sent_by_themselves = len(receiver.spans)

    done = asyncio.run(pushed(Otlp(Settings(journal=journal, otlp=True))))
    assert (done.problem, done.left, done.parked, done.running) == (None, 0, 0, 0)
    assert done.spans > 0
    arrived(receiver, journal, doubled=True)
    print(f"{sent_by_themselves} spans were sent before the push, {done.spans} by it")
    roots = [row for row in of_journal(journal) if row.parent_id is None]
    assert len(roots) > KILLS // 2, "most had begun"
    there = {span.span_id for span in receiver.spans}
    assert all(span.span_id in there for span in map(to_span, roots) if span is not None)
