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
from samples.offline.call import CallResult, run_call
from samples.offline.recording import RATE, stereo
from samples.offline.script import CALLER, GREETING, INTERRUPTED, RULES
from samples.offline.server import COMPLETIONS, OfflineOpenAI


@dataclass
class Held:
    """One call, which all tests here look at."""

    result: CallResult
    server: OfflineOpenAI
    progress: list[tuple[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call() -> AsyncIterator[Held]:
    progress: list[tuple[str, str]] = []
    async with OfflineOpenAI() as server:
        result = await run_call(lambda who, what: progress.append((who, what)), server=server)
        yield Held(result, server, progress)


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
    assert 20 < result.seconds < 90
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
