from __future__ import annotations

import logging
from typing import Any

import pytest

from prefactor_agent.core import guard
from prefactor_agent.core.guard import begin_count, end_count, failures, guarded, report
from prefactor_agent.core.span import Span


def span_of(session_id: str) -> Span:
    return Span("1", session_id, None, "livekit:llm", "llm", 0, {})


def ours(**holds: Any) -> Any:
    """An object of a class of the tracer's, with these attributes."""
    made = type("Part", (), {"__module__": "prefactor_agent.record.part"})()
    vars(made).update(holds)
    return made


def test_a_failure_is_counted_by_seam_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    @guarded("seam")
    def fail() -> int:
        raise ValueError("no")

    with caplog.at_level(logging.WARNING, logger="prefactor_agent"):
        assert fail() is None
        assert fail() is None
    assert failures["seam"] == 2
    assert len(caplog.records) == 1


def test_a_failure_counts_for_the_session_of_what_it_happened_to() -> None:
    for session in ("a", "b"):
        begin_count(session)
    report("span", ValueError(), span_of("a"))
    report("part", ValueError(), ours(span=span_of("a")))
    report("part of a part", ValueError(), ours(hooks=ours(spans=ours(session_id="a"))))
    report("later argument", ValueError(), "text", None, span_of("a"))
    report("no session", ValueError())
    report("unknown session", ValueError(), span_of("c"))
    assert (end_count("a"), end_count("b")) == (4, 0)
    assert failures.total() == 6


def test_a_guarded_method_counts_for_the_session_of_its_object() -> None:
    class Part:
        __module__ = "prefactor_agent.record.part"

        def __init__(self, span: Span) -> None:
            self._span = span

        @guarded("event")
        def on_event(self, event: object) -> None:
            raise ValueError

    begin_count("a")
    begin_count("b")
    Part(span_of("b")).on_event(object())
    assert (end_count("a"), end_count("b")) == (0, 1)


def test_nothing_of_the_users_is_asked_for_its_session() -> None:
    class Theirs:
        session_id = "a"

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    begin_count("a")
    report("seam", ValueError(), Theirs(), ours(agent=Theirs()))
    assert end_count("a") == 0


def test_what_is_over_is_counted_no_longer() -> None:
    begin_count("a")
    assert end_count("a") == 0
    report("seam", ValueError(), span_of("a"))
    assert end_count("a") == 0
    assert not guard._of_sessions
