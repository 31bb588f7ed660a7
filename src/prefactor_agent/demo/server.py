"""OpenAI's API on loopback, with an STT, an LLM and a TTS that need no network and no key.

Real HTTP and real server-sent events, so LiveKit's OpenAI plugins run unchanged against it; only
``OPENAI_BASE_URL`` differs. In a program: ``async with OfflineOpenAI() as server`` has it as
``server.base_url``. By hand: ``python -m prefactor_agent.demo.server --port 8000``.
"""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import time
import wave
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from aiohttp import web

from . import chat, mp3
from .hearing import Hearing
from .script import RULES, Rule, read_rules, sentences
from .speech import Sound, speak

VOICE_RATE = 24_000
"""Samples a second of the voice, which is what OpenAI's voices give."""

VOICE_SPEED = 195
"""Words a minute."""

TRANSCRIPTIONS = "/v1/audio/transcriptions"
COMPLETIONS = "/v1/chat/completions"
SPEECH = "/v1/audio/speech"
MODELS = "/v1/models"


@dataclass(frozen=True)
class Request:
    """One request that the server was sent."""

    path: str
    at: float
    """``time.monotonic()`` of its arrival."""
    body: dict[str, Any]
    """The JSON body or the form's fields, audio left out."""


@dataclass
class Failure:
    """Answer the next requests of one path with an error."""

    path: str
    times: int = 1
    status: int = 500


@dataclass
class VoicePace:
    """How the voice is delivered."""

    first_byte: float = 0.12
    leading_silence: float = 0.15
    """Seconds of silence that the voice begins with, as real ones do."""
    speed: float = 8.0
    """Seconds of audio sent a second."""


