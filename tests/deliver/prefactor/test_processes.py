"""Several processes on one journal, and processes that are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from prefactor_agent.deliver.prefactor.address import address
from prefactor_agent.deliver.prefactor.api import Api
from prefactor_agent.deliver.prefactor.call_delivery import CallDelivery
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.reader import Journal, JournalError
from support.prefactor_server import PrefactorServer
from support.waiting import until

from ..calls import begin_call, tool, whole_call
from ..conftest import Side
from ..processes import Zygote
from .arrived import arrived

HERE = Path(__file__).parents[2]

RECORDER = """
    import sys, time
    from pathlib import Path
    from pydantic import SecretStr
    from deliver.calls import assistant_turn, begin_call, end_call, user_turn
    from prefactor_agent.config import Settings
    from prefactor_agent.deliver.common.deliverer import Deliverer
    from prefactor_agent.deliver.prefactor.target import Prefactor
    from prefactor_agent.journal.writer import JournalWriter

    journal, url, token, delivers, turns, pause = sys.argv[1:]
    settings = Settings(
        journal=Path(journal), api_url=url, api_token=SecretStr(token), flush_interval=0.02
    )
    writer = JournalWriter(settings)
    deliverer = Deliverer(Prefactor(settings))
    writer.after_write = deliverer.wake
    if delivers == "yes":
        deliverer.start()
    call = begin_call(writer)
    print(call.root.id, flush=True)
    for index in range(int(turns)):
        user_turn(call, 2 * index, "hello")
        assistant_turn(call, 2 * index + 1)
        time.sleep(float(pause))
    end_call(call)
    writer.flush(60)
    if delivers == "yes":
        print(deliverer.flush(60), flush=True)
"""


def record(
    journal: Path, server: PrefactorServer, *, delivers: bool = True, turns: int, pause: float
) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    arguments = [str(journal), server.url, server.token, "yes" if delivers else "no"]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RECORDER), *arguments, str(turns), str(pause)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def kept(journal: Path, session: str) -> int:
    """How many spans of a call the journal has."""
    with contextlib.suppress(JournalError), contextlib.closing(Journal(journal)) as reader:
        return len(reader.call(session))
    return 0


def check(server: PrefactorServer) -> None:
    spans = server.spans()
    assert len({span.id for span in spans}) == len(spans)
    assert {span.status for span in spans} <= {"complete", "failed", "cancelled"}
    assert len(server.tree()) == len(server.instances())
    assert server.violations() == []


def test_what_a_killed_process_left_is_delivered_by_the_next(
    server: PrefactorServer, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    process = record(journal, server, turns=10_000, pause=0.1)
    assert process.stdout is not None
    session = process.stdout.readline().strip()
    until(lambda: len(server.spans()) > 10)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    side = Side(tmp_path, server)
    side.deliverer.start()
    until(lambda: [i["status"] for i in server.instances()] == ["failed"])
    side.stop()
    reader = Journal(journal)
    kept = reader.call(session)
    reader.close()
    assert len(server.spans()) == len(kept)
    [root] = server.tree()
    assert root.status == "failed"
    assert root.result is not None
    assert root.result["error"] == {"error_type": "ProcessEnded", "message": "process ended"}
    check(server)


def test_several_processes_share_what_was_left(
    server: PrefactorServer, tmp_path: Path, zygote: Zygote
) -> None:
    journal = tmp_path / "journal.db"
    fault = server.fault("refuse")
    for _ in range(4):
        left = zygote.fork(journal, server.url, server.token, waits=True)
        until(lambda left=left: len(left.puts()) >= 30 and kept(journal, left.puts()[0].session_id))
        zygote.kill(left)
    fault.clear()
    children = [zygote.fork(journal, server.url, server.token) for _ in range(3)]
    for child in children:
        zygote.join(child)
    assert len(server.instances()) == 7
    assert all(span.creates == 1 for span in server.spans()), "nobody did another's work again"
    arrived(server, journal)


def test_a_running_call_of_another_process_is_left_to_it(
    server: PrefactorServer, tmp_path: Path
) -> None:
    process = record(tmp_path / "journal.db", server, delivers=False, turns=10_000, pause=0.2)
    assert process.stdout is not None
    running = process.stdout.readline().strip()
    until(lambda: kept(tmp_path / "journal.db", running))
    side = Side(tmp_path, server)
    side.deliverer.start()
    whole_call(side.writer)
    assert side.flush()
    assert len(server.instances()) == 1
    side.stop()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("pruned", [False, True])
async def test_a_call_that_was_claimed_too_long_ago_is_looked_at_again(
    server: PrefactorServer, tmp_path: Path, pruned: bool
) -> None:
    """Those before it took so long that another process has delivered it, or it was pruned."""
    side = Side(tmp_path, server)
    journal = side.settings.journal
    call = whole_call(side.writer, turns=1)
    side.write()
    aim = address(side.settings)
    assert aim is not None
    with contextlib.closing(Outbox(journal)) as ours, contextlib.closing(Outbox(journal)) as theirs:
        rows = ours.calls()
        assert ours.claim(call.root.id)
        theirs._me = "another|1|1"
        with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
            connection.execute("UPDATE calls SET owned_until = 0")
        async with Api(aim, "test@1") as api:
            if pruned:
                with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
                    for table in ("spans", "calls", "outbox"):
                        connection.execute(f"DELETE FROM {table}")
            else:
                assert theirs.claim(call.root.id)
                await CallDelivery(api, theirs, side.settings, "test@1").deliver(theirs.calls())
            before = len(server.requests())
            # What is registered depends on the tools that the journal has seen: another body.
            later = begin_call(side.writer)
            tool(later, later.root, "made_later")
            side.write()
            delivery = CallDelivery(api, ours, side.settings, "test@1")
            await delivery.deliver(rows)
        assert len(server.requests()) == before
        assert delivery.progress.parked == 0
        now = ours.call(call.root.id)
        assert now is None if pruned else now is not None and now.error is None
    assert server.violations() == []
