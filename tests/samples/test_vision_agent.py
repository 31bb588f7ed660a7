"""The sample that sees, with a camera of one picture."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from livekit import rtc
from samples.vision_agent import Onlooker

from support.job import Job
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use
from support.tree import Recorder, check


async def camera() -> AsyncIterator[rtc.VideoFrame]:
    for width in (64, 128):
        yield rtc.VideoFrame(width, 64, rtc.VideoBufferType.RGBA, bytes(width * 64 * 4))
        await asyncio.sleep(0)


async def test_the_model_is_shown_the_latest_picture(sink: Recorder) -> None:
    job = Job()
    line = Line(
        hears=ScriptedSTT("is it done"),
        thinks=ScriptedLLM("Hello.", [Use("set_timer", {"minutes": 3})], "Three more minutes."),
    )
    agent = Onlooker()
    with job.running():
        async with line.to(agent):
            await line.answers(1)
            await agent.watch(camera())
            await line.says(0.4)
            await line.answers(2)
        await job.end("done")
    check(sink)
    greeting, asked, _ = [sink.plain(span)["payload"]["inputs"] for span in sink.of("livekit:llm")]
    assert "images" not in greeting
    assert asked["images"] == 1
    (picture,) = [
        part
        for message in asked["messages"]
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict)
    ]
    assert (picture["width"], picture["height"], picture["inference_width"]) == (128, 64, 512)
    assert "base64" not in json.dumps(sink.as_dicts())
    assert [span.name for span in sink.of("livekit:tool:*")] == ["set_timer"]
    assert not job.room._events.get("track_subscribed")
