"""Every view gives one number of unanswered questions, and one longest wait."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import APIConnectionError, StopResponse

import prefactor_agent
from archive.hosts import push, say
from prefactor_agent import TracedAgent
from prefactor_agent.archive.reader import Archive
from prefactor_agent.figures import figures
from prefactor_agent.journal.reader import Journal
from prefactor_agent.view.many.compare import compare
from prefactor_agent.view.many.overview import overview
from prefactor_agent.view.many.overview_calls import PeriodCalls
from prefactor_agent.view.many.stats import collect
from prefactor_agent.view.model.digest import Digest, digest_of, digests
from support import virtual_time
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT
from view.calls import answer, question, session, spoken_call
from view.commandline import run
from view.digests import digest_of as made_of
from view.journals import write
from view.report.test_report import Page

AGENT, COUNT, LONGEST_MS = "Shop", 2, 4_300.0


class Shop(TracedAgent):
    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        if new_message.text_content == "not for you":
            await asyncio.sleep(0.5)
            raise StopResponse


async def talk() -> None:
    line = Line(
        hears=ScriptedSTT("one", "not for you", "two", "three", "four"),
        thinks=ScriptedLLM([], "Two.", [APIConnectionError("nobody is there")], "Four."),
    )
    async with line.to(Shop(instructions="x")):
        for _ in range(3):
            await line.says(then=3.0)
        await line.says(then=4.0)
        await line.says(then=3.0)
    # While the clock of the call is there: what is written later has another.
    assert await asyncio.to_thread(prefactor_agent.flush, 30)


@pytest.fixture
def journal(isolated: None, tmp_path: Path) -> Path:
    """A call as the tracer keeps it."""
    prefactor_agent.configure(keep_days=36_500)  # the clock of the call stands still in the past
    virtual_time.run(talk())
    return tmp_path / "journal.db"


def command(journal: Path, *arguments: str | Path) -> Any:
    done = run(*arguments, journal=journal)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def every(journal: Path, folder: Path) -> dict[str, tuple[Any, Any]]:
    """What each view says: how many, and how long the caller waited in vain at most."""
    command(journal, "report", "-o", folder / "page.html")
    page = Page((folder / "page.html").read_text()).text
    listed, shown = command(journal, "sessions", "--json"), command(journal, "show", "--json")
    (root, *others) = map(json.loads, command(journal, "export").splitlines())
    with closing(Journal(journal)) as source:
        worked_out = digest_of(source, root["id"]).summary
        (kept,) = digests(source)
        told = figures(journal, root["id"])
    assert push(journal, str(folder / "archive")) == 1
    with closing(Archive(str(folder / "archive"))) as archive:
        (archived,) = digests(archive)
    of_archive = json.loads(say("sessions", "--json", "--from", str(folder / "archive")))
    turns = [turn for turn in shown["turns"] if turn["unanswered"]]
    recorded = root["result"]["unanswered"]
    declined = [span for span in others if span["result"].get("declined")]
    assert [span["result"]["transcript"] for span in declined] == ["not for you"]
    assert [turn["user"] for turn in shown["turns"] if turn["declined"]] == ["not for you"]
    assert [turn["user"] for turn in turns] == ["one", "three"]
    assert f"Unanswered {COUNT} waited 4,300 ms in vain" in page
    assert page.count(" unanswered ") == COUNT  # beside each of them
    head = command(journal, "show", "--width", "120")
    assert "2 unanswered questions (waited 4.30 s in vain)" in head
    assert "no answer wanted" in head and "no answer wanted" in page
    return {
        "the session's span": (recorded["turns"], recorded["longest_ms"]),
        "sessions --json": (listed["unanswered"], listed["unanswered_worst_ms"]),
        "sessions --json of the archive": (
            of_archive["unanswered"],
            of_archive["unanswered_worst_ms"],
        ),
        "show --json": (shown["unanswered"], shown["unanswered_worst_ms"]),
        "the digest": (kept.summary.unanswered, kept.summary.unanswered_ms),
        "the digest of the archive": (archived.summary.unanswered, archived.summary.unanswered_ms),
        "the call": (worked_out.unanswered, worked_out.unanswered_ms),
        "Prefactor's quality": (told["unanswered"], told["unanswered_worst_ms"]),
    }


def test_every_view_says_the_same(journal: Path, tmp_path: Path) -> None:
    found = every(journal, tmp_path)
    assert {count for count, _ in found.values()} == {COUNT}, found
    longest = {ms for _, ms in found.values()}
    assert len(longest) == 1, found
    assert longest.pop() == pytest.approx(LONGEST_MS, abs=30)
    counted = f'prefactor_unanswered_turns_total{{agent="{AGENT}"}} {COUNT}.0'
    assert counted in command(journal, "metrics").splitlines()
    assert command(journal, "stats", "--json")["unanswered"] == COUNT
    assert "2 unanswered questions" in command(journal, "stats")


def test_the_list_shows_them_and_failed_includes_such_a_call(journal: Path) -> None:
    heading, row, *_ = command(journal, "sessions").splitlines()
    assert row[: heading.index("no answer") + len("no answer")].split()[-1] == str(COUNT)
    assert command(journal, "sessions", "--failed", "--json")["unanswered"] == COUNT
    quiet = write(journal.with_name("quiet.db"), quiet_call())
    assert "no answer" not in command(quiet, "sessions")
    assert run("sessions", "--failed", "--json", journal=quiet).stdout == ""


def quiet_call() -> list[Any]:
    return [
        session(8000, unanswered={"turns": 0, "user_turn_ids": []}),
        question("u1", 1000, 2000, "Good day."),
        answer("a1", 2000, 3000, user_turn_id="u1", spoken_text="Good day."),
    ]


def older() -> Digest:
    """A call of a version that did not look for them."""
    return made_of(spoken_call())


def looked(count: int) -> Digest:
    calls = [
        session(8000, unanswered={"turns": count, "longest_ms": 5000.0}),
        *[question(f"u{n}", 1000 * n, 1000 * n + 500, f"Number {n}?") for n in range(1, 5)],
    ]
    return made_of(calls)


def test_what_is_not_known_of_a_call_is_not_zero() -> None:
    assert older().summary.unanswered is None
    assert older().latencies.unanswered is None
    only_older = overview(PeriodCalls([older()]).of()).whole
    assert only_older.unanswered.value is None
    assert only_older.stats.unanswered is None
    assert collect([older().latencies]).unanswered is None
    assert collect([looked(0).latencies]).unanswered == 0
    rows = compare(("a", [older()]), ("b", [looked(1)])).rows
    (row,) = (row for row in rows if row.name == "unanswered")
    assert (row.before, row.after, row.counts) == (None, 0.25, (0, 4))


def test_many_calls_count_those_of_which_it_is_known() -> None:
    calls = [older(), looked(2), looked(0), looked(1)]
    whole = overview(PeriodCalls(calls).of()).whole
    assert (whole.unanswered.count, whole.unanswered.of) == (3, 12)
    assert whole.stats.unanswered == collect(call.latencies for call in calls).unanswered == 3
