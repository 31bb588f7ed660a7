"""Calls written by hand: tools in the background, keys, what was refused, what was not taken. Times
are milliseconds after the beginning of the call."""

from __future__ import annotations

from typing import Any

from prefactor_agent.stored.span import StoredSpan
from view.calls import answer, question, session, span


def update(at: float, text: str, **more: Any) -> dict[str, Any]:
    return {"id": f"call_{text}", "at_us": round(at * 1000), "text": text, "silent": False, **more}


def background_call() -> list[StoredSpan]:
    """A tool that answers the model after 0.1 s and goes on for 3 s more, 1.6 s longer than the
    turn that called it. One of its reports is spoken (turn 2), and so is its result (turn 3)."""
    told = [
        update(2500, "searching", inline=True),
        update(3000, "a quiet note", silent=True),
        update(4200, "found three", reply_id="a2"),
    ]
    finished: dict[str, Any] = {"duration_ms": 3100.0, "finished_us": 5_500_000, "updates": told}
    spans = [
        session(),
        question("u1", 1000, 2000, "Fly me to Rome."),
        answer("a1", 2000, 3900, heard=2700, user_turn_id="u1", spoken_text="I search."),
        span("l1", "llm", 2000, 2400, "a1", result={"tool_calls": [{"name": "book"}]}),
        span(
            "t1",
            "tool:book",
            2400,
            3900,
            "a1",
            payload={"inputs": {"to": "Rome"}},
            result={"outcome": "returned", "outputs": {"output": "AB12"}, **finished},
        ),
        answer("a2", 4300, 5000, spoken_text="Three flights."),
        answer("a3", 5600, 6400, spoken_text="Booked."),
    ]
    for turn, id_ in ((spans[5], "call_update_1"), (spans[6], "call_final")):
        turn.payload["reply_to"] = [{"tool_id": "t1", "tool_name": "book", "update_ids": [id_]}]
    return spans


def refused_call(**result: Any) -> list[StoredSpan]:
    """A tool that returned what LiveKit does not take."""
    error = {
        "error_type": "TypeError",
        "message": "object dict can't be used in 'await' expression",
    }
    refused = {
        "outcome": "invalid_output",
        "outputs": {"output": {"number": 7}},
        "is_error": True,
        "error": error,
        "model_output": "An internal error occurred",
        **result,
    }
    return [
        session(),
        question("u1", 1000, 2000, "Where is order 7?"),
        answer("a1", 2000, 3900, heard=2700, user_turn_id="u1", spoken_text="I do not know."),
        span(
            "t1",
            "tool:find",
            2100,
            2200,
            "a1",
            status="failed",
            payload={"inputs": {"number": 7}},
            result=refused,
        ),
    ]


def key(at: float, digit: str, **more: Any) -> dict[str, Any]:
    return {"at_us": round(at * 1000), "direction": "received", "digit": digit, **more}


def keys_call(*keys: dict[str, Any], **result: Any) -> list[StoredSpan]:
    """The agent asks for keys (from 1.0 s on) and says thanks (from 5.0 s on)."""
    return [
        session(dtmf=list(keys), **result),
        answer("a1", 1000, 2500, spoken_text="Press two keys."),
        answer("a2", 5000, 6000, spoken_text="Thanks."),
    ]


def given_up_call() -> list[StoredSpan]:
    """The caller says something that LiveKit does not take as a turn."""
    spans = [
        session(),
        answer("a1", 500, 1500, spoken_text="Hello."),
        question("u1", 3000, 4000, "Hm, wait."),
    ]
    result = {**spans[2].result, "is_final": False}
    spans[2] = span("u1", "user_turn", 3000, 4000, status="cancelled", result=result)
    return spans


def failed_task_call(cause: str) -> list[StoredSpan]:
    """A tool whose ``AgentTask`` ends without a result."""
    error = {"error_type": "ValueError", "message": "no such street"}
    back = {"from": "address_task", "to": "clerk", "tool_name": "ask", "cause": cause}
    return [
        session(),
        question("u1", 1000, 2000, "Send it to me."),
        answer("a1", 2000, 6000, heard=5000, user_turn_id="u1", spoken_text="Sorry."),
        span("t1", "tool:ask", 2300, 4000, "a1", status="failed", result={"error": error}),
        span("h1", "handoff", 3900, 3900, "t1", payload={**back, "error": error}),
    ]
