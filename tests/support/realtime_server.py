"""A stand-in for OpenAI's realtime API on loopback: its events, and no model behind them.

It hears sound by its level, transcribes and answers by its script, and talks to
``openai.realtime.RealtimeModel`` over a real WebSocket."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from .scripted import Use, silence, sound

JSON = dict[str, Any]

RATE = 24_000
_ENDS_AFTER = 0.3
"""Seconds of silence after which the caller has finished."""


class RealtimeServer:
    """Answers each stretch of sound, and each request for a response, with the next reply.

    Args:
        ran: What the provider ran before each reply, as items of the output.
        ran_for: Seconds that each of them takes.
    """

    def __init__(
        self,
        *replies: str | Use,
        hears: Sequence[str],
        ran: Sequence[JSON] = (),
        ran_for: float = 0.1,
    ) -> None:
        self.ran, self.ran_for = ran, ran_for
        self.replies, self.hears = deque(replies), deque(hears)
        self.events: list[str] = []
        """The types of everything that the client sent, audio aside."""
        self.numbers = itertools.count(1)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; gives the base address."""
        app = web.Application()
        app.router.add_get("/v1/realtime", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        call = _Call(self, socket)
        await call.send("session.created", session={})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await call.take(json.loads(message.data))
        return socket


class _Call:
    def __init__(self, server: RealtimeServer, socket: web.WebSocketResponse) -> None:
        self._server, self._socket = server, socket
        self._last: str | None = None
        self._speaking, self._quiet = False, 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, type_: str, **fields: Any) -> None:
        event_id = f"event_{next(self._server.numbers)}"
        await self._socket.send_json({"type": type_, "event_id": event_id, **fields})

    async def take(self, event: JSON) -> None:
        if event["type"] == "input_audio_buffer.append":
            return await self._hear(np.frombuffer(base64.b64decode(event["audio"]), np.int16))
        self._server.events.append(event["type"])
        match event["type"]:
            case "session.update":
                await self.send("session.updated", session=event["session"])
            case "conversation.item.create":
                await self._add(event["item"])
            case "response.create":
                self._respond(event.get("response", {}).get("metadata"))

    async def _hear(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
        if np.abs(samples).max(initial=0) > 500:
            self._quiet = 0.0
            if not self._speaking:
                self._speaking = True
                await self.send("input_audio_buffer.speech_started", item_id="", audio_start_ms=0)
            return
        self._quiet += len(samples) / RATE
        if self._speaking and self._quiet >= _ENDS_AFTER:
            self._speaking = False
            id_ = f"item_{next(self._server.numbers)}"
            await self.send("input_audio_buffer.speech_stopped", item_id=id_, audio_end_ms=0)
            content = [{"type": "input_audio", "transcript": None}]
            await self._add({"id": id_, "type": "message", "role": "user", "content": content})
            self._respond(None)
            await asyncio.sleep(0.05)
            kind = "conversation.item.input_audio_transcription.completed"
            await self.send(
                kind, item_id=id_, content_index=0, transcript=self._server.hears.popleft()
            )

    async def _add(self, item: JSON) -> None:
        before, self._last = self._last, item["id"]
        await self.send("conversation.item.added", previous_item_id=before, item=item)

    def _respond(self, metadata: JSON | None) -> None:
        task = asyncio.create_task(self._response(metadata))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _response(self, metadata: JSON | None) -> None:
        number = next(self._server.numbers)
        response: JSON = {"id": f"resp_{number}", "metadata": metadata, "output": []}
        await self.send("response.created", response={**response, "status": "in_progress"})
        for ran in self._server.ran:
            begun = {"id": ran["id"], "type": ran["type"], "status": "in_progress"}
            await self.send("response.output_item.added", response_id=response["id"], item=begun)
            await asyncio.sleep(self._server.ran_for)
            await self.send("response.output_item.done", response_id=response["id"], item=ran)
        reply = self._server.replies.popleft()
        item: JSON = {"id": f"item_{number}", "type": "message", "role": "assistant", "content": []}
        if isinstance(reply, Use):
            arguments = json.dumps(reply.arguments)
            item = {"id": item["id"], "type": "function_call", "call_id": f"call_{number}"}
            item |= {"name": reply.tool, "arguments": arguments}
        await self.send("response.output_item.added", response_id=response["id"], item=item)
        await self._add(item)
        if isinstance(reply, str):
            await self._speak(item["id"], reply)
        await self.send("response.output_item.done", response_id=response["id"], item=item)
        tokens = {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25}
        details = {"input_token_details": {"audio_tokens": 20}, "output_token_details": {}}
        done = {**response, "status": "completed", "usage": tokens | details}
        await self.send("response.done", response=done)

    async def _speak(self, item: str, text: str) -> None:
        await self.send("response.content_part.added", item_id=item, part={"type": "audio"})
        await self.send("response.output_audio_transcript.delta", item_id=item, delta=text)
        for frame in [*silence(0.1, rate=RATE), *sound(len(text) * 0.02, rate=RATE)]:
            delta = base64.b64encode(bytes(frame.data)).decode()
            await self.send("response.output_audio.delta", item_id=item, delta=delta)
        await self.send("response.output_audio.done", item_id=item)
