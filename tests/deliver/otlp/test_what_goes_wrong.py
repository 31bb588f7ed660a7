"""Everything that can go wrong between a real call and an OpenTelemetry backend. Each test ends
with the same check: the agent did not notice, and everything that ended is at the backend."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from prefactor_agent.deliver.otlp import delivery
from prefactor_agent.deliver.otlp.target import Otlp
from prefactor_agent.journal.ended import EndedSpans
from support.otlp_receiver import OtlpReceiver
from support.waiting import until

from ..agent import Agent, warnings
from ..pushed import pushed
from .arrived import arrived

pytestmark = pytest.mark.usefixtures("quick")

LATER = email.utils.format_datetime(datetime.now(UTC) + timedelta(days=-1), usegmt=True)

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("status", {"times": 3, "status": 503}),
    ("status", {"times": 2, "status": 503, "headers": {"Retry-After": LATER}}),
    ("status", {"times": 2, "status": 429, "headers": {"Retry-After": "0"}}),
    ("status", {"times": 2, "status": 502, "body": b"<html>bad gateway</html>"}),
    ("status", {"times": 2, "status": 504}),
    ("status", {"times": 2, "status": 500}),
    ("status", {"times": 2, "status": 404}),
    ("status", {"times": 1, "status": 200, "body": b"<html>sign in</html>"}),
    ("reset", {"times": 3}),
]


@pytest.mark.parametrize(("kind", "options"), FAULTS, ids=str)
async def test_a_fault_costs_time_and_nothing_else(
    receiver: OtlpReceiver, agent: Agent, kind: str, options: dict[str, Any]
) -> None:
    fault = receiver.plan(kind, **options)
    await agent.call()
    await agent.delivered()
    assert fault.hits == options["times"]
    arrived(receiver, agent.settings.journal)


@pytest.mark.parametrize("kind", ["reset_after", "drip"])
async def test_spans_whose_acknowledgement_is_lost_are_sent_again_under_the_same_ids(
    receiver: OtlpReceiver, agent: Agent, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    fault = receiver.plan(kind, times=2)
    await agent.call()
    await agent.delivered()
    assert fault.hits == 2
    arrived(receiver, agent.settings.journal, doubled=True)
    assert max(receiver.times.values()) > 1


async def test_it_is_not_sent_before_the_time_that_the_backend_asked_for(
    receiver: OtlpReceiver, agent: Agent
) -> None:
    receiver.plan("status", times=1, status=503, headers={"Retry-After": "1"})
    await agent.call(turns=1)
    await asyncio.to_thread(until, lambda: receiver.answers == [503])
    begun = time.monotonic()
    await agent.delivered()
    assert time.monotonic() - begun > 0.8
    assert receiver.answers[:2] == [503, 200]
    arrived(receiver, agent.settings.journal)


async def test_a_call_arrives_when_the_backend_comes_up_later(
    receiver: OtlpReceiver, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.stop()
    await agent.call()
    await asyncio.to_thread(until, lambda: warnings(caplog))
    assert not await agent.flushed(0.5)
    [line] = warnings(caplog)
    assert f"OpenTelemetry at http://{receiver.url[7:]}/v1/traces cannot be reached" in line
    receiver.start()
    await agent.delivered()
    assert len(warnings(caplog)) == 1
    arrived(receiver, agent.settings.journal)


async def test_push_delivers_a_call_during_which_the_backend_was_down(
    receiver: OtlpReceiver, agent: Agent
) -> None:
    receiver.stop()
    await agent.call()
    assert not await agent.flushed(0.5)
    await agent.stop()
    receiver.start()
    done = await pushed(Otlp(agent.settings))
    assert (done.calls, done.left, done.parked, done.problem) == (1, 0, 0, None)
    assert arrived(receiver, agent.settings.journal) == done.spans


async def test_the_next_process_delivers_what_was_left(
    receiver: OtlpReceiver, agent: Agent
) -> None:
    receiver.stop()
    await agent.call()
    assert not await agent.flushed(0.5)
    await agent.stop()
    receiver.start()
    with sqlite3.connect(agent.settings.journal) as connection:
        connection.execute("UPDATE calls SET process = 'gone|1|1'")
    other = Agent(agent.settings)
    await other.call()
    await other.delivered()
    await asyncio.to_thread(until, lambda: _left(other) == 0)
    arrived(receiver, agent.settings.journal)
    await other.stop()


async def test_a_refused_span_is_found_and_parked(
    receiver: OtlpReceiver, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    told = Status(message="attribute too long").SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    name = "text_to_speech"
    fault = receiver.plan("status", status=400, span=name, body=told, headers=headers)
    await agent.call()
    await agent.delivered()
    arrived(receiver, agent.settings.journal, refused=frozenset({name}))
    with contextlib.closing(EndedSpans(agent.settings.journal)) as todo:
        [(type_, error, count)] = todo.parked()
        assert (type_, error) == ("livekit:tts", "HTTP 400: attribute too long")
    assert count >= 3
    [line] = [line for line in warnings(caplog) if "refuses" in line]
    assert "attribute too long" in line
    await agent.stop()
    fault.times = 0
    with contextlib.closing(EndedSpans(agent.settings.journal)) as todo:
        assert todo.unpark() == count
    done = await pushed(Otlp(agent.settings))
    assert (done.spans, done.left) == (count, 0)
    arrived(receiver, agent.settings.journal)


async def test_a_span_that_the_backend_breaks_on_is_parked_if_it_works_otherwise(
    receiver: OtlpReceiver, agent: Agent
) -> None:
    receiver.plan("status", status=500, span="text_to_speech")
    await agent.call(turns=1)
    await agent.delivered()
    arrived(receiver, agent.settings.journal, refused=frozenset({"text_to_speech"}))
    with contextlib.closing(EndedSpans(agent.settings.journal)) as todo:
        assert {error for _, error, _ in todo.parked()} == {"HTTP 500, 6 times"}


async def test_a_backend_that_refuses_everything_is_waited_for(
    receiver: OtlpReceiver, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it refuses are not single spans then: they are not parked one by one."""
    monkeypatch.setattr(delivery, "REFUSALS_IN_A_ROW", 3)
    fault = receiver.plan("status", status=400)
    await agent.call()
    assert not await agent.flushed(1.0)
    fault.times = 0
    await agent.delivered()
    with contextlib.closing(EndedSpans(agent.settings.journal)) as todo:
        assert sum(count for _, _, count in todo.parked()) == 3
        todo.unpark()
    await agent.stop()
    await pushed(Otlp(agent.settings))
    arrived(receiver, agent.settings.journal)


