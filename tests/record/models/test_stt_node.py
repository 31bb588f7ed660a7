"""An STT node that yields what LiveKit refuses: an error, where it happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prefactor_agent import TracedAgent
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, is_sound
from support.tree import Recorder, check


class Yields(TracedAgent):
    """Answers the first sound with something else than an event."""

    def __init__(self, *items: Any) -> None:
        super().__init__(instructions="x")
        self.items = items

    async def stt_node(self, audio: Any, model_settings: Any) -> Any:
        async for frame in audio:
            if is_sound(frame):
                for item in self.items:
                    yield item


@pytest.mark.parametrize("item", ["a text", {"text": "a text"}, None], ids=["text", "dict", "none"])
async def test_what_livekit_refuses_is_one_error_and_no_transcript(
    item: Any, sink: Recorder
) -> None:
    line = Line(hears=ScriptedSTT("unheard"), thinks=ScriptedLLM("Hm."))
    async with line.to(Yields(item, item)):
        await line.says()
        await asyncio.sleep(0.5)
    spans = check(sink)
    (error,) = [span for span in spans if span["type"] == "livekit:error"]
    assert error["payload"]["source"] == "stt_node"
    assert error["payload"]["error_type"] == "AssertionError"
    assert error["payload"]["message"] == f"STT node must yield SpeechEvent, got: {type(item)}"
    assert not [span for span in spans if span["type"] == "livekit:stt"]
    turns = [span for span in spans if span["type"] == "livekit:user_turn"]
    assert all(not turn["result"].get("transcript") for turn in turns)


async def test_it_lies_in_the_turn_that_the_user_is_in(sink: Recorder) -> None:
    class Late(TracedAgent):
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            count = 0
            async for frame in audio:
                count += is_sound(frame)
                if count == 15:  # after the VAD has heard it
                    yield "a text"

    line = Line(hears=ScriptedSTT("unheard"), thinks=ScriptedLLM("Hm."))
    async with line.to(Late(instructions="x")):
        await line.says(1.0)
        await asyncio.sleep(0.5)
    spans = check(sink)
    (error,) = [span for span in spans if span["type"] == "livekit:error"]
    (turn,) = [span for span in spans if span["type"] == "livekit:user_turn"]
    assert error["parent_id"] == turn["id"]
