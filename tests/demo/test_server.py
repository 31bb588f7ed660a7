"""The stand-in for OpenAI's API, over real HTTP, as other clients than LiveKit's would use it."""

import io
import json
import wave
from collections.abc import AsyncIterator

import aiohttp
import pytest

from prefactor_agent.demo import chat
from prefactor_agent.demo.script import GREETING, RETURN
from prefactor_agent.demo.server import COMPLETIONS, SPEECH, Failure, OfflineOpenAI, VoicePace
from prefactor_agent.demo.speech import speak

pytestmark = pytest.mark.real_time


@pytest.fixture
async def server() -> AsyncIterator[OfflineOpenAI]:
    async with OfflineOpenAI(pace=chat.Pace.none(), voice=VoicePace(0.0, 0.1, 1000.0)) as running:
        yield running


@pytest.fixture
async def http(server: OfflineOpenAI) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.base_url + "/") as session:
        yield session


def wav(text: str) -> bytes:
    sound = speak(text)
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, sound.rate, 0, "NONE", "NONE"))
        target.writeframes(sound.samples.tobytes())
    return file.getvalue()


async def test_listens_on_loopback_only(server: OfflineOpenAI):
    assert server.base_url == f"http://127.0.0.1:{server.port}/v1"
    assert server.port > 0


@pytest.mark.parametrize("shape", ["json", "verbose_json", "text"])
async def test_transcribes(server: OfflineOpenAI, http: aiohttp.ClientSession, shape: str):
    form = aiohttp.FormData()
    form.add_field("model", "any")
    form.add_field("response_format", shape)
    form.add_field("file", wav(RETURN), filename="file.wav", content_type="audio/wav")
    async with http.post("audio/transcriptions", data=form) as response:
        answer = await response.text()
    assert (answer.strip() if shape == "text" else json.loads(answer)["text"]) == RETURN
    assert server.heard == [RETURN]


async def test_a_file_that_is_no_wav_is_refused(http: aiohttp.ClientSession):
    form = aiohttp.FormData()
    form.add_field("file", b"noise", filename="file.wav")
    async with http.post("audio/transcriptions", data=form) as response:
        assert response.status == 400
        assert "WAV" in (await response.json())["error"]["message"]


async def test_completes_in_one_piece_and_as_events(http: aiohttp.ClientSession):
    async with http.post("chat/completions", json={"messages": []}) as response:
        assert (await response.json())["choices"][0]["message"]["content"] == GREETING
    async with http.post("chat/completions", json={"messages": [], "stream": True}) as response:
        assert response.content_type == "text/event-stream"
        events = [
            line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line
        ]
    assert events.pop() == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content") or "" for delta in deltas) == GREETING


async def test_speaks_wav(http: aiohttp.ClientSession):
    body = {"input": "Hello.", "response_format": "wav"}
    async with http.post("audio/speech", json=body) as response:
        assert response.content_type == "audio/wav"
        data = await response.read()
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        assert file.getnframes() > 5_000


async def test_refuses_a_format_that_it_does_not_have(http: aiohttp.ClientSession):
    async with http.post("audio/speech", json={"input": "x", "response_format": "aac"}) as response:
        assert response.status == 400


async def test_fails_as_often_as_asked(server: OfflineOpenAI, http: aiohttp.ClientSession):
    server.failures.append(Failure(COMPLETIONS, times=2, status=503))
    statuses = []
    for _ in range(3):
        async with http.post("chat/completions", json={"messages": []}) as response:
            statuses.append(response.status)
    assert statuses == [503, 503, 200]
    assert len(server.asked(COMPLETIONS)) == 3
    assert server.asked(SPEECH) == []
