"""The table in docs/delivery.md, row by row: a real call, something that goes wrong, and at the end
the same four things: the agent noticed nothing, nothing is lost, nothing is doubled, and every span
is below its parent."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from prefactor_agent.config import Settings
from prefactor_agent.core import forks
from prefactor_agent.deliver.common.push import Pushed
from prefactor_agent.deliver.prefactor import target
from prefactor_agent.deliver.prefactor.target import Prefactor
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.reader import Journal
from support import waiting
from support.prefactor_server import PrefactorServer
from support.waiting import PATIENCE

from ..agent import Agent, warnings
from ..calls import SPANS_PER_TURN, whole_call
from ..conftest import Side
from ..processes import Zygote
from ..pushed import pushed as push_to
from ..talk import Outcome, talk
from .arrived import arrived

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def settings(server: PrefactorServer, tmp_path: Path) -> Settings:
    return Settings(
        journal=tmp_path / "journal.db",
        api_url=server.url,
        api_token=SecretStr(server.token),
        flush_interval=0.02,
    )


@pytest_asyncio.fixture
async def agent(settings: Settings) -> AsyncIterator[Agent]:
    made = Agent(settings)
    yield made
    await made.stop()


async def pushed(settings: Settings) -> Pushed:
    return await push_to(Prefactor(settings))


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(waiting.until, condition)


IMPATIENT = """
    import multiprocessing.util, signal, sys
    from pathlib import Path
    from pydantic import SecretStr
    from prefactor_agent.config import Settings
    from prefactor_agent.journal.writer import JournalWriter
    from prefactor_agent.pipeline import Pipeline
    from prefactor_agent.record.spans.tree import SpanTree
    def interrupted(self, timeout):
        print(type(self).__name__, flush=True)
        signal.raise_signal(signal.SIGINT)
    multiprocessing.util.Finalize(None, print, args=("the program's own",), exitpriority=50)
    pipeline = Pipeline(
        Settings(journal=Path(sys.argv[1]), api_url="http://127.0.0.1:9",
                 api_token=SecretStr("none"), flush_timeout=60),
        lambda session_id, reason: None,
    )
    pipeline.begin()
    pipeline._starting.join()
    SpanTree(pipeline).announce({})
    JournalWriter.flush = Pipeline._deliver = interrupted
"""


def test_ctrl_c_ends_the_wait_for_the_last_flush(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(IMPATIENT), str(tmp_path / "journal.db")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    told = ["JournalWriter", "Pipeline", "the program's own"]
    assert (ended.returncode, ended.stdout.splitlines()) == (0, told)
    assert "KeyboardInterrupt" not in ended.stderr


# The network and the service

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("refuse", {"seconds": 1.0}),
    ("hang", {"times": 1}),
    ("hang_after", {"times": 1}),
    ("delay", {"delay": 0.2, "times": 5}),
    ("status", {"status": 500, "times": 3}),
    ("status", {"status": 503, "times": 2, "path": "/start"}),
    ("rate_limit", {"retry_after": 1, "times": 2}),
    ("reset", {"times": 3}),
    ("reset_after", {"times": 3}),
    ("reset_after", {"times": 1, "path": "/bulk"}),
    ("reset_after", {"times": 1, "path": "/register"}),
    ("reset_after", {"times": 1, "path": "/finish"}),
    ("bulk_cut", {"times": 1, "items": 5}),
    ("html", {"times": 2, "status": 200}),
    ("html", {"times": 2, "status": 502}),
    ("html", {"times": 2, "status": 403}),
    ("html_after", {"times": 2, "status": 200}),
    ("truncated", {"times": 2}),
    ("drip", {"times": 2, "interval": 0.01, "chunk": 512}),
    ("drip", {"times": 3, "interval": 0.5, "chunk": 16}),
]


@pytest.mark.parametrize(("kind", "options"), FAULTS, ids=str)
async def test_a_fault_costs_time_and_nothing_else(
    server: PrefactorServer,
    agent: Agent,
    kind: str,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind in ("hang", "hang_after", "drip"):
        monkeypatch.setattr(target, "REQUEST_TIMEOUT_S", 1.0)
    fault = server.fault(kind, **options)
    await agent.call()
    await agent.delivered()
    assert kind == "refuse" or fault.hits() > 0
    arrived(server, agent.settings.journal)


async def test_a_call_arrives_when_the_service_comes_up_later(
    server: PrefactorServer, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    fault = server.fault("refuse")
    await agent.call()
    await until(lambda: warnings(caplog))
    assert not await agent.flushed(0.5)
    [line] = warnings(caplog)
    assert "cannot be reached" in line
    fault.clear()
    await agent.delivered()
    arrived(server, agent.settings.journal)


async def test_push_delivers_a_call_during_which_the_service_was_down(
    server: PrefactorServer, agent: Agent
) -> None:
    fault = server.fault("refuse")
    await agent.call()
    assert not await agent.flushed(0.5)
    await agent.stop()
    fault.clear()
    done = await pushed(agent.settings)
    assert (done.calls, done.left, done.problem) == (1, 0, None)
    assert arrived(server, agent.settings.journal) == done.spans


async def test_a_refused_span_type_parks_only_its_spans(
    server: PrefactorServer, agent: Agent
) -> None:
    server.fault("reject_type", schema_name="livekit:tts")
    await agent.call()
    await agent.delivered()
    arrived(server, agent.settings.journal, refused=frozenset({"livekit:tts"}))
    outbox = Outbox(agent.settings.journal)
    [(type_, error, count)] = outbox.parked()
    outbox.close()
    assert type_ == "livekit:tts"
    assert count >= 3, "older versions call the node for a reply that is only a tool call, too"
    assert "is refused" in error


async def test_a_call_arrives_when_its_counts_are_redacted(
    server: PrefactorServer, settings: Settings
) -> None:
    """Anything may stand in the place of anything."""
    agent = Agent(dataclasses.replace(settings, redact_keys=frozenset({"streams"})))
    await agent.call()
    await agent.delivered()
    await agent.stop()
    arrived(server, settings.journal)


async def test_a_span_that_is_damaged_in_the_journal_is_parked(
    server: PrefactorServer, agent: Agent
) -> None:
    """It is kept with the reason, and holds up no other."""
    fault = server.fault("refuse")
    await agent.call()
    assert not await agent.flushed(0.5)
    await agent.stop()
    with sqlite3.connect(agent.settings.journal) as connection:
        (damaged,) = connection.execute("SELECT span_id FROM chunks LIMIT 1").fetchone()
        connection.execute("UPDATE chunks SET columns = '{' WHERE span_id = ?", (damaged,))
    fault.clear()
    done = await pushed(agent.settings)
    assert (done.calls, done.left, done.parked) == (1, 0, 1)
    outbox = Outbox(agent.settings.journal)
    [(_, error, _)] = outbox.parked()
    outbox.close()
    assert error.startswith("damaged in the journal: ")


async def test_a_session_that_is_damaged_in_the_journal_holds_up_no_other(
    server: PrefactorServer, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is kept, and holds up no other."""
    fault = server.fault("refuse")
    await agent.call()
    await agent.call()
    assert not await agent.flushed(0.5)
    await agent.stop()
    with sqlite3.connect(agent.settings.journal) as connection:
        connection.execute("UPDATE spans SET payload = '[', result = '[' WHERE rowid = 1")
        connection.execute("UPDATE calls SET registration = NULL")  # as before its first round
    fault.clear()
    done = await pushed(agent.settings)
    assert done.calls == 1
    assert "its session is damaged in the journal" in caplog.text
    assert len(server.instances()) == 1


