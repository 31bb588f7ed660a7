"""The kill switch."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from types import SimpleNamespace

import pytest

from prefactor_agent.core.span import SpanType, Status
from prefactor_agent.deliver.common import rounds
from prefactor_agent.deliver.prefactor import call_delivery, spans
from prefactor_agent.journal import claims
from support.prefactor_server import PrefactorServer
from support.waiting import until

from ..calls import begin_call, end_call, user_turn
from ..conftest import Side


def asked(server: PrefactorServer) -> int:
    """How often it was asked whether a call may go on."""
    return sum(request["method"] == "GET" for request in server.requests())


def test_a_quiet_call_ends_after_its_next_status_request(
    server: PrefactorServer, side: Side
) -> None:
    assert call_delivery.POLL_S <= 1.0
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: asked(server) >= 2)
    server.terminate(reason="not your customer")
    before = asked(server)
    until(lambda: side.told)
    assert asked(server) <= before + 1
    assert side.flush()
    assert side.told == [(call.root.id, "not your customer")]
    user_turn(call, 1, "hello?")
    end_call(call)
    assert side.flush()
    assert len(server.spans()) == 3, "what came after is delivered all the same"
    assert len(side.told) == 1
    assert server.violations() == []


def test_a_busy_call_ends_after_the_answer_to_its_spans(
    server: PrefactorServer, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    clock = SimpleNamespace(monotonic=lambda: now, time_ns=time.time_ns)
    for module in (call_delivery, rounds, spans):
        monkeypatch.setattr(module, "time", clock)
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: len(server.spans()) == 1)
    for sent in range(2, 7):
        now += 0.9 * call_delivery.POLL_S
        call.end(call.begin(SpanType.STATE, "state", None, {}), Status.COMPLETE, {})
        until(lambda sent=sent: len(server.spans()) == sent)
    server.terminate(reason="enough")
    call.end(call.begin(SpanType.STATE, "state", None, {}), Status.COMPLETE, {})
    until(lambda: side.told)
    assert side.told == [(call.root.id, "enough")]
    assert asked(server) == 0
    end_call(call)
    assert side.flush()
    assert server.violations() == []


def test_a_call_ends_although_the_journal_cannot_be_written(
    server: PrefactorServer, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BUSY_S", 0.05)
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: asked(server) >= 1)
    with contextlib.closing(
        sqlite3.connect(side.settings.journal, isolation_level=None)
    ) as another:
        another.execute("BEGIN IMMEDIATE")
        server.terminate(reason="enough")
        until(lambda: side.told)
        another.execute("ROLLBACK")
    assert side.told == [(call.root.id, "enough")]
    end_call(call)
    assert side.flush()
    assert len(side.told) == 1
    assert server.violations() == []


def test_a_failing_callback_stops_nothing(server: PrefactorServer, side: Side) -> None:
    def fail(session: str, reason: str | None) -> None:
        raise RuntimeError("mine")

    side.target._on_terminate = fail
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: len(server.spans()) == 1)
    server.terminate()
    end_call(call)
    assert side.flush()
    assert server.violations() == []
