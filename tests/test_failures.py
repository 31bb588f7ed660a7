"""A failure of ours, in any place that LiveKit or a node reaches, leaves the call as it is: it is
counted, and logged once."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import pkgutil
from collections.abc import Iterator
from typing import Any

import livekit.agents
import pytest
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice.audio_recognition import AudioRecognition

import prefactor_agent
from prefactor_agent import TracedAgent, traced_tool, tracing
from prefactor_agent.core import guard
from prefactor_agent.core.guard import failures
from prefactor_agent.record.audio import block
from prefactor_agent.record.intercept import forms, passthrough
from prefactor_agent.record.models import llm_node, node_call, nodes, stt_node, voice_nodes
from prefactor_agent.record.session import hooks
from prefactor_agent.record.spans import tree
from prefactor_agent.record.spans.stream import Stream
from prefactor_agent.record.tools import traced as tool_calls
from prefactor_agent.record.turns.user_turns import UserTurns
from prefactor_agent.tracing import tracer
from support.memory_sink import MemorySink
from support.scripted import (
    Heard,
    Microphone,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Speaker,
    Tokens,
    Use,
    silence,
    sound,
)


@pytest.fixture(autouse=True)
def closing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that closes waits up to two seconds for words that are still on their way."""
    if QUICK:
        return
    commit: Any = AudioRecognition.commit_user_turn  # type: ignore[attr-defined]  # in 1.5

    def at_once(self: AudioRecognition, **options: Any) -> Any:
        return commit(self, **{**options, "transcript_timeout": 0.01})

    monkeypatch.setattr(AudioRecognition, "commit_user_turn", at_once)


_TIMEOUT = "session_close_transcript_timeout"
QUICK: dict[str, Any] = (
    {_TIMEOUT: 0.01} if _TIMEOUT in inspect.signature(AgentSession).parameters else {}
)


async def observe(base: Any, tool: Any) -> list[Any]:
    """One spoken turn with a tool that works and one that fails: all that the caller, the model and
    the agent notice of it."""
    noticed: list[Any] = []

    class Mine(base):  # type: ignore[misc]
        async def on_enter(self) -> None:
            noticed.append("enter")

        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            noticed.append(new_message.text_content)

        async def on_exit(self) -> None:
            noticed.append("exit")

        @tool
        async def look(self, x: int) -> int:
            """Look."""
            noticed.append(("look", x))
            return x * 2

        @tool
        async def fail(self) -> None:
            """Fail."""
            raise ValueError("no")

        def transcription_node(self, text: Any, model_settings: Any) -> Any:
            return text  # an iterator that is handed back

        def realtime_audio_output_node(self, audio: Any, model_settings: Any) -> Any:
            async def stream() -> Any:
                async for frame in audio:
                    yield frame

            return stream()

    frames = sound(0.02)
    model = ScriptedLLM([Use("look", {"x": 2}), Use("fail")], ["It is ", "four.", Tokens(1, 2)])
    tts = ScriptedTTS()
    session: AgentSession[None] = AgentSession(
        stt=ScriptedSTT(Heard("look", ["lo"])),
        llm=model,
        tts=tts,
        vad=ScriptedVAD(),
        turn_handling={"turn_detection": "vad", "endpointing": {"min_delay": 0.02}},
        **QUICK,
    )
    microphone, speaker = Microphone(speed=10), Speaker(speed=10)
    session.input.audio, session.output.audio = microphone, speaker
    agent = Mine(instructions="be")
    await session.start(agent)
    microphone.play([*silence(0.1), *sound(0.3), *silence(0.5)])
    async with asyncio.timeout(5):
        while not speaker.finished:
            await asyncio.sleep(0.01)
    played = agent.realtime_audio_output_node(_stream(frames), None)
    noticed.append([frames.index(frame) async for frame in played])
    await asyncio.sleep(0.02)
    noticed.append(agent.llm_node is not None)
    await session.aclose()
    noticed += [
        (getattr(item, "role", item.type), getattr(item, "content", getattr(item, "output", None)))
        for item in session.history.items
        if item.type in ("message", "function_call_output")
    ]
    noticed.append("".join(text for text in tts.spoken).strip())
    noticed.append((len(speaker.frames), [event.interrupted for event in speaker.finished]))
    return noticed


async def _stream(items: list[Any]) -> Any:
    for item in items:
        yield item


def boom(*_args: Any, **_kwargs: Any) -> Any:
    raise LookupError("a defect of ours")


# Every guarded function: its inside is replaced


