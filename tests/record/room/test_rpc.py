"""Remote procedure calls: what is recorded of them, and that they do what they did."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.agents import AgentSession

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.record.room import rpc
from prefactor_agent.redact import Redactor
from support.job import LINKED
from support.room import Own, RoomCall, root
from support.scripted import ScriptedLLM, Use
from support.tree import JSON, Recorder, check

INTERCEPTS = hasattr(rtc.LocalParticipant, "add_rpc_interceptor")
incoming = pytest.mark.skipif(not INTERCEPTS, reason="livekit.rtc has no interceptors before 1.1")


class Browser(Own):
    """The agent, whose calls to others are answered here."""

    def __init__(self, answer: str | BaseException = "ok") -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[Any] = []
        self.waits = False

    async def _reply(self, asked: Any) -> str:
        self.asked.append(asked)
        if self.waits:
            await asyncio.Event().wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def _perform_rpc_ffi(self, call: Any) -> str:  # what the interceptors end in
        return await self._reply(call.payload)

    if not INTERCEPTS:

        async def perform_rpc(self, **call: Any) -> str:  # type: ignore[override]
            return await self._reply(call["payload"])


async def asks(own: rtc.LocalParticipant, payload: str = "{}") -> str:
    return await own.perform_rpc(
        destination_identity="anna", method="where", payload=payload, response_timeout=2.0
    )


def calls(sink: Recorder) -> list[JSON]:
    return [sink.plain(span) for span in sink.of("livekit:rpc")]


async def test_a_call_of_the_agents(sink: Recorder) -> None:
    own = Browser("in Graz — ä")
    call = RoomCall(own)
    await call.start()
    assert await asks(own, '{"who": "me"}') == "in Graz — ä"
    await call.over()
    check(sink)
    assert own.asked == ['{"who": "me"}']
    (made,) = calls(sink)
    assert made["name"] == "where"
    assert made["payload"] == {
        "name": "where",
        "type": "livekit:rpc",
        "direction": "sent",
        "method": "where",
        "participant": "anna",
        "response_timeout_s": 2.0,
        "payload": '{"who": "me"}',
        "payload_bytes": 13,
    }
    assert made["result"] == {
        "status": "completed",
        "response": "in Graz — ä",
        "response_bytes": 14,
    }


async def test_a_call_that_fails_says_with_which_code(sink: Recorder) -> None:
    error = rtc.RpcError(1502, "Response timeout")
    own = Browser(error)
    call = RoomCall(own)
    await call.start()
    with pytest.raises(rtc.RpcError) as raised:
        await asks(own)
    assert raised.value is error
    await call.over()
    check(sink)
    (made,) = calls(sink)
    assert made["status"] == "failed"
    assert made["result"]["error_code"] == 1502
    error = made["result"]["error"]
    assert (error["error_type"], error["message"]) == ("RpcError", "Response timeout")
    assert error["stacktrace"].endswith(" in Browser._reply")


async def test_a_call_that_is_cancelled(sink: Recorder) -> None:
    own = Browser()
    own.waits = True
    call = RoomCall(own)
    await call.start()
    task = asyncio.create_task(asks(own))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await call.over()
    check(sink)
    assert [made["status"] for made in calls(sink)] == ["cancelled"]


async def test_a_call_of_a_tool_lies_below_it(sink: Recorder) -> None:
    own = Browser("Graz")

    class Guide(TracedAgent):
        def __init__(self) -> None:
            super().__init__(instructions="guide")

        @traced_tool
        async def locate(self) -> str:
            """Find the user."""
            return await asks(own)

    call = RoomCall(own)
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM([Use("locate", {})], "In Graz."))
    with call.job.running():
        await session.start(Guide(), room=call.room, room_options=LINKED)
        await session.run(user_input="Where am I?")
        await session.aclose()
        await call.job.end("done")
    check(sink)
    (made,) = calls(sink)
    (tool,) = [sink.plain(span) for span in sink.of("livekit:tool:locate")]
    assert made["parent_id"] == tool["id"]


async def served(own: rtc.LocalParticipant, method: str, payload: str) -> Any:
    """What a caller is answered: the chain that livekit.rtc builds (``_dispatch_rpc``)."""
    from livekit.rtc.participant import _chain_incoming

    invocation = rtc.RpcInvocationData("RQ_1", "anna", payload, 3.0, method)
    handle = _chain_incoming(list(own._rpc_interceptors), own._invoke_rpc_handler)
    return await handle(invocation)


@incoming
async def test_a_call_to_the_agent(sink: Recorder) -> None:
    own = Browser()
    own._rpc_handlers["greet"] = lambda data: f"hello {data.caller_identity}"

    def refuse(data: Any) -> str:
        raise rtc.RpcError(1600, "not now", "later")

    own._rpc_handlers["refuse"] = refuse
    call = RoomCall(own)
    await call.start()
    assert await served(own, "greet", "hi") == "hello anna"
    with pytest.raises(rtc.RpcError, match="not now") as refused:
        await served(own, "refuse", "")
    assert (refused.value.code, refused.value.data) == (1600, "later")
    with pytest.raises(rtc.RpcError) as unknown:
        await served(own, "unknown", "")
    assert unknown.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
    await call.over()
    check(sink)
    greeted, refused_call, unknown_call = calls(sink)
    assert greeted["payload"]["direction"] == "received"
    assert greeted["payload"]["request_id"] == "RQ_1"
    assert greeted["result"]["response_bytes"] == 10
    assert refused_call["result"]["error_code"] == 1600
    assert unknown_call["result"]["error_code"] == 1400
    assert greeted["parent_id"] == root(sink)["id"]


async def test_nothing_is_left_on_the_participant(sink: Recorder) -> None:
    own = Browser()
    call = RoomCall(own)
    await call.start()
    await call.over()
    assert "perform_rpc" not in vars(own)
    assert not [
        one for one in getattr(own, "_rpc_interceptors", ()) if "prefactor" in type(one).__module__
    ]
    assert await asks(own) == "ok"
    assert calls(sink) == []


@pytest.mark.parametrize("part", ["_begin", "_end"])
async def test_a_failure_of_ours_is_not_the_callers(
    sink: Recorder, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom(*_: Any, **__: Any) -> Any:
        raise LookupError("ours")

    monkeypatch.setattr(rpc.Rpc, part, boom)
    own = Browser("fine")
    call = RoomCall(own)
    await call.start()
    assert await asks(own) == "fine"
    await call.over()


async def test_past_the_bound_calls_are_counted(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "KEPT", 2)
    own = Browser()
    call = RoomCall(own)
    await call.start()
    for _ in range(3):
        await asks(own)
    await call.over()
    assert len(calls(sink)) == 2
    assert root(sink)["result"]["rpc_total"] == 3


async def test_payloads_are_content_and_long_ones_are_cut(sink: Recorder) -> None:
    own = Browser("secret answer")
    call = RoomCall(own)
    await call.start()
    await asks(own, "secret " + "x" * 5_000)
    await call.over()
    (made,) = calls(sink)
    assert made["payload"]["payload"].endswith("… [3007 more characters]")
    assert made["payload"]["payload_bytes"] == 5_007
    redactor = Redactor(Settings(journal=Path("unused"), capture_content=False), frozenset)
    clean = json.dumps(
        [
            redactor.value(cast(Any, made["payload"]), "livekit:rpc", is_result=False),
            redactor.value(cast(Any, made["result"]), "livekit:rpc", is_result=True),
        ]
    )
    assert "secret" not in clean
    assert "anna" not in clean
    assert '"payload_bytes": 5007' in clean
    assert '"method": "where"' in clean
