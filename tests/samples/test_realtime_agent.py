"""The realtime sample: as it is made, and with a scripted model in the provider's place."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from livekit.plugins import openai
from samples.realtime_agent import Counter, new_session

from support.line import until
from support.realtime_server import RealtimeServer
from support.scripted import Microphone, Speaker, Use, silence, sound
from support.scripted_realtime import ScriptedRealtime
from support.tree import Recorder, check, outline
from support.waiting import PATIENCE

ASKED = [
    "session",
    "  user_turn: how much is the kettle",
    "  assistant_turn: Thirty pounds.",
    "    realtime",
    "    llm",
    "    tool:price: returned",
    "      tool_result price: returned",
    "    transcription: Thirty pounds.",
]


async def test_it_is_made_with_openais_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert isinstance(new_session().llm, openai.realtime.RealtimeModel)


async def test_a_price_is_asked_for(sink: Recorder) -> None:
    model = ScriptedRealtime(
        [Use("price", {"item": "kettle"})], "Thirty pounds.", heard=["how much is the kettle"]
    )
    session = new_session(model, vad=None, aec_warmup_duration=None)
    microphone, speaker = Microphone(), Speaker()
    session.input.audio, session.output.audio = microphone, speaker
    await session.start(Counter())
    microphone.play([*silence(0.3), *sound(0.4), *silence(0.5)])
    await until(lambda: speaker.finished)
    await session.aclose()
    assert outline(sink) == ASKED
    check(sink)


async def speak_to(server: RealtimeServer) -> None:
    """A call in which something is said once: OpenAI's plugin, over a socket, against a stand-in
    for its service."""
    async with (
        asyncio.timeout(PATIENCE),
        server.running() as address,
        aiohttp.ClientSession() as client,
    ):
        model = openai.realtime.RealtimeModel(base_url=address, api_key="key", http_session=client)
        session = new_session(model, vad=None, aec_warmup_duration=None)
        microphone, speaker = Microphone(), Speaker()
        session.input.audio, session.output.audio = microphone, speaker
        await session.start(Counter())
        await until(lambda: "session.update" in server.events)
        microphone.play([*silence(0.3, rate=24_000), *sound(0.4, rate=24_000)])
        microphone.play(silence(0.8, rate=24_000))
        await until(lambda: speaker.finished)
        await session.aclose()


@pytest.mark.real_time
async def test_the_providers_own_client_is_traced(sink: Recorder) -> None:
    await speak_to(
        RealtimeServer(
            Use("price", {"item": "kettle"}), "Thirty pounds.", hears=["how much is the kettle"]
        )
    )
    check(sink)
    assert outline(sink) == ASKED
    (answer,) = [sink.plain(span) for span in sink.of("livekit:assistant_turn")]
    used = [sink.plain(sink.of(f"livekit:{kind}")[0]) for kind in ("llm", "realtime")]
    assert [span["result"]["token_usage"]["total_tokens"] for span in used] == [25, 25]
    assert answer["result"]["latency"]["basis"] == {"from": "audio", "to": "audio"}
    (voice,) = [sink.plain(span) for span in sink.of("livekit:realtime")]
    assert voice["payload"]["provider"]
    assert voice["result"]["leading_silence_ms"] == pytest.approx(100, abs=11)


@pytest.mark.real_time
async def test_a_tool_that_the_provider_runs_is_traced(sink: Recorder) -> None:
    """Told of by what the model's session passes on: when it began, and what came of it."""
    searched = {
        "id": "ws_1",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "kettle"},
    }
    await speak_to(
        RealtimeServer("Thirty pounds.", hears=["how much is it"], ran=[searched], ran_for=0.1)
    )
    check(sink)
    (turn,) = sink.of("livekit:assistant_turn")
    (search,) = [sink.plain(span) for span in sink.of("livekit:tool")]
    assert (search["name"], search["parent_id"], search["status"]) == (
        "web_search",
        turn.id,
        "complete",
    )
    assert search["payload"]["run_by"] == "provider"
    assert search["payload"]["inputs"] == {"action": {"type": "search", "query": "kettle"}}
    took = search["finished_us"] - search["started_us"]
    assert took > 50_000, "both moments are those at which the server sent"
    assert search["result"]["duration_ms"] == pytest.approx(took / 1000, abs=0.01)
