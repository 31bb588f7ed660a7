"""The demo call, whole: the samples' agent, the real OpenAI plugins, real HTTP, real audio."""

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from prefactor_agent.config import Settings
from prefactor_agent.core import guard
from prefactor_agent.demo.call import CallResult, run_call
from prefactor_agent.demo.recording import RATE, stereo
from prefactor_agent.demo.script import CALLER, GREETING, INTERRUPTED, RULES
from prefactor_agent.demo.server import COMPLETIONS, OfflineOpenAI
from prefactor_agent.journal.reader import Journal
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.tracing import tracer
from support.waiting import PATIENCE


@dataclass
class Held:
    """One call, which all tests here look at."""

    result: CallResult
    server: OfflineOpenAI
    progress: list[tuple[str, str]]
    trace: list[StoredSpan]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Held]:
    progress: list[tuple[str, str]] = []
    path = tmp_path_factory.mktemp("call") / "journal.db"
    pipeline = Pipeline(Settings(journal=path), lambda session_id, reason: None)
    tracer.send_to(pipeline)
    async with OfflineOpenAI() as server:
        result = await run_call(lambda who, what: progress.append((who, what)), server=server)
        assert pipeline.flush(PATIENCE)
        journal = Journal(path)
        yield Held(result, server, progress, journal.call(journal.find("last")))
        journal.close()


def tool_messages(call: Held) -> list[dict[str, Any]]:
    """The tools' results, as the last chat request told them to the model."""
    messages = call.server.asked(COMPLETIONS)[-1]["messages"]
    return [message for message in messages if message["role"] == "tool"]


def test_every_word_was_heard(call: Held):
    assert call.result.said == [line.text for line in CALLER]
    assert call.result.heard == call.result.said
    assert [text for text in call.server.heard if text] == call.result.said


def test_the_agent_greets_first(call: Held):
    assert call.result.answers[0] == GREETING
    first = min(call.result.utterances, key=lambda one: one.started_at)
    assert first.speaker == "agent"


def test_the_model_asked_for_the_tools_of_the_script(call: Held):
    wanted = [[one.name for one in rule.calls] for rule in RULES if rule.calls]
    asked = [[one.name for one in reply.calls] for reply in call.server.replies if reply.calls]
    assert asked == wanted
    assert [name for name, _, _ in call.result.tools] == list(chain(*wanted))


def test_the_tools_were_offered_with_their_schemas(call: Held):
    tools = {
        tool["function"]["name"]: tool["function"]["parameters"]["properties"]
        for tool in call.server.asked(COMPLETIONS)[1]["tools"]
    }
    assert set(tools) == {"look_up_order", "cancel_order", "check_stock", "store_hours"}
    assert set(tools["look_up_order"]) == {"order_id"}


def test_the_failure_was_told_to_the_model_and_to_the_caller(call: Held):
    name, output, failed = call.result.tools[-1]
    assert (name, failed) == ("cancel_order", True)
    assert [failed for _, _, failed in call.result.tools[:-1]] == [False] * 3
    assert output in tool_messages(call)[-1]["content"]
    assert any(answer.startswith("I am sorry") for answer in call.result.answers)


def test_the_long_answer_was_talked_over(call: Held):
    (cut,) = [one for one in call.result.utterances if one.interrupted]
    whole = next(rule.says for rule in RULES if rule.question == INTERRUPTED)
    answer = call.result.answers[-2]
    assert whole in call.result.generated
    assert whole.startswith(answer)
    assert 0 < len(answer) < len(whole) / 2
    generated = sum(
        sound.seconds for text, sound in call.server.spoken if text.strip().rstrip(".") in whole
    )
    assert 2.0 <= cut.seconds < generated


def test_the_model_was_told_only_what_was_heard(call: Held):
    messages = call.server.asked(COMPLETIONS)[-1]["messages"]
    spoken = [message.get("content") for message in messages if message["role"] == "assistant"]
    assert spoken[-1] == call.result.answers[-2]


