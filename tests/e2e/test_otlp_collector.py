"""Calls arrive in a real OpenTelemetry Collector."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samples.otel.collector import WITH_QUEUE, Collector
from samples.otel.collector_binary import COLLECTOR

from deliver.otlp.calls import phone_line, play, recorded, talk_to_a_realtime_model
from deliver.processes import Zygote
from deliver.pushed import pushed
from deliver.talk import talk
from differential import test_handoffs as handoffs
from differential import test_llm_nodes as nodes
from differential import test_speeches as speeches
from differential import test_tools as tools
from differential.stage import Case
from prefactor_agent.deliver.otlp.target import Otlp
from prefactor_agent.demo.call import run_call
from prefactor_agent.demo.script import CALLER, GREETING
from prefactor_agent.demo.server import OfflineOpenAI
from prefactor_agent.journal.reader import Journal
from support.waiting import until

from .otlp import Exporting, all_arrived, required

SECRETS = ("4111111111111111", "ada@example.org", "swordfish")


@pytest.fixture(scope="module")
def program() -> Path:
    return required("PREFACTOR_TEST_OTELCOL", COLLECTOR.find)


@pytest.fixture
def collector(program: Path, tmp_path: Path) -> Iterator[Collector]:
    with Collector(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("notes"))
    yield made
    made.close()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def test_the_demo_call_arrives_as_one_trace(
    collector: Collector, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting = Exporting(journal, collector.url, monkeypatch)
    async with OfflineOpenAI() as server:
        await run_call(lambda who, what: None, server=server)
    await exporting.delivered()
    spans = all_arrived(collector, journal)
    assert {span.resource["service.name"] for span in collector.spans()} == {"kitchen-shop"}
    assert len({span.trace_id for span in spans}) == 1
    (root,) = (span for span in spans if not span.parent_id)
    said = root.attributes["output.value"]
    assert [line.text for line in CALLER if f"User: {line.text}" not in said] == []
    assert f"Agent: {GREETING}" in said
    names = Counter(span.name for span in spans)
    assert names["invoke_agent shop_assistant"] == 6
    assert names["user_turn"] == names["speech_to_text"] == 5
    assert names["execute_tool look_up_order"] == 1
    stored = Journal(journal)
    usage = stored.call(stored.find("last"))[0].result["usage"]["model_usage"]
    stored.close()
    (llm,) = (one for one in usage if one["type"] == "llm_usage")
    for count in ("input_tokens", "output_tokens"):
        sent = [span.attributes.get(f"gen_ai.usage.{count}", 0) for span in spans]
        assert sum(sent) == llm[count] > 0
    exporting.stop()


async def an_llm_that_fails(s: Any) -> None:
    await nodes.answers(await nodes.cast(s, nodes.raising_midway(s)))


def cases() -> Iterator[Case]:
    """The scripts of the differential tests for handoffs, speeches and tools."""
    yield from (*handoffs.CASES, *speeches.CASES, *tools.CASES)


async def test_scripted_calls_arrive_as_the_mapping_says(
    collector: Collector, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a hundred calls in one journal."""
    calls = [play(case) for case in (phone_line, an_llm_that_fails, *cases())]
    calls.append(talk_to_a_realtime_model())
    sinks = [await asyncio.to_thread(recorded, call) for call in calls]
    exporting = Exporting(journal, collector.url, monkeypatch)
    for sink in sinks:
        exporting.keep(sink)
    await exporting.delivered()
    spans = all_arrived(collector, journal)
    sessions = {span.session_id for sink in sinks for span in sink.spans}
    assert len({span.trace_id for span in spans}) == len(sessions) > 100
    exporting.stop()


async def test_a_collector_that_comes_up_late_or_dies_on_the_way_misses_nothing(
    collector: Collector, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.kill()
    exporting = Exporting(journal, collector.url, monkeypatch)
    expected = await talk(traced=False, pause=0.03)
    assert await talk(pause=0.03) == expected, "the call goes as it would without a collector"
    collector.start()
    await exporting.delivered()
    told = len(all_arrived(collector, journal))

    def dies(turn: int) -> None:
        if turn == 1:
            collector.kill()

    assert await talk(pause=0.03, during=dies) == expected
    collector.start()
    await exporting.delivered()
    assert len(all_arrived(collector, journal)) == 2 * told
    exporting.stop()


async def test_what_a_killed_agent_leaves_is_pushed(
    collector: Collector, journal: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at moments all over the call: what was journalled arrives."""
    for killed in range(5):
        child = zygote.fork(journal, "", None, otlp=collector.url, turns=5, pause=0.03, waits=True)
        until(lambda child=child, killed=killed: len(child.writes()) > killed)
        zygote.kill(child)
    exporting = Exporting(journal, collector.url, monkeypatch)
    await pushed(Otlp(exporting.settings))
    assert len({span.trace_id for span in all_arrived(collector, journal)}) == 5


async def test_what_a_queue_on_disk_has_taken_outlives_collector_and_backend(
    collector: Collector, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "queue"
    folder.mkdir()
    with Collector(folder, config=WITH_QUEUE, backend=collector.url) as queue:
        exporting = Exporting(journal, queue.url, monkeypatch)
        collector.kill()
        await talk()
        await exporting.delivered()
        exporting.stop()
        assert collector.spans() == []
        queue.kill()
        collector.start()
        queue.start()
        all_arrived(collector, journal)


@pytest.mark.parametrize("content", [True, False])
async def test_no_secret_is_in_the_collectors_bytes(
    content: bool, collector: Collector, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redacted before the journal is written; without content no word is sent at all."""
    changes: dict[str, Any] = {"otlp_content": False}
    if content:
        changes = {"redact_patterns": (r"\d{16}", r"\S+@\S+"), "redact_keys": {"password"}}
    exporting = Exporting(journal, collector.url, monkeypatch, **changes)
    card, mail, password = SECRETS
    await talk(answer=json.dumps({"card": card, "mail": mail, "password": password}))
    await exporting.delivered()
    all_arrived(collector, journal, content=content)
    exporting.stop()
    bytes_ = collector.text()
    assert [secret for secret in SECRETS if secret in bytes_] == []
    assert ("and on day 1?" in bytes_) is content
    assert "opening_hours" in bytes_