async def test_what_a_partial_success_drops_is_counted_and_not_sent_again(
    receiver: OtlpReceiver, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.plan("partial", rejected=2, message="over quota")
    await agent.call()
    await agent.delivered()
    arrived(receiver, agent.settings.journal)
    with contextlib.closing(EndedSpans(agent.settings.journal)) as todo:
        requests = len(receiver.answers)
        assert todo.rejected() == [(2 * requests, "over quota")]
    [line] = warnings(caplog)
    assert "dropped spans (over quota)" in line


async def test_a_refused_key_ends_sending_and_not_the_journal(
    receiver: OtlpReceiver,
    agent: Agent,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cr3t")
    fault = receiver.plan("status", status=401, body=b"no such key: s3cr3t")
    await agent.call()
    await asyncio.to_thread(until, lambda: warnings(caplog))
    assert not await agent.flushed(1.0)
    [line] = warnings(caplog)
    assert "does not accept OTEL_EXPORTER_OTLP_HEADERS (HTTP 401)" in line
    assert "s3cr3t" not in caplog.text
    await agent.stop()
    fault.times = 0
    await pushed(Otlp(agent.settings))
    arrived(receiver, agent.settings.journal)
    assert all(taken.headers["api-key"] == "s3cr3t" for taken in receiver.taken)


async def test_a_span_that_is_damaged_in_the_journal_is_parked(
    receiver: OtlpReceiver, agent: Agent
) -> None:
    receiver.stop()
    await agent.call()
    assert not await agent.flushed(0.5)
    await agent.stop()
    receiver.start()
    with sqlite3.connect(agent.settings.journal) as connection:
        connection.execute(
            "UPDATE spans SET result = '[' WHERE rowid = "
            "(SELECT min(rowid) FROM spans WHERE type = 'livekit:assistant_turn')"
        )
    done = await pushed(Otlp(agent.settings))
    assert (done.calls, done.left, done.parked) == (1, 0, 1)
    with contextlib.closing(EndedSpans(agent.settings.journal)) as todo:
        [(type_, error, _)] = todo.parked()
    assert type_ == "livekit:assistant_turn"
    assert error.startswith("damaged in the journal: ")


def _left(agent: Agent) -> int:
    with contextlib.closing(EndedSpans(agent.settings.journal)) as todo:
        return todo.backlog()["spans"]
