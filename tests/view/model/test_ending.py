from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.ending import ending
from prefactor_agent.view.model.summarize import summarize
from view.calls import session, spoken_call, us


def how(*spans: Any, now_ms: float = 1000) -> tuple[str, str]:
    call = build(list(spans))
    return ending(call, summarize(call, us(now_ms)))


def closed(why: str | None, status: str = "complete", **result: Any) -> Any:
    told = {"close_reason": why, **result} if why is not None else result
    return replace(session(), status=status, result=told)


@pytest.mark.parametrize(
    "span, words, tone",
    [
        (closed("user_initiated"), "ended by the program", "good"),
        (closed("participant_disconnected"), "the caller left", "good"),
        (closed("broken_off"), "broken off, without being closed", "good"),
        (closed("something_new"), "ended: something new", "good"),
        (closed(None), "ended", "good"),
        (closed("error", "failed"), "failed: error", "bad"),
        (closed(None, "failed", reason="process ended"), "failed: process ended", "bad"),
        (
            closed("error", "failed", error={"error_type": "APIError", "message": "no"}),
            "failed: APIError: no",
            "bad",
        ),
        (
            closed("user_initiated", termination_reason="too many tools"),
            "terminated from Prefactor: too many tools",
            "bad",
        ),
        # The session is over, and its job goes on.
        (
            replace(session(None), payload={"closed_at": 1.0, "close_reason": "job_shutdown"}),
            "the job was shut down",
            "good",
        ),
        (
            replace(session(None), payload={"closed_at": 1.0, "close_reason": "error"}),
            "failed: error",
            "bad",
        ),
        (session(None), "still running", "open"),
    ],
)
def test_the_end_of_a_call_is_said_in_words(span: Any, words: str, tone: str) -> None:
    assert how(span) == (words, tone)


def test_a_call_without_a_session_or_an_end_says_so() -> None:
    assert how() == ("nothing was recorded", "open")
    assert how(*spoken_call()[1:]) == ("the session's own span is missing", "open")
    words, tone = how(session(None), now_ms=86_400_000)
    assert (words[:19], tone) == ("no end was recorded", "bad")
