"""A real Prometheus scrapes real workers whose job processes hold calls; one is killed."""

import asyncio
import os
import signal
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from samples.offline.processes import free_port

from e2e.test_room_failures import ask
from prefactor_agent.demo.script import CANCEL, INTERRUPTED, WHERE
from prefactor_agent.journal import retention
from prefactor_agent.metrics.series import ERRORS, SERIES, Kind
from prefactor_agent.stored.span import StoredSpan
from support.livekit import Site, Trace, Worker, together, trace_of
from support.prometheus import Prometheus, dashboard_queries
from support.waiting import until
from view.commandline import run

AGENT = Path(__file__).parent / "agents" / "metered.py"
COUNTERS = [
    one.name for one in SERIES.values() if one.kind is Kind.COUNTER and one.name != ERRORS
] + [
    f"{one.name}_{part}"
    for one in SERIES.values()
    if one.kind is Kind.HISTOGRAM
    for part in ("bucket", "count", "sum")
]


def metered(site: Site, name: str, port: int, journal: Path, **settings: str) -> Worker:
    """A worker whose calls stay in the journal: nobody ends those that were killed."""
    return site.worker(
        AGENT,
        settings={
            "METERED": name,
            "METRICS_PORT": str(port),
            "PREFACTOR_JOURNAL": str(journal),
            "PREFACTOR_API_TOKEN": "",
            **settings,
        },
    )


def by_label(spans: Sequence[StoredSpan]) -> dict[str, float]:
    """Tool calls, as ``outcome,tool``."""
    return dict(Counter(f"{tool.status},{tool.name}" for tool in spans))


def check_totals(prometheus: Prometheus, traces: Sequence[Trace]) -> None:
    """What Prometheus has is what the traces say, number for number."""
    spans = [span for trace in traces for span in trace.spans if span.status != "active"]
    kinds = Counter(span.type.removeprefix("livekit:") for span in spans)
    answers = [span for span in spans if span.type == "livekit:assistant_turn"]
    tools = [span for span in spans if span.type.startswith("livekit:tool:")]
    latencies = [span.result["latency"] for span in answers if "latency" in span.result]
    waits = [latency["perceived_ms"] for latency in latencies if latency["perceived_ms"] > 0]
    assert len(waits) >= 3
    wait = prometheus.until
    wait(
        "sum by (role) (prefactor_turns_total)",
        {"agent": kinds["assistant_turn"], "user": kinds["user_turn"]},
    )
    wait("sum by (outcome, tool) (prefactor_tool_calls_total) > 0", by_label(tools))
    wait("sum by (outcome, tool) (prefactor_tool_seconds_count)", by_label(tools))
    wait("sum(prefactor_dead_air_seconds_count)", {"": len(waits)})
    wait("round(sum(prefactor_dead_air_seconds_sum) * 1e6)", {"": round(sum(waits) * 1e3)})
    wait("round(sum(prefactor_stage_seconds_sum) * 1e6)", {"": round(sum(waits) * 1e3)})
    interrupted = sum(answer.result.get("interrupted") is True for answer in answers)
    wait("sum(prefactor_interruptions_total)", {"": interrupted})


async def test_prometheus_has_what_the_journal_has(site: Site, tmp_path: Path):
    first, second = free_port(), free_port()
    journal = tmp_path / "journal.db"
    with Prometheus(tmp_path / "prometheus", [first, second]) as prometheus:
        with metered(site, "metered", first, journal) as worker:
            async with (
                await site.phone("metered-1", agent="metered") as killed,
                await site.phone("metered-2", agent="metered") as spared,
            ):
                await together(ask(killed, WHERE), ask(spared, WHERE))
                await killed.say(INTERRUPTED)
                await killed.talking(1.0)
                os.kill(worker.job_process("metered-1"), signal.SIGKILL)
                await ask(spared, CANCEL)
            traces = [
                await asyncio.to_thread(trace_of, journal, "metered-1", until=lambda _: True),
                await asyncio.to_thread(trace_of, journal, "metered-2"),
            ]

            def check() -> None:
                check_totals(prometheus, traces)
                prometheus.until(
                    "sum by (outcome) (prefactor_calls_total) > 0", {"complete": 1, "lost": 1}
                )

            await asyncio.to_thread(check)
            answers = [prometheus.ask(query) for query in dashboard_queries()]
            assert answers[0][""] > 0, "the dashboard has the p95 of the dead air"

            # Another worker on the same journal reports nothing: the sum is that of the host.
            with metered(site, "metered-too", second, journal):
                await asyncio.to_thread(prometheus.until, 'count(up{job="agents"} == 1)', {"": 2})
                await asyncio.sleep(2)
                await asyncio.to_thread(check)
                worker.program.kill()
                # Now it does.
                await asyncio.to_thread(
                    prometheus.until,
                    f'sum(prefactor_calls_total{{instance="127.0.0.1:{second}"}})',
                    {"": 2},
                )
                await asyncio.to_thread(check)

        # Pruned, and with a worker that has just begun.
        assert retention.prune(journal, days=0, limit=1 << 30).calls == 2
        with metered(site, "metered", first, journal):
            await asyncio.to_thread(prometheus.until, "sum(prefactor_calls_total)", {"": 2})
            await asyncio.to_thread(check)
        for name in COUNTERS:
            assert prometheus.ask(f"max(resets({name}[10m]))") == {"": 0}, name
            assert prometheus.ask(f"max(count_over_time({name}[10m]))")[""] > 2
    printed = run("metrics", journal=journal).stdout
    assert 'prefactor_calls_total{agent="metered",outcome="lost"} 1.0' in printed


@pytest.mark.parametrize("given", ["METRICS_FOLDER", "PROMETHEUS_MULTIPROC_DIR"])
async def test_in_multiprocess_mode_the_job_processes_are_summed(
    site: Site, tmp_path: Path, given: str
):
    """With the option alone, too: LiveKit sets the variable for its job processes only after the
    worker has imported prometheus_client."""
    port, folder, name = free_port(), tmp_path / "metrics", given.lower()
    silences = f'prefactor_dead_air_seconds_count{{agent="{name}"}} 2.0'
    with metered(site, name, port, tmp_path / "journal.db", **{given: str(folder)}) as worker:
        async with (
            await site.phone(f"{name}-1", agent=name) as killed,
            await site.phone(f"{name}-2", agent=name) as spared,
        ):
            await together(ask(killed, WHERE), ask(spared, WHERE))
            await asyncio.to_thread(until, lambda: silences in scrape(port))
            os.kill(worker.job_process(f"{name}-1"), signal.SIGKILL)
        ended = f'prefactor_calls_total{{agent="{name}",outcome="complete"}} 1.0'
        await asyncio.to_thread(until, lambda: ended in scrape(port))
        found = await asyncio.to_thread(scrape, port)
    assert silences in found
    assert 'prefactor_tool_calls_total{outcome="complete",tool="look_up_order"} 2.0' in found


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text
