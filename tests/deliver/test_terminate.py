"""The kill switch."""

from __future__ import annotations

import time

from prefactor_agent.record.span import SpanType, Status
from support.prefactor_server import PrefactorServer

from .calls import begin_call, end_call, user_turn
from .conftest import Side
from .test_delivery import until


def test_a_quiet_call_hears_of_its_end_within_two_seconds(
    server: PrefactorServer, side: Side
) -> None:
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: len(server.spans()) == 1)
    server.terminate(reason="not your customer")
    assert until(lambda: bool(side.told)) < 2.0
    assert side.told == [(call.root.id, "not your customer")]
    user_turn(call, 1, "hello?")
    end_call(call)
    assert side.flush()
    assert len(server.spans()) == 3, "what came after is delivered all the same"
    time.sleep(1.2)
    assert len(side.told) == 1
    assert server.violations() == []


def test_a_busy_call_hears_of_it_from_the_answer_to_its_spans(
    server: PrefactorServer, side: Side
) -> None:
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: len(server.spans()) == 1)
    server.terminate(reason="enough")
    begun = time.monotonic()
    while not side.told and time.monotonic() - begun < 2.0:
        state = call.begin(SpanType.STATE, "state", None, {})
        call.end(state, Status.COMPLETE, {})
        time.sleep(0.05)
    assert side.told == [(call.root.id, "enough")]
    polls = [r for r in server.requests() if r["method"] == "GET"]
    assert polls == []
    end_call(call)
    assert side.flush()
    assert server.violations() == []


def test_a_callback_that_fails_stops_nothing(server: PrefactorServer, side: Side) -> None:
    def fail(session: str, reason: str | None) -> None:
        raise RuntimeError("mine")

    side.deliverer._on_terminate = fail
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: len(server.spans()) == 1)
    server.terminate()
    end_call(call)
    assert side.flush()
    assert server.violations() == []