@dataclass
class OfflineOpenAI:
    """The server. Binds to loopback only, to a free port unless one is given."""

    port: int = 0
    pace: chat.Pace = field(default_factory=chat.Pace)
    voice: VoicePace = field(default_factory=VoicePace)
    failures: list[Failure] = field(default_factory=list)
    hears: Iterable[str] = field(default_factory=sentences)
    rules: Sequence[Rule] = RULES
    requests: list[Request] = field(default_factory=list, init=False)
    replies: list[chat.Reply] = field(default_factory=list, init=False)
    heard: list[str] = field(default_factory=list, init=False)
    spoken: list[tuple[str, Sound]] = field(default_factory=list, init=False)

    async def __aenter__(self) -> Self:
        # One thread: neither library gains from two, and espeak-ng cannot have them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="offline-speech")
        self._hearing = await self._run(Hearing, list(self.hears))
        await self._run(speak, "Ready.")  # loads the library before the first call needs it
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post(TRANSCRIPTIONS, self._transcribe)
        app.router.add_post(COMPLETIONS, self._complete)
        app.router.add_post(SPEECH, self._speak)
        app.router.add_get(MODELS, self._models)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def base_url(self) -> str:
        """What ``OPENAI_BASE_URL`` has to be."""
        return f"http://127.0.0.1:{self.port}/v1"

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The bodies of the requests of one path, in the order they came."""
        return [request.body for request in self.requests if request.path == path]

    async def _run(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _record(self, path: str, body: dict[str, Any]) -> web.Response | None:
        """Note the request, and give the error that it shall get, if any."""
        self.requests.append(Request(path, time.monotonic(), body))
        failure = next((plan for plan in self.failures if plan.path == path and plan.times), None)
        if failure is None:
            return None
        failure.times -= 1
        return _error(failure.status, "The server failed, as it was asked to.")

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _transcribe(self, request: web.Request) -> web.Response:
        fields: dict[str, Any] = {}
        audio = b""
        async for part in await request.multipart():
            name = getattr(part, "name", None)
            if name == "file":
                audio = await part.read()  # type: ignore[union-attr]
            elif name:
                fields[name] = await part.text()  # type: ignore[union-attr]
        if error := self._record(TRANSCRIPTIONS, fields):
            return error
        try:
            sound = _read_wav(audio)
        except (wave.Error, EOFError, ValueError) as problem:
            return _error(400, f"The file is no 16-bit WAV: {problem}")
        text: str = await self._run(self._hearing.transcribe, sound)
        self.heard.append(text)
        shape = fields.get("response_format", "json")
        if shape == "text":
            return web.Response(text=f"{text}\n")
        answer: dict[str, Any] = {"text": text}
        if shape == "verbose_json":
            answer |= {"task": "transcribe", "language": "english", "duration": sound.seconds}
            answer["segments"] = []
        else:
            answer["usage"] = {"type": "duration", "seconds": round(sound.seconds, 3)}
        return web.json_response(answer)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if error := self._record(COMPLETIONS, body):
            return error
        reply = chat.reply_to(body, self.rules)
        self.replies.append(reply)
        await asyncio.sleep(self.pace.before_first())
        if not body.get("stream"):
            return web.json_response(chat.completion(body, reply))
        response = await _event_stream(request)
        for index, chunk in enumerate(chat.chunks(body, reply)):
            if index > 1:
                await asyncio.sleep(self.pace.before_next())
            await _send(response, chunk)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if error := self._record(SPEECH, body):
            return error
        encoding = body.get("response_format", "mp3")
        if encoding not in _ENCODERS:
            return _error(400, f"The response format {encoding!r} is not offered here.")
        ready_at = time.monotonic() + self.voice.first_byte
        sound, data = await self._run(self._say, str(body.get("input", "")), encoding)
        self.spoken.append((str(body.get("input", "")), sound))
        await asyncio.sleep(max(0.0, ready_at - time.monotonic()))

        events = body.get("stream_format") == "sse"
        if events:
            response = await _event_stream(request)
        else:
            response = web.StreamResponse(headers={"Content-Type": _CONTENT_TYPES[encoding]})
            await response.prepare(request)
        pieces = max(1, round(sound.seconds / 0.2))
        size = -(-len(data) // pieces)
        size += size % 2  # whole samples
        for start in range(0, len(data), size):
            if start:
                await asyncio.sleep(0.2 / self.voice.speed)
            piece = data[start : start + size]
            if events:
                delta = base64.b64encode(piece).decode()
                await _send(response, {"type": "speech.audio.delta", "audio": delta})
            else:
                await response.write(piece)
        if events:
            count = len(str(body.get("input", "")).split())
            spent = {"input_tokens": count, "output_tokens": round(20 * sound.seconds)}
            spent["total_tokens"] = sum(spent.values())
            await _send(response, {"type": "speech.audio.done", "usage": spent})
        return response

    def _say(self, text: str, encoding: str) -> tuple[Sound, bytes]:
        sound = (
            speak(text, rate=VOICE_SPEED)
            .trimmed()
            .after_silence(self.voice.leading_silence)
            .at(VOICE_RATE)
        )
        return sound, _ENCODERS[encoding](sound)


def _write_wav(sound: Sound) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, sound.rate, len(sound.samples), "NONE", "NONE"))
        target.writeframes(sound.samples.tobytes())
    return file.getvalue()


def _read_wav(data: bytes) -> Sound:
    with wave.open(io.BytesIO(data), "rb") as source:
        if source.getsampwidth() != 2:
            raise ValueError(f"{8 * source.getsampwidth()} bits a sample")
        samples = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
        channels = samples.reshape(-1, source.getnchannels())
        return Sound(channels.mean(axis=1).astype(np.int16), source.getframerate())


def _pcm(sound: Sound) -> bytes:
    return sound.samples.tobytes()


_ENCODERS: dict[str, Callable[[Sound], bytes]] = {
    "mp3": mp3.encode,
    "wav": _write_wav,
    "pcm": _pcm,
}
_CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm"}


def _error(status: int, message: str) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return web.json_response({"error": {"message": message, "type": kind}}, status=status)


async def _event_stream(request: web.Request) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    return response


async def _send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(event)}\n\n".encode())


async def _serve(port: int, script: Path | None) -> None:
    rules = (*RULES, *(read_rules(script) if script is not None else ()))
    hears = dict.fromkeys([*sentences(), *(rule.question for rule in rules)])
    async with OfflineOpenAI(port=port, hears=hears, rules=rules) as server:
        print(f"OPENAI_BASE_URL={server.base_url} OPENAI_API_KEY=offline", flush=True)  # noqa: T201
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="OpenAI's API on loopback, for the demo call.")
    parser.add_argument("--port", type=int, default=0, help="a free one unless given")
    parser.add_argument("--script", type=Path, help="a file of more questions and their answers")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.port, arguments.script))


if __name__ == "__main__":
    main()