async def test_a_revoked_token_ends_delivery_and_not_the_journal(
    server: PrefactorServer, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    fault = server.fault("revoke", skip=3)
    await agent.call()
    await until(lambda: warnings(caplog))
    assert not await agent.flushed(1.0)
    [line] = warnings(caplog)
    assert "does not accept the token" in line
    assert server.token not in caplog.text
    await agent.stop()
    fault.clear()
    assert (await pushed(agent.settings)).problem is None
    arrived(server, agent.settings.journal)


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "one by one"])
@pytest.mark.parametrize("begun", [True, False], ids=["during the call", "from the start"])
async def test_a_call_arrives_when_ids_made_here_are_refused(
    server: PrefactorServer, agent: Agent, bulk: bool, begun: bool
) -> None:
    if not bulk:
        server.fault("no_bulk")
    talking = asyncio.create_task(agent.call(turns=4))
    if begun:
        await until(lambda: len(server.spans()) >= 3)
    server.fault("no_custom_ids")
    await talking
    await agent.delivered()
    arrived(server, agent.settings.journal)


async def test_a_call_arrives_when_the_service_is_restarted(
    server: PrefactorServer, agent: Agent
) -> None:
    talking = asyncio.create_task(agent.call(turns=4))
    await until(lambda: len(server.spans()) >= 3)
    await asyncio.to_thread(server.restart)
    await talking
    await agent.delivered()
    arrived(server, agent.settings.journal)


async def test_a_payload_of_five_megabytes_is_cut_and_says_so(
    server: PrefactorServer, agent: Agent
) -> None:
    await agent.call(turns=1, answer="a word, " * 655_360)
    await agent.delivered()
    arrived(server, agent.settings.journal)
    [found] = [span for span in server.spans() if span.type.startswith("livekit:tool:")]
    assert found.result is not None
    assert found.result["truncated"] is True
    assert found.result["original_size"] > 5_000_000


async def test_a_backlog_of_ten_thousand_spans_arrives(
    server: PrefactorServer, settings: Settings
) -> None:
    """Of calls that had no token when they were recorded; and one that goes on meanwhile."""
    offline = Side(settings.journal.parent, server, api_token=None)
    for _ in range(20):
        whole_call(offline.writer, turns=72)
    assert await asyncio.to_thread(offline.writer.flush, PATIENCE)
    agent = Agent(settings)
    pushing = asyncio.create_task(pushed(settings))
    await agent.call()
    done = await pushing
    await agent.delivered()
    await agent.stop()
    assert done.spans >= 20 * (72 * SPANS_PER_TURN + 1) > 10_000
    arrived(server, settings.journal)


