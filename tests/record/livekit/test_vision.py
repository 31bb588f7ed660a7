"""Pictures and sound in a conversation: counted and described, never kept."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.llm import AudioContent, ChatContext, ChatMessage, ImageContent

from prefactor_agent import TracedAgent, config
from prefactor_agent.journal.reader import Journal
from prefactor_agent.tracing import tracer
from support.scripted import ScriptedLLM, sound
from support.tree import JSON, Recorder, check
from support.waiting import PATIENCE

PIXELS = bytes(range(256)) * 256
SECRET = base64.b64encode(PIXELS).decode()
FRAME = rtc.VideoFrame(128, 128, rtc.VideoBufferType.RGBA, PIXELS)


class Looking(TracedAgent):
    """Adds what its camera shows to what the user says."""

    def __init__(self, *pictures: Any) -> None:
        super().__init__(instructions="look")
        self.pictures = pictures

    async def llm_node(self, chat_ctx: ChatContext, tools: Any, model_settings: Any) -> Any:
        last = chat_ctx.items[-1]
        assert isinstance(last, ChatMessage)
        last.content = [*last.content, *self.pictures]
        async for chunk in TracedAgent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk


async def look(*pictures: Any) -> None:
    """One question about pictures that are in the history already."""
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("A cat."))
    context = ChatContext.empty()
    context.items.append(ChatMessage(role="user", content=["what is this?", *pictures]))
    await session.start(TracedAgent(instructions="look", chat_ctx=context))
    await session.run(user_input="well?")
    await session.aclose()


def seen(sink: Recorder) -> tuple[JSON, list[Any]]:
    """The input of the LLM call, and what is in its message with the pictures."""
    check(sink)
    (span,) = sink.of("livekit:llm")
    inputs = sink.plain(span)["payload"]["inputs"]
    (content,) = [
        message["content"]
        for message in inputs["messages"]
        if isinstance(message.get("content"), list)
    ]
    assert content[0] == "what is this?"
    assert SECRET[:40] not in json.dumps(sink.as_dicts())
    return inputs, content[1:]


async def test_a_video_frame_is_described_and_not_kept(sink: Recorder) -> None:
    await look(ImageContent(image=FRAME, inference_width=64, inference_height=32))
    inputs, (picture,) = seen(sink)
    assert inputs["images"] == 1
    assert picture == {
        "type": "image_content",
        "source": "video_frame",
        "width": 128,
        "height": 128,
        "bytes": 65536,
        "pixel_format": "rgba",
        "inference_width": 64,
        "inference_height": 32,
        "inference_detail": "auto",
    }


async def test_data_in_an_address(sink: Recorder) -> None:
    await look(
        ImageContent(image=f"data:image/png;base64,{SECRET}", inference_detail="high"),
        ImageContent(image=f"DATA:;base64,{SECRET}"),
    )
    inputs, (png, nameless) = seen(sink)
    assert inputs["images"] == 2
    assert png == {
        "type": "image_content",
        "source": "data_url",
        "mime_type": "image/png",
        "bytes": 65536,
        "inference_detail": "high",
    }
    assert (nameless["source"], nameless["bytes"]) == ("data_url", 65536)


async def test_the_address_of_a_picture(sink: Recorder) -> None:
    await look(
        ImageContent(image="https://me:secret@pictures.example/anna.png?token=hush"),
        ImageContent(image="https://[broken"),
    )
    _, (picture, broken) = seen(sink)
    assert picture["source"] == "url"
    assert picture["host"] == "pictures.example"
    assert (broken["source"], "host" in broken) == ("url", False)
    text = json.dumps(sink.as_dicts())
    assert not [word for word in ("hush", "secret", "anna") if word in text]


async def test_sound_in_a_message_is_described_and_not_kept(sink: Recorder) -> None:
    await look(AudioContent(frame=sound(0.25), transcript="meow"))
    inputs, (audio,) = seen(sink)
    assert audio == {"type": "audio_content", "seconds": 0.25, "transcript": "meow"}
    assert "images" not in inputs


async def test_without_content_pictures_are_only_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(tmp_path / "look.db"))
    config.configure(capture_content=False)
    await look(ImageContent(image=FRAME), ImageContent(image="https://pictures.example/anna.png"))
    assert await asyncio.to_thread(tracer.flush, PATIENCE)
    journal = Journal(tmp_path / "look.db")
    (model,) = [span for span in journal.call(journal.find()) if span.type == "livekit:llm"]
    assert model.payload["inputs"]["images"] == 2
    assert "pictures.example" not in json.dumps(model.payload)


async def test_a_picture_added_for_one_call(sink: Recorder) -> None:
    """An override that shows the model what the camera sees, and keeps it out of the history."""
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("A cat."))
    await session.start(Looking(ImageContent(image=FRAME)))
    await session.run(user_input="what is this?")
    await session.aclose()
    check(sink)
    assert SECRET[:40] not in json.dumps(sink.as_dicts())
