from __future__ import annotations

from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.model.summary import summary_object
from view.calls import SESSION, session, span, spoken_call, unanswered_call, us
from view.pickups import picked_up


def test_a_summary_counts_turns_tools_errors_and_interruptions() -> None:
    failed = span("t2", "tool:pay", 4000, 4100, "a1", status="failed")
    error = span("e", "error", 4100, 4100, SESSION, status="failed")
    summary = summarize(build([*spoken_call(), failed, error]))
    assert (summary.agent, summary.room, summary.status) == ("Concierge", "lobby", "complete")
    assert (summary.turns, summary.tools, summary.errors, summary.interrupted) == (1, 2, 2, 1)
    assert summary.duration_us == 10_000_000


def test_call_without_an_end_runs_until_it_has_been_silent_for_long() -> None:
    call = build(unanswered_call())
    assert call.last_us == us(3000)
    soon = summarize(call, now_us=us(63_000))
    assert (soon.status, soon.duration_us) == ("running", 63_000_000)
    later = summarize(call, now_us=us(3_600_000))
    assert (later.status, later.duration_us) == ("lost", 3_000_000)


def test_the_pickup_counts_where_the_agent_was_heard_first() -> None:
    one = summarize(build([session(pickup=picked_up(over_budget={"pickup": 2.0}))]))
    assert (one.pickup_ms, one.pickup_over_budget) == (2000.0, True)
    assert summary_object(one)["pickup_ms"] == 2000.0
    assert summarize(build([session(pickup=picked_up(until="caller"))])).pickup_ms is None
    assert summarize(build([session()])).pickup_ms is None
