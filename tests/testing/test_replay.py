"""Recorded calls, played to agents that changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession, APIConnectionError, llm

import prefactor_agent
from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.replay import NotReplayableError
from prefactor_agent.testing import Replay, ReplayMismatch, Trace, collecting, replay
from support.line import Line
from support.scripted import ScriptedLLM, Speaker

from .replayed import ASKS, HANDLING, LONG, Shop, a_spoken_call, told

pytest_plugins = ["prefactor_agent.testing.plugin"]


async def a_typed_call() -> Trace:
    with collecting() as trace:
        async with AgentSession[None](llm=ScriptedLLM(*ASKS), vad=None) as session:
            await session.start(Shop())
            await session.run(user_input="Where is 42?")
            await session.run(user_input="Thanks.")
    return trace


def session_of(call: Replay) -> AgentSession[None]:
    return AgentSession(
        stt=call.stt,
        llm=call.llm,
        tts=call.tts,
        vad=call.vad,
        turn_handling=HANDLING,
        aec_warmup_duration=None,
    )


async def play(call: Replay, agent: TracedAgent) -> None:
    async with asyncio.timeout(25):
        await call.run(session_of(call), agent)


async def test_a_spoken_call_goes_as_it_went(prefactor_trace: Trace) -> None:
    expected = [
        ("Where is 42?", "".join(LONG), ("lookup",), True),
        ("Thanks.", "Goodbye.", (), False),
    ]
    call = replay(await a_spoken_call())
    await play(call, Shop("Another prompt."))
    assert told(prefactor_trace) == expected
    cut = prefactor_trace.turns[0].assistant
    assert cut.playback_s is not None
    assert cut.playback_s < len("".join(LONG)) * 0.05
    assert prefactor_trace.calls[0].close_reason == "user_initiated"
    heard = prefactor_trace.spans("stt")[0].stream("events")["event"]
    assert [(one["type"], one.get("text")) for one in heard] == [
        ("start_of_speech", None),
        ("interim_transcript", "Where"),
        ("final_transcript", "Where is 42?"),
        ("end_of_speech", None),
    ]


async def test_a_file_is_played_faster(prefactor_trace: Trace, tmp_path: Path) -> None:
    recorded = await a_spoken_call()
    file = tmp_path / "call.json"
    file.write_text(replay(recorded).recording.dump(), encoding="utf-8")
    call = replay(file, speed=3)
    assert "“Where is 42?”" in repr(call)
    await play(call, Shop())
    assert [turn.assistant.generated for turn in prefactor_trace.turns] == [
        "".join(LONG),
        "Goodbye.",
    ]


async def test_a_typed_call_goes_as_it_went(prefactor_trace: Trace) -> None:
    recorded = await a_typed_call()
    call = replay(recorded.spans(), speed=10)
    async with asyncio.timeout(20):
        await call.run(AgentSession(llm=call.llm, vad=None), Shop())
    assert told(prefactor_trace) == told(recorded)
    assert prefactor_trace.turns[0].user.modality == "text"
    with pytest.raises(RuntimeError, match="good for one run"):
        await call.run(AgentSession(llm=call.llm, vad=None), Shop())
    with pytest.raises(NotReplayableError, match="several calls"):
        replay([*recorded.spans(), *prefactor_trace.spans()])


async def test_a_session_that_cannot_start_says_so_itself() -> None:
    call = replay((await a_typed_call()).calls[0].spans)
    with pytest.raises(TypeError, match="nonsense"):
        await call.run(AgentSession(llm=call.llm, vad=None), Shop(), nonsense=True)


class WithoutTool(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer the phone.")

    @traced_tool
    async def refund(self) -> str:
        """Give money back."""
        return "done"


class Greets(Shop):
    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet.")


class Mute(Shop):
    async def llm_node(self, *_: Any) -> AsyncIterable[llm.ChatChunk]:  # type: ignore[override]
        await asyncio.Event().wait()
        yield llm.ChatChunk(id="never")


class HangsUp(Shop):
    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        self.session.shutdown(drain=False)


class Answers(Shop):
    async def llm_node(self, *_: Any) -> AsyncIterable[str]:  # type: ignore[override]
        yield "I know that myself."


@pytest.mark.parametrize(
    ("agent", "says"),
    [
        (
            lambda: Shop(state="gone"),
            r"(?s)LLM request 2 \(user turn 1, “Where is 42\?”\): the tool lookup gave “Order 42 "
            r"has gone\.” now, and not then.*recorded:.*Order 42 has shipped.*now:.*has gone",
        ),
        (WithoutTool, r"calls lookup\(.*\), a tool that the agent does not have \(it has: refund"),
        (Greets, r"(?s)LLM request 1 \(user turn 1.*now:\n  \(nothing: a greeting\)"),
        (Mute, r"waited 0\.5 s after user turn 1, “Where is 42\?”: the recorded agent answered"),
        (Answers, r"ended before LLM request 1 \(user turn 1, “Where is 42\?”\), which was about"),
    ],
)
async def test_a_typed_call_says_where_it_was_left(
    prefactor_trace: Trace, agent: Callable[[], TracedAgent], says: str
) -> None:
    recorded = await a_typed_call()
    call = replay(recorded.spans(), patience=0.5)
    async with asyncio.timeout(20):
        with pytest.raises(ReplayMismatch, match=says):
            await call.run(AgentSession(llm=call.llm, vad=None), agent())
    assert prefactor_trace.calls[0].close_reason == "user_initiated"


async def test_a_spoken_call_says_where_it_was_left() -> None:
    recorded = await a_spoken_call()
    with pytest.raises(
        ReplayMismatch, match=r"before user turn 2 .*“Thanks\.”: the session closed"
    ):
        await play(replay(recorded, speed=3), HangsUp())


async def test_other_results_can_be_let_pass(prefactor_trace: Trace) -> None:
    recorded = await a_typed_call()
    call = replay(recorded.spans(), speed=10, tool_results="any")
    await call.run(AgentSession(llm=call.llm, vad=None), Shop(state="gone"))
    assert prefactor_trace.turns[0].tools["lookup"].result == "Order 42 has gone."
    assert prefactor_trace.turns[0].assistant.text == "It has"


async def test_the_models_answer_without_the_caller(prefactor_trace: Trace) -> None:
    """Without the caller: in a session that the test itself drives."""
    call = replay((await a_typed_call()).spans(), speed=10)
    async with AgentSession[None](llm=call.llm, vad=None) as session:
        await session.start(Shop())
        await session.run(user_input="Where is 42?")
        await session.generate_reply(user_input="And 43?")
    assert prefactor_trace.turns[0].assistant.text == "It has"
    assert "left the recording at LLM request 3" in prefactor_trace.errors[0].message
    assert call.mismatch is not None


async def test_an_error_of_the_model_comes_again(prefactor_trace: Trace) -> None:
    with collecting() as recorded:
        line = Line(thinks=ScriptedLLM([APIConnectionError("gone")], "Here again."))
        line.session.output.audio = None
        await line.session.start(Shop())
        await line.session.generate_reply(user_input="One?")
        await line.session.run(user_input="Two?")
        await line.session.aclose()
    call = replay(recorded.spans(), speed=10)
    await call.run(AgentSession(llm=call.llm, vad=None), Shop())
    assert "gone" in prefactor_trace.errors[0].message
    assert prefactor_trace.turns[-1].assistant.text == "Here again."


class Filters(Shop):
    """Makes every frame anew, as a noise filter does."""

    def stt_node(self, audio: AsyncIterable[rtc.AudioFrame], model_settings: Any) -> Any:
        async def filtered() -> AsyncIterable[rtc.AudioFrame]:
            async for frame in audio:
                yield rtc.AudioFrame(
                    bytes(frame.data), frame.sample_rate, 1, frame.samples_per_channel
                )

        return super().stt_node(filtered(), model_settings)


async def test_frames_that_a_node_makes_anew_are_understood(prefactor_trace: Trace) -> None:
    recorded = await a_spoken_call()
    await play(replay(recorded, speed=2), Filters())
    assert [turn.user.text for turn in prefactor_trace.turns] == ["Where is 42?", "Thanks."]


async def test_words_that_were_never_recorded_are_spoken_at_the_recorded_pace(
    prefactor_trace: Trace,
) -> None:
    """They are spoken as fast as the recorded voice spoke."""
    call = replay(await a_spoken_call())
    async with AgentSession[None](tts=call.tts, vad=None) as session:
        session.output.audio = Speaker(speed=10)
        await session.start(Shop())
        await session.say("Words that were never recorded.")
        await session.say("It has shipped and something else.")
    first, second = prefactor_trace.turns
    assert first.assistant.playback_s == pytest.approx(31 * 0.05, rel=0.2)
    assert second.assistant.playback_s == pytest.approx(34 * 0.05, rel=0.2)


async def test_what_was_redacted_is_not_replayed() -> None:
    prefactor_agent.configure(redact_patterns=["42"])
    with pytest.raises(NotReplayableError, match=r"what the caller said \(turn 1\)"):
        replay((await a_typed_call()).spans())
    prefactor_agent.configure(redact_patterns=["4444"])  # finds nothing
    blanked = (await a_typed_call()).spans()
    assert "".join(replay(blanked).recording.requests[1].output.text) == "It has"
    prefactor_agent.configure(capture_content=False)
    with pytest.raises(NotReplayableError, match="LLM request 1"):
        replay((await a_typed_call()).spans())


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "call.json"
    with pytest.raises(FileNotFoundError):
        replay(file)
    for text in ("", "[]", "{}", '{"format": "prefactor-agent/replay", "version": 2}'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"call\.json is no replay file") as refused:
            replay(file)
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="speed"):
        replay(file, speed=0)