def test_the_recording_has_both_voices_in_order(call: Held):
    result = call.result
    both = stereo(result.caller, result.agent, result.started_at, result.ended_at)
    assert len(both) == pytest.approx(result.seconds * RATE, abs=1)
    assert result.seconds > 20
    for one in result.utterances:
        channel = 0 if one.speaker == "caller" else 1
        middle = round((one.started_at + one.seconds / 2 - result.started_at) * RATE)
        around = both[middle - RATE // 4 : middle + RATE // 4].astype(float)
        loudness = 20 * np.log10(np.sqrt(np.mean(around**2, axis=0)) / 32768 + 1e-9)
        assert loudness[channel] > -40, one
    in_turn = sorted(result.utterances, key=lambda one: one.started_at)
    assert [one.speaker for one in in_turn] == ["agent", *["caller", "agent"] * len(CALLER)]


def test_progress_told_it_as_it_went(call: Held):
    said = [what for who, what in call.progress if who == "heard"]
    assert said == call.result.said
    assert len([who for who, _ in call.progress if who == "tool"]) == 4
    assert call.progress[0] == ("agent", GREETING)


def test_the_environment_is_as_before(call: Held):
    assert "127.0.0.1" not in os.environ.get("OPENAI_BASE_URL", "")


def test_requests_hold_no_audio(call: Held):
    assert len(json.dumps([request.body for request in call.server.requests])) < 100_000


# The trace of the same call.


def of(call: Held, type_: str) -> list[StoredSpan]:
    return [span for span in call.trace if span.type == type_]


def test_the_trace_is_one_tree_without_an_open_end(call: Held):
    spans = {span.id: span for span in call.trace}
    (session,) = (span for span in call.trace if span.parent_id is None)
    assert session.type == "livekit:session"
    assert {span.session_id for span in call.trace} == {session.id}
    parents = {
        "livekit:user_turn": "livekit:session",
        "livekit:assistant_turn": "livekit:session",
        "livekit:stt": "livekit:user_turn",
        "livekit:llm": "livekit:assistant_turn",
        "livekit:tts": "livekit:assistant_turn",
        "livekit:transcription": "livekit:assistant_turn",
        "livekit:tool": "livekit:assistant_turn",
        "livekit:tool_result": "livekit:tool",
    }
    for span in call.trace:
        assert span.status != "active", span
        assert span.finished_us is not None, span
        assert session.started_us <= span.started_us <= span.finished_us <= session.finished_us
        if span.parent_id is not None:
            kind = ":".join(span.type.split(":")[:2])
            parent = spans[span.parent_id]
            assert parent.type.startswith(parents[kind]), span
    assert guard.failures.total() == 0, guard.failures


def test_the_trace_has_each_word_of_both(call: Held):
    users, agents = of(call, "livekit:user_turn"), of(call, "livekit:assistant_turn")
    assert [turn.result["transcript"] for turn in users] == call.result.said
    assert [stt.result["transcript"] for stt in of(call, "livekit:stt")] == call.result.said
    assert [turn.result["spoken_text"] for turn in agents] == call.result.answers
    for turn in agents:
        said = [llm for llm in of(call, "livekit:llm") if llm.parent_id == turn.id]
        assert "".join(llm.result["text"] for llm in said) == turn.result["generated_text"]
        assert (
            "".join("".join(llm.stream("output")["text"]) for llm in said)
            == (turn.result["generated_text"])
        )


def test_each_answer_is_linked_to_its_question(call: Held):
    users, agents = of(call, "livekit:user_turn"), of(call, "livekit:assistant_turn")
    assert [turn.result.get("user_turn_id") for turn in agents] == [
        None,
        *(turn.id for turn in users),
    ]


def test_the_trace_has_each_tool_call_with_input_and_result(call: Held):
    tools = [span for span in call.trace if span.type.startswith("livekit:tool:")]
    assert [tool.payload["tool_name"] for tool in tools] == [n for n, _, _ in call.result.tools]
    asked = [
        (one["call_id"], json.loads(one["arguments"]))
        for llm in of(call, "livekit:llm")
        for one in llm.result.get("tool_calls", [])
    ]
    assert [(tool.payload["call_id"], tool.payload["inputs"]) for tool in tools] == asked
    results = {span.parent_id: span for span in of(call, "livekit:tool_result")}
    assert len(results) == len(tools)
    for tool, (_, told, failed) in zip(tools, call.result.tools, strict=True):
        assert tool.status == results[tool.id].status == ("failed" if failed else "complete")
        outcome = results[tool.id].result
        assert (outcome["error"]["message"] if failed else outcome["outputs"]["output"]) == told


def test_the_interruption_is_in_the_trace(call: Held):
    (turn,) = (t for t in of(call, "livekit:assistant_turn") if t.result["interrupted"])
    (question,) = (t for t in call.trace if t.id == turn.result["user_turn_id"])
    assert question.result["transcript"] == INTERRUPTED
    assert turn.status == "complete"
    assert turn.result["interrupted_by"] == "user"
    generated, spoken = turn.result["generated_text"], turn.result["spoken_text"].rstrip()
    assert generated.startswith(spoken)
    assert 0 < len(spoken) < len(generated)
    (tts,) = (span for span in of(call, "livekit:tts") if span.parent_id == turn.id)
    assert 0 < turn.result["playback_position_s"] < tts.result["audio_seconds"]


def test_the_moments_of_a_turn_are_in_order(call: Held):
    order = (
        "user_speech_ended",
        "heard",
        "user_committed",
        "user_hook_done",
        "playback_started",
        "playback_finished",
    )
    for turn in of(call, "livekit:assistant_turn")[1:]:
        moments = turn.result["moments_us"]
        # The transcript can be there before the end of speech is reported, or after.
        both = moments["user_vad_ended"], moments["user_final_transcript"]
        assert moments["user_speech_ended"] <= min(both)
        times = [max(both) if name == "heard" else moments[name] for name in order]
        assert times == sorted(times), moments


def test_the_voices_are_in_the_trace_as_loudness(call: Held):
    # The oldest LiveKit calls the TTS node once more when all text is spoken: nothing comes of it.
    spoken = [span for span in of(call, "livekit:tts") if span.stream("audio")["count"]]
    assert len(spoken) == len(call.result.answers)
    for span in [*of(call, "livekit:stt"), *spoken]:
        audio = span.stream("audio")
        seconds = sum(audio["size"]) / audio["sample_rate"]
        assert seconds == pytest.approx(span.result["audio_seconds"], abs=1e-6)
        assert len(audio["dbfs"]) == len(audio["offset_us"]) == audio["count"]
        assert all(-127 <= level <= 0 for level in audio["dbfs"])
        assert max(audio["dbfs"]) > -30
