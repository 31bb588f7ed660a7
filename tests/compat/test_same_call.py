"""One call, traced by prefactor-livekit 0.1.5 and by this package at the same time: every span and
every field of theirs is in ours, with the same value or a truer one.

Both hear the same events, so values can be compared as they are. Each difference is printed, and
stands in a table below with its reason: one that does not is a failure, and so is a line of a table
that explains nothing.

Their spans are refused by their own schemas (``speaker_id: None`` is no string), which ends all
their tracing: here they are registered with open ones. And their first span may arrive before the
start of its instance, which is queued: here it is held back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import prefactor_livekit as theirs
import pytest
from livekit.agents import Agent
from prefactor_core import SchemaRegistry

import prefactor_agent as ours
from compat.agents import Plain, Traced
from support.line import Line
from support.prefactor_server import PrefactorServer
from support.prefactor_server.process import Span
from support.scripted import Heard, ScriptedLLM, ScriptedSTT, Tokens, Use
from support.waiting import PATIENCE

JSON = dict[str, Any]


async def one_call(agent: Agent, there: PrefactorServer, here: PrefactorServer) -> None:
    """Two spoken questions, the first with a tool, and a greeting."""
    there.fault("delay", path="/agent_spans", delay=0.3, times=1)
    open_schemas = SchemaRegistry()
    for entry in theirs.DEFAULT_LIVEKIT_AGENT_SCHEMA["span_type_schemas"]:
        open_schemas.register_type(entry["name"], {"type": "object"}, {"type": "object"})
    first = theirs.PrefactorLiveKitSession.from_config(
        there.url,
        there.token,
        agent_name="Clerk",
        schema_registry=open_schemas,
        include_livekit_schemas=False,
    )
    second = ours.PrefactorLiveKitSession.from_config(here.url, here.token, agent_name="Clerk")
    line = Line(
        hears=ScriptedSTT(Heard("When are you open?", ("When", "When are")), "Thanks."),
        thinks=ScriptedLLM(
            ["Good ", "day.", Tokens(10, 3)],
            [Use("hours", {"day": "monday"}), Tokens(20, 5)],
            ["From nine ", "to six.", Tokens(30, 6)],
            ["Bye.", Tokens(40, 2)],
        ),
    )
    async with asyncio.timeout(2 * PATIENCE):
        await first.attach(line.session)
        await second.start(line.session, agent)
        await asyncio.sleep(0.2)
        await line.session.generate_reply(instructions="Greet.")
        await line.says()
        await line.answers(2)
        await line.says()
        await line.answers(3)
        await asyncio.sleep(0.2)
        await line.session.aclose()
        await first.close()
        await second.close()


# What is compared


def fields(span: Span) -> dict[str, Any]:
    """Every value that a span carries, by its path. A ``None`` tells nothing."""
    found: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict) and value:
            for key, below in value.items():
                walk(below, f"{path}.{key}")
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for number, one in enumerate(value):
                walk(one, f"{path}.{number}")
        elif value is not None:
            found[path] = value

    walk(span.payload, "payload")
    walk(span.result or {}, "result")
    return {**found, "status": span.status}


def kind(span: Span) -> str:
    """Theirs have one type for all tools."""
    return "livekit:tool" if span.type.startswith("livekit:tool:") else span.type


def told(span: Span) -> Any:
    """What a span is recognized by in the other trace."""
    result = span.result or {}
    match kind(span):
        case "livekit:user_turn":
            return result.get("transcript")
        case "livekit:assistant_turn":
            return result.get("outputs", {}).get("message", {}).get("id")
        case "livekit:llm":
            return span.payload.get("request_id") or result.get("request_id")
        case "livekit:tool":
            return span.payload.get("call_id")
    return None


def differences(there: list[Span], here: list[Span]) -> Iterator[tuple[str, str, Any, Any]]:
    """Of every span of theirs: type, path, their value, and ours."""
    mine = {(kind(span), told(span)): fields(span) for span in here}
    for span in there:
        found = mine.get((kind(span), told(span)))
        if found is None:
            yield kind(span), "(span)", told(span), None
            continue
        for path, value in fields(span).items():
            if found.get(path) != rounded(value):
                yield kind(span), path, value, found.get(path)


def rounded(value: Any) -> Any:
    """Our own times are told to the microsecond."""
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


Reasons = dict[tuple[str, str], str]
REASONS: Reasons = {
    ("livekit:session", "result.conversation.turns"): (
        "ours says which turns there were; the words are on the span of each, and sent once"
    ),
    ("livekit:user_turn", "payload.created_at"): (
        "theirs is the date of the VAD's event; ours is when the trace learned of the turn"
    ),
    ("livekit:user_turn", "result.finished_at"): (
        "theirs ends at a final transcript, of which there can be more; ours when LiveKit takes "
        "the turn as finished"
    ),
    ("livekit:assistant_turn", "result.finished_at"): (
        "theirs is the change of state behind it; ours when the speech was done"
    ),
    ("livekit:assistant_turn", "result.outputs.message.extra"): "is empty",
    ("livekit:llm", "payload.name"): "the kind of measurement is in result.metrics.type",
    ("livekit:llm", "payload.timestamp"): "theirs is when the call ended, ours when it began",
    ("livekit:tool", "payload.created_at"): (
        "theirs is when the model had asked for it; ours when the tool began, or when the trace "
        "learned of it"
    ),
}
"""Of any agent; of a field, also for all below it."""
OF_TRACED: Reasons = {
    ("livekit:user_turn", "payload.started_at"): (
        "theirs is when the VAD dates the speech to; ours is the first sound in the audio"
    ),
}


@pytest.mark.parametrize("agent", [Plain, Traced])
async def test_our_trace_has_everything_of_theirs(
    agent: type[Agent], server: PrefactorServer
) -> None:
    reasons = {**REASONS, **(OF_TRACED if agent is Traced else {})}
    with PrefactorServer() as here:
        await one_call(agent(), server, here)
        there, mine = server.spans(), here.spans()
        assert here.violations() == []
    assert {"livekit:session", "livekit:user_turn", "livekit:llm", "livekit:tool"} <= {
        span.type for span in there
    }
    used: set[tuple[str, str]] = set()
    unexplained = []
    for type_, path, value, found in differences(there, mine):
        reason = next(
            (key for key in reasons if key[0] == type_ and f"{path}.".startswith(f"{key[1]}.")),
            None,
        )
        print(f"{type_} {path}: {value!r} is {found!r} here: {reasons[reason] if reason else '?'}")
        if reason is None:
            unexplained.append((type_, path, value, found))
        else:
            used.add(reason)
    assert unexplained == []
    assert reasons.keys() == used, "these rows explain nothing"


def test_the_comparison_sees_what_is_missing() -> None:
    def span(status: str, result: JSON) -> Span:
        return Span(
            id="1",
            instance_id="i",
            parent_id=None,
            type="livekit:llm",
            status=status,
            payload={"request_id": "r"},
            result=result,
            started_at="",
            finished_at="",
            creates=1,
            finishes=0,
        )

    one, other = span("complete", {"a": {"b": 1}}), span("failed", {})
    assert list(differences([one], [])) == [("livekit:llm", "(span)", "r", None)]
    assert {path for _, path, _, _ in differences([one], [other])} == {"result.a.b", "status"}
    assert list(differences([one], [one])) == []
