"""What LiveKit tells in events and what the trace holds come to the same counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from livekit.agents import AgentSession, llm

import prefactor_agent
from prefactor_agent import TracedAgent, traced_tool
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, Tokens, Use
from support.tree import Recorder, check, of

EVENTS = (
    "conversation_item_added",
    "function_tools_executed",
    "user_state_changed",
    "agent_state_changed",
    "user_input_transcribed",
    "speech_created",
    "session_usage_updated",
)


class Told:
    """Every event of a session, as any program can hear them."""

    def __init__(self, session: AgentSession[Any]) -> None:
        self.events: dict[str, list[Any]] = {name: [] for name in EVENTS}
        for name, told in self.events.items():
            session.on(name, told.append)  # type: ignore[arg-type]  # names are literals there

    def messages(self, role: str) -> list[str]:
        items = [event.item for event in self.events["conversation_item_added"]]
        return [
            item.text_content or ""
            for item in items
            if isinstance(item, llm.ChatMessage) and item.role == role
        ]


class Clerk(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="help")

    @traced_tool
    async def price(self, item: str) -> str:
        """What an item costs."""
        return f"{item}: 3"


@pytest.mark.parametrize("states", [True, False])
async def test_a_spoken_call_with_tools(states: bool, sink: Recorder) -> None:
    prefactor_agent.configure(states=states)
    line = Line(
        hears=ScriptedSTT("tea and jam", "thank you"),
        thinks=ScriptedLLM(
            [Use("price", {"item": "tea"}), Use("price", {"item": "jam"}), Tokens(10, 2)],
            ["Three each.", Tokens(20, 3)],
            ["Bye.", Tokens(30, 4)],
        ),
        speaks=ScriptedTTS(seconds_per_character=0.01),
    )
    told = Told(line.session)
    async with line.to(Clerk()):
        await line.says(0.3)
        await line.answers(1)
        await line.says(0.3)
        await line.answers(2)
    check(sink)
    (root,) = of(sink, "session")
    counts = root["result"]["conversation"]
    users, answers = of(sink, "user_turn"), of(sink, "assistant_turn")

    # What was said.
    assert told.messages("user") == [turn["result"]["transcript"] for turn in users]
    assert told.messages("assistant") == [turn["result"]["spoken_text"] for turn in answers]
    items = [event.item for event in told.events["conversation_item_added"]]
    # Newer versions tell first that the first agent begins: before it has, and is traced.
    first = bool(items and items[0].type == "agent_handoff" and items[0].old_agent_id is None)
    assert counts["items_seen"] == len(items) - first
    assert counts["user_messages"] == len(told.messages("user")) == 2
    assert counts["assistant_messages"] == len(told.messages("assistant")) == 2
    assert len(told.events["speech_created"]) == len(answers)
    finals = [event for event in told.events["user_input_transcribed"] if event.is_final]
    assert [event.transcript for event in finals] == [
        span["result"]["transcript"] for span in of(sink, "stt")
    ]

    # What was called.
    executed = told.events["function_tools_executed"]
    calls = [call for event in executed for call in event.function_calls]
    tools = of(sink, "tool:price")
    assert {call.call_id for call in calls} == {tool["payload"]["call_id"] for tool in tools}
    assert counts["function_calls"] == len(calls) == len(tools) == 2
    assert sum(turn["result"]["tool_calls"] for turn in answers) == 2
    outputs = {out.call_id: out.output for event in executed for out in event.function_call_outputs}
    assert outputs == {
        tool["payload"]["call_id"]: tool["result"]["outputs"]["output"] for tool in tools
    }

    # What it used: LiveKit's sum is that of the spans.
    usage = root["result"]["usage"]["model_usage"]
    assert usage == [
        model.model_dump(exclude_none=True)
        for model in told.events["session_usage_updated"][-1].usage.model_usage
    ]
    (model,) = [one for one in usage if one["type"] == "llm_usage"]
    calls_made = [span["result"]["token_usage"] for span in of(sink, "llm")]
    assert model["input_tokens"] == sum(one["prompt_tokens"] for one in calls_made) == 60
    assert model["output_tokens"] == sum(one["completion_tokens"] for one in calls_made) == 9
    (voice,) = [one for one in usage if one["type"] == "tts_usage"]
    spoken = of(sink, "tts")
    assert voice["characters_count"] == sum(span["result"]["characters"] for span in spoken)
    assert voice["audio_duration"] == pytest.approx(
        sum(span["result"].get("audio_seconds", 0.0) for span in spoken), abs=0.01
    )
    assert set(root["payload"]["models"]) == {"stt", "llm", "tts", "vad"}

    # Who was in which state.
    changes = Counter(
        ("user" if name.startswith("user") else "agent", event.old_state, event.new_state)
        for name in ("user_state_changed", "agent_state_changed")
        for event in told.events[name]
    )
    recorded = Counter(
        (span["payload"]["actor"], span["payload"]["old_state"], span["payload"]["new_state"])
        for span in of(sink, "state")
    )
    if not states:
        assert not recorded
        return
    # The first change, to "listening" or earlier, can be before the agent is entered.
    assert sum((changes - recorded).values()) <= 1, changes - recorded
    assert not recorded - changes
    assert recorded["user", "listening", "speaking"] == len(users)
    assert (
        sum(n for (who, _, new), n in recorded.items() if (who, new) == ("agent", "speaking")) == 2
    )
