"""What Prefactor's readers make of our calls: their questions, answered from the spans alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession, APIConnectionError
from pydantic import SecretStr

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.core.span import SpanType, Status
from prefactor_agent.deliver.prefactor import bodies
from prefactor_agent.deliver.prefactor import spans as sending
from prefactor_agent.deliver.prefactor.target import Prefactor
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.reader import Journal
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer
from prefactor_agent.view.export.evals_pack import evals_pack, tool_types
from schemas.recorded import a_realtime_model
from support.line import NO_RETRIES
from support.prefactor_readers import DashboardSync, costs, failures, steps, verdicts
from support.prefactor_server import PrefactorServer
from support.prefactor_server.process import Span
from support.scripted import ScriptedLLM, Tokens, Use, Wait
from support.waiting import PATIENCE, until

from ..calls import begin_call, end_call, whole_call
from ..conftest import Side
from ..pushed import pushed
from .arrived import arrived


class Clerk(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Take orders.")

    @traced_tool
    async def charge_account(self, amount: int, seconds: float = 0.0) -> str:
        """Take money."""
        await asyncio.sleep(seconds)
        raise ConnectionError("the bank does not answer")

    @traced_tool
    async def thank(self) -> str:
        """Thank."""
        return "thanks"


async def held(server: PrefactorServer, tmp_path: Path, call: Callable[[], Awaitable[Any]]) -> None:
    """Hold a call, and have all of it delivered."""
    settings = Settings(
        journal=tmp_path / "journal.db", api_url=server.url, api_token=SecretStr(server.token)
    )
    pipeline = Pipeline(settings, lambda session_id, reason: None)
    tracer.send_to(pipeline)
    await call()
    await asyncio.to_thread(until, lambda: pipeline.flush(1.0))
    arrived(server, settings.journal)


async def typed(model: ScriptedLLM, *questions: str) -> None:
    session: AgentSession[None] = AgentSession(llm=model, conn_options=NO_RETRIES)
    await session.start(Clerk())
    for question in questions:
        await session.generate_reply(user_input=question)
    await session.aclose()


def of(spans: list[Span], type_: str) -> list[Span]:
    return [span for span in spans if span.type == type_]


async def test_a_tool_that_fails_is_one_failure_with_its_reason(
    server: PrefactorServer, tmp_path: Path
) -> None:
    model = ScriptedLLM(
        [Wait(0.01), Use("charge_account", {"amount": 5}), Use("thank"), Tokens(40, 5)],
        [Wait(0.01), "The bank does not answer.", Tokens(60, 10)],
    )
    await held(server, tmp_path, lambda: typed(model, "I pay"))
    spans = server.spans()
    assert failures(spans) == [("charge_account", "the bank does not answer")]
    told = Counter(str((span.result or {})["outcome"]) for span in of(spans, "livekit:tool_result"))
    assert told == {"exception": 1, "returned": 1}
    [tool] = of(spans, "livekit:tool:charge_account")
    assert tool.payload["error"]["stacktrace"].endswith(" in Clerk.charge_account")


async def test_a_tool_that_fails_slowly_is_one_failure_with_its_reason(
    server: PrefactorServer, tmp_path: Path
) -> None:
    """Up to the time for which a tool is held back before it is sent open."""
    model = ScriptedLLM([Use("charge_account", {"amount": 5, "seconds": 0.8})], "No.")
    await held(server, tmp_path, lambda: typed(model, "I pay"))
    assert failures(server.spans()) == [("charge_account", "the bank does not answer")]


async def test_a_tool_that_was_sent_open_has_its_reason_in_the_result(
    server: PrefactorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "HELD_S", 0.0)
    model = ScriptedLLM([Use("charge_account", {"amount": 5, "seconds": 1.5})], "No.")
    await held(server, tmp_path, lambda: typed(model, "I pay"))
    assert failures(server.spans()) == [("charge_account", "no error detail recorded")]
    [tool] = of(server.spans(), "livekit:tool:charge_account")
    assert tool.result is not None
    assert tool.result["error"]["message"] == "the bank does not answer"


async def test_a_model_that_fails_is_one_failure_and_one_request(
    server: PrefactorServer, tmp_path: Path
) -> None:
    model = ScriptedLLM(
        [Wait(0.01), APIConnectionError("gone", retryable=False)],
        [Wait(0.01), "Hello.", Tokens(8, 2)],
    )
    await held(server, tmp_path, lambda: typed(model, "hello", "hello?"))
    spans = server.spans()
    assert failures(spans) == [("llm", "gone")]
    [cost] = costs(spans).values()
    assert (cost.calls, cost.errors, cost.prompt_tokens) == (2, 1, 8)
    assert cost.reasons == {"error: APIConnectionError": 1, "stop": 1}
    [note] = of(spans, "livekit:error")
    assert note.status == "complete"
    assert note.payload["message"] == "gone"


async def test_a_session_that_fails_of_its_model_is_one_failure(
    server: PrefactorServer, tmp_path: Path
) -> None:
    async def call() -> None:
        model = ScriptedLLM([Wait(0.01), APIConnectionError("gone", retryable=False)])
        options = replace(NO_RETRIES, max_unrecoverable_errors=0)
        session: AgentSession[None] = AgentSession(llm=model, conn_options=options)
        await session.start(Clerk())
        closed = asyncio.Event()
        session.on("close", lambda _event: closed.set())
        session.generate_reply(user_input="hello")
        await closed.wait()

    await held(server, tmp_path, call)
    [(_, why)] = failures(server.spans())  # of the request, or of the error that broke it off
    assert why == "gone"
    [session] = of(server.spans(), "livekit:session")
    assert session.result is not None
    assert session.result["error"]["message"] == "gone"
    [instance] = server.instances()
    assert instance["status"] == "failed"


async def test_an_earlier_failure_is_not_that_of_the_session(
    server: PrefactorServer, side: Side
) -> None:
    call = begin_call(side.writer)
    error = call.begin(SpanType.ERROR, "livekit_error", call.root, {"name": "on_enter"})
    call.end(error, Status.FAILED, {"error": {"error_type": "KeyError", "message": "menu"}})
    crash = {"error_type": "JobCrashed", "message": "the job's entrypoint raised"}
    call.end(call.root, Status.FAILED, {"status": "failed", "error": crash})
    side.deliverer.start()
    assert side.flush()
    assert sorted(failures(server.spans())) == [
        ("livekit-session", "the job's entrypoint raised"),
        ("on_enter", "menu"),
    ]


async def test_a_process_that_ends_is_one_failure(server: PrefactorServer, side: Side) -> None:
    call = begin_call(side.writer)
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {"turn_index": 1})
    call.begin("livekit:tool:book", "book", turn, {"tool_name": "book", "inputs": {}})
    side.write()
    with contextlib.closing(Outbox(side.settings.journal)) as outbox:
        outbox.end_left_behind(call.root.id)
    side.deliverer.start()
    assert side.flush()
    assert failures(server.spans()) == [("livekit-session", "process ended")]
    cut_off = [span for span in server.spans() if span.type != "livekit:session"]
    assert [span.status for span in cut_off] == ["cancelled", "cancelled"]
    assert all((span.result or {})["reason"] == "process ended" for span in cut_off)


async def test_an_error_that_nothing_else_tells_of_is_a_failure(
    server: PrefactorServer, side: Side
) -> None:
    call = begin_call(side.writer)
    for source, recoverable in (("TTS", True), ("on_enter", None)):
        payload = {"source": source, "message": "no", "recoverable": recoverable, "name": source}
        error = call.begin(SpanType.ERROR, "livekit_error", None, payload)
        result = {"error": {"error_type": "ValueError", "message": "no"}}
        call.end(error, Status.FAILED, result)
    end_call(call)
    side.deliverer.start()
    assert side.flush()
    assert failures(server.spans()) == [("on_enter", "no")]


async def test_a_realtime_model_costs_what_it_used(server: PrefactorServer, tmp_path: Path) -> None:
    await held(server, tmp_path, a_realtime_model)
    spans = server.spans()
    model = costs(spans)["scripted-realtime"]
    counted = [
        (span.result or {}).get("token_usage") or {}
        for span in spans
        if span.type in ("livekit:llm", "livekit:realtime")
    ]
    assert model.calls == len(counted) >= 3
    assert model.prompt_tokens == sum(one.get("prompt_tokens", 0) for one in counted) > 0
    assert model.completion_tokens == sum(one.get("completion_tokens", 0) for one in counted) > 0


async def test_the_evals_find_each_kind_of_step_with_a_pack_of_the_calls_own_tools(
    server: PrefactorServer, tmp_path: Path
) -> None:
    """What loops, repeated calls, slow steps and the length of a conversation are looked for in."""
    asked = [Use("thank"), Use("charge_account", {"amount": 5})]
    model = ScriptedLLM([Wait(0.01), *asked], [Wait(0.01), Use("thank")], [Wait(0.01), "Done."])
    await held(server, tmp_path, lambda: typed(model, "I pay"))
    with contextlib.closing(Journal(tmp_path / "journal.db")) as journal:
        [root] = journal.sessions()
        pack = evals_pack(tool_types(journal.call(root.id)))
    found = steps(server.spans(), pack["span_type_map"])
    assert sorted(found["tool_call"]) == ["charge_account", "thank", "thank"]
    assert found["llm_call"] == ["llm"] * 3
    assert found["output"] == ["assistant_turn"]
    assert "tool_call" not in {pack["span_type_map"].get("livekit:tool_result")}, "counted once"


async def test_a_session_is_no_verdict_of_the_agent_on_itself(
    server: PrefactorServer, tmp_path: Path
) -> None:
    await held(server, tmp_path, lambda: typed(ScriptedLLM("Hello."), "hello"))
    assert "livekit:session" not in verdicts(server.spans())
    [session] = of(server.spans(), "livekit:session")
    assert session.result is not None
    turns = session.result["conversation"]["turns"]
    assert {turn["role"] for turn in turns} == {"user", "assistant"}
    assert [turn["turn_index"] for turn in turns] == [1, 2]


async def test_the_instructions_are_sent_once(server: PrefactorServer, tmp_path: Path) -> None:
    class Other(Clerk):
        async def on_enter(self) -> None:
            await self.update_instructions("Take no orders any more.")

    for agent in (Clerk(), Other()):
        session: AgentSession[None] = AgentSession(
            llm=ScriptedLLM("Hello.", "Hello."), conn_options=NO_RETRIES
        )

        async def call(agent: Any = agent, session: Any = session) -> None:
            await session.start(agent)
            await session.generate_reply(user_input="hello")
            await session.aclose()

        server.reset()
        await held(server, tmp_path / type(agent).__name__, call)
        [told] = of(server.spans(), "livekit:session")
        assert told.payload["instructions"] == "Take orders."
        [request] = of(server.spans(), "livekit:llm")
        first = request.payload["inputs"]["messages"][0]
        if isinstance(agent, Other):
            assert first == {"role": "system", "content": "Take no orders any more."}
        else:
            assert first == {"role": "system", "same_as": bodies.INSTRUCTIONS}


def test_a_dashboard_that_runs_sees_what_is_delivered_late(
    server: PrefactorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LATE_S", 1.0)
    seen = DashboardSync(page=5)
    path = tmp_path / "journal.db"
    offline = JournalWriter(Settings(journal=path))
    whole_call(offline)
    assert offline.flush(PATIENCE)
    time.sleep(1.1)
    side = Side(tmp_path / "other", server)
    whole_call(side.writer)
    side.deliverer.start()
    assert side.flush()
    seen.look(server.spans())
    newer = {*seen.known}
    assert newer == {span.id for span in server.spans()}

    settings = Settings(journal=path, api_url=server.url, api_token=SecretStr(server.token))
    for _ in range(2):  # the second finds nothing more to do
        asyncio.run(pushed(Prefactor(settings)))
    seen.look(server.spans())
    assert seen.known.keys() == {span.id for span in server.spans()} > newer
    side.stop()
    arrived(server, path, side.settings.journal)


async def test_the_list_of_spans_reads_as_the_call_went(
    server: PrefactorServer, tmp_path: Path
) -> None:
    model = ScriptedLLM(
        [Wait(0.01), Use("charge_account", {"amount": 5}), Tokens(40, 5)],
        [Wait(0.01), "The bank does not answer.", Tokens(60, 10)],
    )
    await held(server, tmp_path, lambda: typed(model, "I pay"))
    [instance] = server.instances()
    query = f"agent_instance_id={instance['id']}&pagination[page_size]=100"
    request = urllib.request.Request(
        f"{server.url}/api/v1/agent_spans?{query}",
        headers={"Authorization": f"Bearer {server.admin_token}"},
    )
    answer = await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())
    summaries = [row["summary"] for row in json.loads(answer)["summaries"]]
    lines = {re.sub(r" \(\d+ ms\)", "", line) for line in summaries}  # said of what took long
    assert {
        "Caller: I pay",
        "scripted-llm calls charge_account (45 tokens)",
        "charge_account(5, 0.0) failed: the bank does not answer",
        "charge_account failed: the bank does not answer",
        "scripted-llm (70 tokens): The bank does not answer.",
        "Agent: The bank does not answer.",
    } <= lines