def guarded_functions() -> Iterator[tuple[str, Any]]:
    wrapper = guard.guarded("x")(boom).__code__
    for module in pkgutil.walk_packages(prefactor_agent.__path__, "prefactor_agent."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        owners = [loaded, *(c for _, c in inspect.getmembers(loaded, inspect.isclass))]
        for owner in owners:
            for member in vars(owner).values():
                function = getattr(member, "__func__", member)
                if getattr(function, "__code__", None) is not wrapper:
                    continue
                if function.__module__ == module.name:
                    yield f"{module.name.split('.', 1)[1]}:{function.__qualname__}", function
    # A function can be a member of one class only, and a class of one module.


SEAMS = dict(guarded_functions())
NOT_IN_THIS_CALL = {
    "metrics.prometheus.collector:JournalCollector._refresh",
    "metrics.prometheus.collector:register",
    "metrics.prometheus.multiprocess:JobMetrics.observe",
    "metrics.prometheus.multiprocess:JobMetrics.read_backlog",
    "pipeline:Pipeline._start_delivery",
    "record.session.answering_machine:AnsweringMachine._on_verdict",
    "record.room.arrival:Arrivals._on_attributes",
    "record.room.arrival:Arrivals._on_connection",
    "record.room.arrival:Arrivals._on_joined",
    "record.session.avatars:Avatars.on_measured",
    "record.session.budgets:Budgets._due",
    "record.session.call_moments:CallMoments.on_false_interruption",
    "record.session.call_moments:CallMoments.on_overlap",
    "record.session.call_moments:CallMoments.on_transcription_timeout",
    "record.session.closing:Closing._on_done",
    "record.session.closing:Closing.may_follow",
    "record.session.end_of_turn:EndOfTurns._on_compare",
    "record.session.end_of_turn:EndOfTurns._on_predict",
    "record.session.errors:Errors.on_event",
    "record.models.fallbacks:Fallbacks._on_change",
    "record.recording.tap:CallRecording._speak",
    "record.recording.tap:CallRecording._whole",
    "record.recording.tap:CallRecording.end",
    "record.recording.tap:CallRecording.follow",
    "record.session.handoffs:awaited",
    "record.session.job:Job._over",
    "record.session.job:Job.process_ends",
    "record.session.job:Job.shut_down",
    "record.turns.off_the_record:OffTheRecord.begin",
    "record.turns.off_the_record:OffTheRecord.end",
    "record.tools.provider:_logged",
    "record.models.realtime:Realtime._hear",
    "record.models.tts_input:GivenText.synthesizes",
    "record.models.realtime:Realtime._note_commit",
    "record.models.realtime:Realtime._note_item",
    "record.models.realtime:Realtime._note_reply",
    "record.models.realtime:Realtime._note_usage",
    "record.models.realtime:Realtime._on_generation",
    "record.models.realtime:Realtime._on_metrics",
    "record.models.realtime:Realtime._on_server_event",
    "record.turns.assistant_turns:AssistantTurns.on_false_interruption",
    "record.turns.playback:Playback._on_progressed",
    "record.session.pickup_budget:PickupBudget._due",
    "record.session.process:_look",
    "record.session.states:States._on_agent",
    "record.session.states:States._on_user",
    "record.session.termination:Termination.begin",
    "compat.session:PrefactorLiveKitSession._begin",
    "tools:_warn_of_plain_agent",
    "tracing:SessionRegistry.detach",
    "tracing:SessionRegistry.record_quality",
}
"""What takes a token, a slow answer, an error event, a paused answer or a kill switch; a job and
its room (record/session/test_job.py, test_pickup.py), a closing that breaks off (test_closing.py),
a realtime model (test_realtime.py), tools of a provider's (test_provider_tools.py), states that are
asked for (test_reconcile.py), a recording (test_recorded_calls.py), a part off the record
(test_off_the_record.py), a turn detector (test_end_of_turn.py); a PrefactorLiveKitSession
(tests/compat), a plain agent (test_tools.py), a scrape (tests/metrics), an avatar, an answering
machine and a quality of the program's."""
IN_A_ROOM = ("people", "connection", "tracks", "dtmf", "rpc", "sound_quality")
"""The modules of record/room/ that follow a room, which there is none of in this call."""
NOT_IN_THIS_CALL |= {
    name
    for name in SEAMS
    if name.startswith(tuple(f"record.room.{module}:" for module in IN_A_ROOM))
    and not name.endswith(".let_go")
}
if not hasattr(livekit.agents, "ToolExecutionUpdatedEvent"):  # before 1.6
    NOT_IN_THIS_CALL |= {
        "record.tools.calls:ToolCalls.on_updated",
        "record.tools.calls:ToolCalls._untraced",
    }


def cell(function: Any, name: str) -> Any:
    return function.__closure__[function.__code__.co_freevars.index(name)]


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    return asyncio.run(observe(Agent, function_tool))


def assert_unharmed(
    noticed: list[Any], expected: list[Any], caplog: pytest.LogCaptureFixture, seam: str | None
) -> None:
    assert noticed == expected
    told = [record for record in caplog.records if record.name == guard.logger.name]
    assert len(told) == len(failures), "each seam is logged once"
    assert all(record.levelno == logging.WARNING for record in told)
    assert failures, "the failure is counted"
    if seam is not None:
        assert failures[seam]


@pytest.mark.parametrize("name", SEAMS)
async def test_a_failure_inside_a_guarded_function(
    name: str, sink: MemorySink, expected: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    inside = cell(SEAMS[name], "function")
    seam = cell(SEAMS[name], "seam").cell_contents
    whole = inside.cell_contents
    inside.cell_contents = boom
    try:
        noticed = await observe(TracedAgent, traced_tool)
        sink.as_dicts()  # as the journal does, on its thread
    finally:
        inside.cell_contents = whole
    if name in NOT_IN_THIS_CALL:
        assert noticed == expected
        assert not failures
    else:
        assert_unharmed(noticed, expected, caplog, seam)


# What lies behind the guards, and what others call


BEHIND: dict[str, tuple[Any, str]] = {
    "sink.put": (MemorySink, "put"),
    "loudness of both voices": (block, "mean_squares"),
    "ids": (tree.Ids, "new"),
    "the session's trace": (tracing, "SessionRecorder"),
    "a node's beginning": (nodes.Nodes, "open"),
    "a hook's beginning": (hooks.Hooks, "begin"),
    "a span's beginning": (tree.SpanTree, "begin"),
    "a span's end": (tree.SpanTree, "end"),
    "a hook's note": (hooks.Hooks, "note"),
    "a user turn's commit": (UserTurns, "commit"),
    "a user turn": (UserTurns, "begin"),
    "a wrapper": (forms, "observed"),
    "a node's wrapper": (forms, "_node"),
    "a hook's wrapper": (forms, "_hook"),
    "a stream's stand-in": (forms, "observe"),
    "an input's stand-in": (node_call, "proxy_stream"),
    "a look at audio": (voice_nodes.TTSNodeCall, "look"),
    "a look at the user's audio": (stt_node.InputAudio, "look"),
    "a look at an STT event": (stt_node.STTNodeCall, "look"),
    "a node's end": (node_call.SpanCall, "end"),
    "a hook's end": (hooks._Hook, "end"),
    "a user turn hook's end": (hooks._UserTurnHook, "end"),
    "a tool's beginning": (tool_calls.ToolCall, "begin"),
    "a tool's answer": (tool_calls.ToolCall, "returned"),
    "a tool's exception": (tool_calls.ToolCall, "raised"),
    "a tool's input": (tool_calls, "_inputs"),
    "a description": (tool_calls, "plain"),
}


@pytest.mark.parametrize("where", BEHIND)
async def test_a_failure_behind_the_guards(
    where: str,
    sink: MemorySink,
    expected: list[Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, name = BEHIND[where]
    forms._made.clear()
    monkeypatch.setattr(owner, name, boom)
    noticed = await observe(TracedAgent, traced_tool)
    assert_unharmed(noticed, expected, caplog, None)


async def test_a_stream_that_cannot_be_kept(
    sink: MemorySink,
    expected: list[Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So short a call leaves all of it to the journal's thread otherwise.
    monkeypatch.setattr(passthrough, "UNABSORBED", 1)
    monkeypatch.setattr(Stream, "absorb", boom)
    noticed = await observe(TracedAgent, traced_tool)
    assert_unharmed(noticed, expected, caplog, "stream")


async def test_a_result_that_cannot_be_told(
    sink: MemorySink, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm_node.LLMNodeCall, "_outcome", boom)
    assert await observe(TracedAgent, traced_tool) == expected
    assert [s["result"]["tracer_error"] for s in sink.as_dicts() if s["type"] == "livekit:llm"] == [
        "LookupError"
    ] * 2
    assert failures["span.result"] == 2


async def test_settings_that_cannot_be_used(
    expected: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PREFACTOR_DISABLED", "perhaps")
    tracer.send_to(None)
    assert await observe(TracedAgent, traced_tool) == expected
    told = [record.message for record in caplog.records if record.name == guard.logger.name]
    assert len(told) == 1
    assert "PREFACTOR_DISABLED" in told[0]


async def test_the_same_call_without_a_failure(sink: MemorySink, expected: list[Any]) -> None:
    assert await observe(TracedAgent, traced_tool) == expected
    assert not failures
    assert all(not span.open for span in sink.spans)
