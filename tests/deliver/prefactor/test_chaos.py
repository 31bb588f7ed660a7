"""What the machine does to delivery: its disk, its clock, its journal."""

from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent.deliver.common.backoff import Backoff
from prefactor_agent.deliver.common.http import LaterError, seconds_of
from prefactor_agent.deliver.prefactor import spans
from prefactor_agent.deliver.prefactor.api import Api
from prefactor_agent.journal.outbox import Outbox
from support.prefactor_server import PrefactorServer

from ..calls import SPANS_PER_TURN, begin_call, end_call, tool, user_turn, whole_call
from ..conftest import Side

pytestmark = pytest.mark.usefixtures("quick")


def test_a_journal_that_cannot_be_written_now_is_waited_for(
    server: PrefactorServer, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    whole_call(side.writer)
    side.write()
    real, broken = Outbox.acknowledge, [True]

    def acknowledge(self: Outbox, *arguments: Any) -> None:
        if broken[0]:
            raise sqlite3.OperationalError("database or disk is full")
        real(self, *arguments)

    monkeypatch.setattr(Outbox, "acknowledge", acknowledge)
    side.deliverer.start()
    assert not side.deliverer.flush(1.0)
    broken[0] = False
    assert side.flush()
    assert len(server.spans()) == 2 * SPANS_PER_TURN + 1
    assert server.violations() == []


def test_a_span_that_the_service_breaks_on_holds_up_nobody(
    server: PrefactorServer, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Api.post

    async def post(self: Api, path: str, body: bytes) -> Any:
        if b"poison" in body:
            raise LaterError("HTTP 500", failed=True)
        return await real(self, path, body)

    monkeypatch.setattr(Api, "post", post)
    monkeypatch.setattr(spans, "POISON", 2)
    side.deliverer.start()
    call = begin_call(side.writer)
    for index in range(10):
        user_turn(call, index, "poison" if index == 5 else "hello")
    tool(call, call.root)
    end_call(call)
    whole_call(side.writer)
    assert side.flush()
    assert len(server.instances()) == 2
    assert {instance["status"] for instance in server.instances()} == {"complete"}
    outbox = Outbox(side.settings.journal)
    assert sum(count for _, _, count in outbox.parked()) == 2
    outbox.close()
    assert server.violations() == []


def test_waits_double_and_are_never_shorter_than_asked() -> None:
    backoff = Backoff(first=1.0, longest=8.0)
    waits = [backoff.failed(None) for _ in range(6)]
    for wait, step in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert step / 2 <= wait <= step
    assert Backoff().failed(7.0) >= 7.0
    backoff.succeeded()
    assert backoff.failed(None) <= 1.0


def test_both_forms_of_retry_after_are_read() -> None:
    assert seconds_of("2.5") == 2.5
    assert seconds_of("-1") == 0.0
    assert seconds_of("nan") is None
    assert seconds_of("soon") is None
    assert seconds_of(None) is None
    assert seconds_of("999999") == 300.0
    assert seconds_of("Sat, 21 Nov 2020 06:00:00 GMT") == 0.0