# Processes


@pytest.fixture
def expected() -> Outcome:
    """A call of a zygote's child, as it goes without us."""
    return asyncio.run(talk(traced=False))


def test_two_forked_processes_each_deliver_their_own_call(
    server: PrefactorServer, settings: Settings, zygote: Zygote, expected: Outcome
) -> None:
    children = [zygote.fork(settings.journal, server.url, server.token) for _ in range(2)]
    for child in children:
        zygote.join(child)
        assert child.outcome() == expected
        assert child.log() == []
    assert len(server.instances()) == 2
    arrived(server, settings.journal)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
async def test_a_fork_leaves_the_parents_call_to_the_parent(
    server: PrefactorServer, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "_LONGEST_S", PATIENCE)  # a disk may take longer than it waits
    talking = asyncio.create_task(agent.call(turns=4))
    await until(lambda: len(server.spans()) >= 3)
    child = os.fork()
    if child == 0:
        os._exit(0 if _has_a_call_of_its_own(agent) else 1)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    await talking
    await agent.delivered()
    assert len(server.instances()) == 2
    arrived(server, agent.settings.journal)


def _has_a_call_of_its_own(agent: Agent) -> bool:
    done = False

    def call() -> None:
        nonlocal done
        asyncio.run(talk())
        done = agent.pipeline.flush(PATIENCE)

    # In a thread of its own: the one that forked is in the middle of the parent's event loop.
    import threading

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(2 * PATIENCE)
    return done


# The machine


def test_a_full_disk_is_waited_for_while_delivery_runs(
    server: PrefactorServer, settings: Settings, zygote: Zygote, expected: Outcome
) -> None:
    child = zygote.fork(settings.journal, server.url, server.token, trouble="disk_full")
    zygote.join(child)
    assert child.outcome() == expected
    # Who writes the file and who reads it may each meet the full disk.
    writes, reads = "cannot be written now", "cannot be read or written now"
    assert [line for line in child.log() if writes in line]
    assert len(child.log()) <= 1 + any(reads in line for line in child.log()), child.log()
    arrived(server, settings.journal)


@pytest.fixture
def for_all() -> Iterator[Path]:
    """A folder that every user may look into, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_what_a_read_only_journal_holds_can_be_pushed(
    server: PrefactorServer, for_all: Path, zygote: Zygote, expected: Outcome
) -> None:
    """Nothing of this call can be kept; what was kept before is delivered all the same."""
    journal = for_all / "journal.db"
    before = zygote.fork(journal, server.url, None)
    zygote.join(before)
    for part in for_all.iterdir():
        part.chmod(0o444)
    child = zygote.fork(journal, server.url, server.token, trouble="unprivileged")
    zygote.join(child)
    assert child.outcome() == expected
    assert len([line for line in child.log() if "PREFACTOR_JOURNAL" in line]) == 1
    assert len(child.log()) == 1
    assert server.instances() == []
    for part in for_all.iterdir():
        part.chmod(0o600)
    settings = Settings(journal=journal, api_url=server.url, api_token=SecretStr(server.token))
    asyncio.run(pushed(settings))
    assert len(server.instances()) == 1
    arrived(server, journal)


async def test_a_damaged_journal_is_replaced_while_delivery_runs(
    server: PrefactorServer, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    """The call before was delivered; the file is damaged then, under an agent that runs on."""
    journal = agent.settings.journal
    await agent.call(turns=1)
    await agent.delivered()
    await until(lambda: agent.pipeline._writer._file.opened is None)  # it lets go of the file
    earlier = len(server.spans())
    with journal.open("r+b") as file:
        file.write(b"\0" * 4096)
    for suffix in ("-wal", "-shm"):
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)
    await agent.call()
    await until(lambda: len(server.instances()) == 2)
    await agent.delivered()
    assert any("set aside" in line for line in warnings(caplog))
    reader = Journal(journal)
    kept = reader.call(reader.find("last"))
    reader.close()
    assert len(server.spans()) == earlier + len(kept)
    assert server.violations() == []


async def test_a_clock_that_is_stepped_back_changes_no_times(
    server: PrefactorServer, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, nanoseconds, back = time.time, time.time_ns, [0]
    monkeypatch.setattr(time, "time", lambda: seconds() - back[0])
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() - back[0] * 1_000_000_000)

    def step(turn: int) -> None:
        back[0] = 3_600 * (turn == 2)  # of 4; and on again, so that each call begins at one time

    await agent.call(turns=4, during=step)
    await agent.delivered()
    arrived(server, agent.settings.journal)
    begun = sorted(datetime.fromisoformat(span.started_at) for span in server.spans())
    assert begun[-1] - begun[0] < timedelta(minutes=30)
    assert all((span.finished_at or "") >= span.started_at for span in server.spans())
