"""A stand-in for OpenAI's responses API on loopback: its events, over server-sent events and over
a WebSocket, and no model behind them.

What the provider runs on its own side stands in the response as it does in theirs: an item of the
output, before the message."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

JSON = dict[str, Any]


class ResponsesServer:
    """Answers each request with the same items and words.

    Args:
        ran: What the provider ran, as items of the output.
    """

    def __init__(self, says: str, *ran: JSON) -> None:
        self._says, self._ran = says, ran
        self._numbers = itertools.count(1)
        self.requests: list[JSON] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; gives the base address."""
        app = web.Application()
        app.router.add_post("/v1/responses", self._stream)
        app.router.add_get("/v1/responses", self._talk)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for event in self._events(await request.json()):
            await answer.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return answer

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                for event in self._events(json.loads(message.data)):
                    await socket.send_json(event)
        return socket

    def _events(self, request: JSON) -> Iterator[JSON]:
        self.requests.append(request)
        response: JSON = {
            "id": f"resp_{next(self._numbers)}",
            "object": "response",
            "created_at": 1_700_000_000,
            "model": request["model"],
            "tools": [],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "output": [],
            "status": "in_progress",
        }
        text = {"type": "output_text", "text": self._says, "annotations": []}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
        output = [*self._ran, message]
        numbers = itertools.count()

        def event(kind: str, **fields: Any) -> JSON:
            return {"type": f"response.{kind}", "sequence_number": next(numbers), **fields}

        yield event("created", response=response)
        for index, item in enumerate(self._ran):
            yield event("output_item.done", output_index=index, item=item)
        place = {"item_id": "msg_1", "output_index": len(self._ran), "content_index": 0}
        yield event("output_text.delta", delta=self._says, logprobs=[], **place)
        yield event("output_item.done", output_index=len(self._ran), item=message)
        usage = {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 12,
        }
        done = {**response, "status": "completed", "output": output, "usage": usage}
        yield event("completed", response=done)
