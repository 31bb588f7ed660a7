"""The totals as Prometheus reads them: by the command, and where a worker is asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from metrics.counted import count
from prefactor_agent import configure
from prefactor_agent.journal import schema
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.metrics import series
from prefactor_agent.metrics.prometheus import collector
from prefactor_agent.metrics.prometheus.reporter import Reporter
from prefactor_agent.metrics.series import SERIES
from support.prometheus import program
from support.waiting import PATIENCE, until
from view import calls
from view.commandline import run
from view.journals import renamed, set_process

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    count(path, calls.over_budget_call())
    return path


@pytest.fixture
def registry() -> CollectorRegistry:
    """As the worker's, with our collector only."""
    made = CollectorRegistry(auto_describe=True)
    made.register(collector.JournalCollector())
    return made


def scraped(registry: CollectorRegistry) -> Samples:
    return samples(generate_latest(registry).decode())


def test_the_command_prints_all_series(journal: Path) -> None:
    done = run("metrics", journal=journal)
    assert done.returncode == 0, done.stderr
    found = samples(done.stdout)
    assert value(found, "prefactor_calls_total", agent="Concierge", outcome="complete") == 1
    assert value(found, "prefactor_dead_air_seconds_count", agent="Concierge") == 1
    assert value(found, "prefactor_dead_air_seconds_sum", agent="Concierge") == 2.4
    assert value(found, "prefactor_dead_air_seconds_bucket", agent="Concierge", le="2.0") == 0
    assert value(found, "prefactor_dead_air_seconds_bucket", agent="Concierge", le="2.5") == 1
    assert value(found, "prefactor_dead_air_seconds_bucket", agent="Concierge", le="+Inf") == 1
    assert value(found, "prefactor_barge_in_seconds_count") == 0
    assert value(found, "prefactor_backlog_spans", target="prefactor") == 0
    assert "prefactor_backlog_oldest_timestamp_seconds{" not in done.stdout, "nothing waits"
    for one in SERIES.values():
        assert f"# HELP {one.name} {one.about}\n# TYPE {one.name} {one.kind}\n" in done.stdout


def test_promtool_finds_nothing_wrong(journal: Path) -> None:
    promtool = program("promtool")
    outbox = Outbox(journal)
    outbox.update_call(calls.SESSION, wanted=1)
    outbox.close()
    printed = run("metrics", journal=journal).stdout
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=printed, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_file_for_the_node_exporter_is_replaced_as_a_whole(
    journal: Path, tmp_path: Path
) -> None:
    file = tmp_path / "prefactor.prom"
    file.write_text("old")
    assert run("metrics", "-o", file, journal=journal).returncode == 0
    assert file.read_text() == run("metrics", journal=journal).stdout
    assert file.stat().st_mode & 0o777 == 0o644
    assert {one.name for one in tmp_path.iterdir() if ".prom" in one.name} == {file.name}
    missing = run("metrics", "-o", tmp_path / "no" / "file", journal=journal)
    assert missing.returncode == 1
    assert missing.stderr.endswith("choose another with -o\n")


def test_no_journal_is_one_line(tmp_path: Path) -> None:
    done = run("metrics", journal=tmp_path / "none.db")
    assert done.returncode == 1
    assert "no journal" in done.stderr


def test_a_worker_says_what_the_command_says(journal: Path, registry: CollectorRegistry) -> None:
    assert scraped(registry) == samples(run("metrics", journal=journal).stdout)


def test_a_worker_reports_nothing_without_a_journal_or_when_it_is_told_not_to(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    assert scraped(registry) == {}
    assert not (tmp_path / "journal.db").exists()
    count(tmp_path / "journal.db", calls.over_budget_call())
    assert scraped(registry) != {}
    configure(metrics=False)
    assert scraped(registry) == {}
    configure(metrics=True, disabled=True)
    assert scraped(registry) == {}


def test_a_killed_call_is_counted_when_the_worker_is_asked(
    journal: Path, registry: CollectorRegistry
) -> None:
    count(journal, renamed([calls.session(None)], "killed"))
    found = scraped(registry)
    assert value(found, "prefactor_calls_total", agent="Concierge", outcome="lost") == 0, (
        "it is there before: who sees it at 1 first sees no increase"
    )
    set_process(journal, None)
    for _ in range(2):
        found = scraped(registry)
        assert value(found, "prefactor_calls_total", agent="Concierge", outcome="lost") == 1


def test_while_the_journal_is_locked_the_last_values_stay(
    journal: Path, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scraped(registry)
    journal.write_bytes(b"no journal any more" * 100)
    assert scraped(registry) == before


def test_nothing_is_read_on_an_event_loop(journal: Path) -> None:
    threads: list[threading.Thread] = []

    class Watched(collector.JournalCollector):
        def _read(self) -> Any:
            threads.append(threading.current_thread())
            return super()._read()

    registry = CollectorRegistry(auto_describe=True)
    registry.register(Watched())
    assert threads == [], "nor when it is registered"

    async def scrape() -> None:
        while not scraped(registry):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scrape(), PATIENCE))
    assert threads
    assert threading.main_thread() not in threads
    assert scraped(registry) != {}
    assert threads[-1] is threading.main_thread(), "on a thread without a loop it may wait"


def test_one_of_several_workers_reports(journal: Path) -> None:
    first, second, other = Reporter(), Reporter(), Reporter()
    assert first.is_chosen(journal)
    assert not second.is_chosen(journal)
    assert first.is_chosen(journal)
    assert other.is_chosen(journal.with_name("other.db"))
    first.close()
    assert second.is_chosen(journal)
    assert not first.is_chosen(journal)
    second.close()
    other.close()


REPORTING = """
    import sys, time
    from pathlib import Path
    from prefactor_agent.metrics.prometheus.reporter import Reporter

    reporter = Reporter()
    print(reporter.is_chosen(Path(sys.argv[1])), flush=True)
    time.sleep(600)
"""


def test_when_the_reporting_worker_is_killed_another_reports(
    journal: Path, registry: CollectorRegistry
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(REPORTING), journal],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    assert scraped(registry) == {}
    other.kill()
    other.wait()
    other.stdout.close()
    until(lambda: value(scraped(registry), series.TURNS, agent="Concierge", role="agent") == 1)


def test_the_lock_is_the_owners_alone(journal: Path, registry: CollectorRegistry) -> None:
    scraped(registry)
    [lock] = journal.parent.glob("journal.db-metrics")
    assert lock.stat().st_mode & 0o777 == 0o600


def test_a_bound_of_another_version_counts_where_the_next_larger_one_is(
    journal: Path, registry: CollectorRegistry
) -> None:
    connection = schema.connect(journal, 5.0)
    connection.execute("UPDATE totals SET bound = '1.6' WHERE bound = '2.5'")
    connection.close()
    found = scraped(registry)
    le = {
        bound: value(found, "prefactor_dead_air_seconds_bucket", agent="Concierge", le=bound)
        for bound in ("1.5", "2.0", "+Inf")
    }
    assert le == {"1.5": 0, "2.0": 1, "+Inf": 1}
