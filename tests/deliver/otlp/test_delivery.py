"""Two targets, one journal; what the commands say of both; what costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from prefactor_agent.config import Settings
from prefactor_agent.deliver.otlp.target import Otlp
from prefactor_agent.journal import retention
from prefactor_agent.journal.ended import EndedSpans
from prefactor_agent.journal.writer import JournalWriter
from support.otlp_receiver import OtlpReceiver
from support.prefactor_server import PrefactorServer
from support.waiting import PATIENCE, until
from view import commandline

from ..agent import Agent, warnings
from ..calls import SPANS_PER_TURN, begin_call, end_call, whole_call
from ..prefactor.arrived import arrived as arrived_at_prefactor
from ..pushed import pushed
from .arrived import arrived

pytestmark = pytest.mark.usefixtures("quick")


def run(*command: str, code: int = 0) -> str:
    done = commandline.run(*command)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


async def test_both_targets_get_the_call_whichever_is_down(
    server: PrefactorServer, receiver: OtlpReceiver, settings: Settings
) -> None:
    both = replace(settings, api_url=server.url, api_token=SecretStr(server.token))
    agent = Agent(both)
    receiver.stop()
    await agent.call()
    assert not await agent.flushed(0.5)
    receiver.start()
    fault = server.fault("refuse")
    await agent.call()
    assert not await agent.flushed(0.5)
    fault.clear()
    await agent.delivered()
    await agent.stop()
    arrived(receiver, both.journal)
    arrived_at_prefactor(server, both.journal)


async def test_a_target_that_is_down_does_not_hold_up_the_other(
    server: PrefactorServer, receiver: OtlpReceiver, settings: Settings
) -> None:
    both = replace(settings, api_url=server.url, api_token=SecretStr(server.token))
    server.fault("refuse")
    agent = Agent(both)
    await agent.call()
    with contextlib.closing(EndedSpans(both.journal)) as todo:
        await asyncio.to_thread(until, lambda: todo.calls() == [] and receiver.spans)
    assert not await agent.flushed(0.1)
    arrived(receiver, both.journal)
    await agent.stop()


def test_without_it_the_journal_has_no_row_of_it(tmp_path: Path) -> None:
    writer = JournalWriter(Settings(journal=tmp_path / "journal.db", flush_interval=0.01))
    whole_call(writer, turns=2)
    assert writer.flush(PATIENCE)
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        for table in ("otlp_calls", "otlp_spans"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


async def test_push_sends_the_calls_that_were_recorded_without_it(
    receiver: OtlpReceiver, settings: Settings
) -> None:
    writer = JournalWriter(replace(settings, otlp=False))
    whole_call(writer, turns=2)
    assert writer.flush(PATIENCE)
    with contextlib.closing(EndedSpans(settings.journal)) as todo:
        assert todo.calls(wanted=True) == []
    done = await pushed(Otlp(settings))
    assert (done.calls, done.left) == (1, 0)
    arrived(receiver, settings.journal)
    again = await pushed(Otlp(settings))
    assert (again.calls, again.spans) == (0, 0)


async def test_a_running_call_is_sent_by_its_own_process_only(
    receiver: OtlpReceiver, settings: Settings
) -> None:
    writer = JournalWriter(settings)
    call = begin_call(writer)
    assert writer.flush(PATIENCE)
    done = await pushed(Otlp(settings))
    assert (done.calls, done.spans, done.running) == (0, 0, 1)
    end_call(call)
    assert writer.flush(PATIENCE)
    done = await pushed(Otlp(settings))
    assert (done.calls, done.spans) == (1, 1)


async def test_a_large_call_goes_out_in_bounded_requests(
    receiver: OtlpReceiver, settings: Settings
) -> None:
    writer = JournalWriter(settings)
    whole_call(writer, turns=300)
    assert writer.flush(PATIENCE)
    await pushed(Otlp(settings))
    arrived(receiver, settings.journal)
    sizes = [len(taken.message.resource_spans[0].scope_spans[0].spans) for taken in receiver.taken]
    assert len(sizes) >= 300 * SPANS_PER_TURN // 512
    assert max(sizes) <= 512


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_requests_are_compressed(
    receiver: OtlpReceiver, settings: Settings, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", encoding)
    whole_call(writer := JournalWriter(settings), turns=5)
    assert writer.flush(PATIENCE)
    await pushed(Otlp(settings))
    arrived(receiver, settings.journal)
    [taken] = receiver.taken
    assert taken.headers["Content-Encoding"] == encoding
    assert int(taken.headers["Content-Length"]) < len(taken.body) // 2


async def test_content_and_usage_can_be_left_out(
    receiver: OtlpReceiver, settings: Settings
) -> None:
    writer = JournalWriter(settings)
    whole_call(writer, turns=1)
    assert writer.flush(PATIENCE)
    await pushed(Otlp(replace(settings, otlp_content=False, otlp_usage=False)))
    assert b"until six" not in receiver.bytes
    assert b"gen_ai.usage" not in receiver.bytes
    assert b"livekit:llm" in receiver.bytes


async def test_what_is_redacted_or_not_captured_is_not_in_the_bytes(
    receiver: OtlpReceiver, settings: Settings
) -> None:
    secret = "4111-1111"
    for changes in ({"capture_content": False}, {"redact_patterns": (r"\d{4}-\d{4}",)}):
        agent = Agent(replace(settings, **changes))
        await agent.call(answer=f"The card is {secret}.")
        await agent.delivered()
        await agent.stop()
    assert receiver.spans
    assert secret.encode() not in receiver.bytes


async def test_a_setting_that_cannot_be_used_is_named_once(
    receiver: OtlpReceiver,
    agent: Agent,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    await agent.call()
    await agent.call()
    assert not await agent.flushed(0.5)
    [line] = warnings(caplog)
    assert "nothing is delivered to OpenTelemetry" in line
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'" in line


def test_the_commands_know_both_targets(
    server: PrefactorServer,
    receiver: OtlpReceiver,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(settings.journal))
    monkeypatch.setenv("PREFACTOR_API_URL", server.url)
    writer = JournalWriter(settings)
    whole_call(writer, turns=1)
    assert writer.flush(PATIENCE)
    assert "set PREFACTOR_OTLP=1" in run("push", "--to", "otlp", code=1)
    assert "no target 'other'" in run("push", "--to", "other", code=1)
    monkeypatch.setenv("PREFACTOR_OTLP", "1")
    monkeypatch.setenv("PREFACTOR_API_TOKEN", server.token)
    spans = SPANS_PER_TURN + 1
    said = run("push", "--dry-run")
    assert f"{spans} spans of 1 call to deliver to Prefactor" in said
    assert f"{spans} spans of 1 call to deliver to OpenTelemetry" in said
    doctor = run("doctor")
    assert f"http://127.0.0.1:{receiver.url[17:]}/v1/traces answers in" in doctor
    assert f"not delivered to OpenTelemetry: {spans} spans of 1 call" in doctor
    told = [json.loads(line) for line in run("push", "--json").splitlines()]
    assert [(one["to"], one["left"]) for one in told] == [("prefactor", 0), ("otlp", 0)]
    arrived(receiver, settings.journal)
    arrived_at_prefactor(server, settings.journal)
    doctor = run("doctor")
    assert "everything is delivered to OpenTelemetry" in doctor
    receiver.stop()
    assert "/v1/traces cannot be reached" in run("doctor", code=1)


async def test_a_call_that_waits_for_the_backend_is_not_pruned(
    receiver: OtlpReceiver, settings: Settings
) -> None:
    writer = JournalWriter(settings)
    whole_call(writer, turns=1)
    assert writer.flush(PATIENCE)

    def prune() -> retention.Pruned:
        return retention.prune(settings.journal, days=0, limit=1 << 30)

    assert (prune().calls, prune().kept_undelivered) == (0, 1)
    await pushed(Otlp(settings))
    assert (prune().calls, receiver.spans != []) == (1, True)
    with contextlib.closing(sqlite3.connect(settings.journal)) as connection:
        for table in ("otlp_calls", "otlp_spans"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
