"""Counts the requests and the bytes that one call sends to Prefactor.

`PYTHONPATH=tests python -m benchmarks.delivered`: a call of text turns with a voice, in real time;
each turn asks the model, calls a tool, and asks the model again. The contract server counts what
arrives while the call runs and after it."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer
from support.line import NO_RETRIES
from support.prefactor_server import PrefactorServer
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Tokens, Use, Wait

TURNS = 12
INSTRUCTIONS = "You answer the phone of a shop. Be brief, and never guess where an order is. " * 20


class Clerk(TracedAgent):
    @traced_tool
    async def look_up_order(self, order_id: str) -> str:
        """Find out where an order is."""
        await asyncio.sleep(0.3)
        return f"Order {order_id} was shipped on Monday and arrives on Friday, before noon."

    @traced_tool
    async def opening_hours(self, day: str) -> str:
        """When the shop is open."""
        return "Nine to six."


async def _call(turns: int) -> None:
    replies: list[Any] = []
    for turn in range(turns):
        replies += [
            [Wait(0.2), Use("look_up_order", {"order_id": f"A-{turn}"}), Tokens(900, 20)],
            [Wait(0.2), *f"Order A {turn} arrives on Friday.".split(" "), Tokens(950, 12)],
        ]
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(*replies),
        tts=ScriptedTTS(seconds_per_character=0.02),
        conn_options=NO_RETRIES,
    )
    session.output.audio = Speaker()
    await session.start(Clerk(instructions=INSTRUCTIONS))
    for turn in range(turns):
        await session.generate_reply(user_input=f"Where is my order number A {turn}, please?")
    await session.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=TURNS)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as folder, PrefactorServer() as server:
        settings = Settings(
            journal=Path(folder) / "journal.db",
            api_url=server.url,
            api_token=SecretStr(server.token),
        )
        pipeline = Pipeline(settings, lambda session_id, reason: None)
        tracer.send_to(pipeline)
        asyncio.run(_call(turns))
        assert pipeline.flush(30.0)
        requests, bytes_ = Counter[str](), Counter[str]()
        for request in server.requests():
            name = request["path"].rpartition("/")[2]
            name = name if request["method"] == "POST" else "status"
            requests[name] += 1
            bytes_[name] += request["bytes"]
        spans, sizes = Counter[str](), Counter[str]()
        for span in server.spans():
            spans[span.type] += 1
            sizes[span.type] += len(json.dumps([span.payload, span.result]))
        pipeline.stop()
    table = Table("requests", "count", "bytes", title=f"One call of {turns} turns")
    for name, count in requests.items():
        table.add_row(name, str(count), f"{bytes_[name]:,}")
    table.add_row("all", str(requests.total()), f"{bytes_.total():,}")
    Console().print(table)
    table = Table("spans", "count", "bytes of payload and result")
    for name, size in sizes.most_common():
        table.add_row(name, str(spans[name]), f"{size:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
