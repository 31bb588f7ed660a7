"""Where calls are held: a LiveKit server, models, and Prefactor, each in its own process."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self

from samples.offline.livekit_server import KEY, SECRET, LiveKitServer
from samples.offline.phone import Phone, token
from samples.offline.processes import Program

from livekit import api
from prefactor_agent.demo.caller import MICROPHONE_RATE
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.stored.span import StoredSpan
from support.prefactor_readers import expected_status
from support.prefactor_server import PrefactorServer, Span
from support.waiting import PATIENCE

from .trace import Trace
from .worker import ROOT, Worker

SHOP = ROOT / "samples" / "agent.py"


class Site:
    """Everything but the workers and the callers.

    Args:
        folder: For logs and journals.
        script: A file with what the model knows besides the demo's script; see
            `src/prefactor_agent/demo/script.py`.

    Raises:
        UnavailableError: There is no LiveKit server's program.
    """

    def __init__(self, folder: Path, script: Path | None = None) -> None:
        self.folder = folder
        self.livekit = LiveKitServer(folder / "livekit.log")
        command = [sys.executable, "-m", "prefactor_agent.demo.server"]
        command += ["--script", str(script)] if script is not None else []
        here = {"PYTHONPATH": str(ROOT)}
        self.models = Program("models", command, folder / "models.log", here)
        self.prefactor = PrefactorServer(folder / "prefactor.jsonl")
        self._openai = ""

    def start(self) -> Self:
        self.models.start()
        self.livekit.start()
        self.prefactor.start()
        self._openai = self.models.wait_for(r"OPENAI_BASE_URL=(\S+)")[1]
        return self

    def end(self) -> None:
        self.livekit.end()
        self.models.end()
        self.prefactor.close()

    def worker(
        self,
        agent: Path = SHOP,
        *,
        mode: str = "dev",
        name: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> Worker:
        """A worker that delivers to Prefactor here; not started.

        Args:
            agent: The agent's file.
            mode: `dev` or `start`.
            name: The agent's name, for callers who ask for it; without one it takes every call
                that asks for none.
            settings: More of the environment.
        """
        environment = {
            **self.livekit.environment,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "OPENAI_BASE_URL": self._openai,
            "OPENAI_API_KEY": "offline",
            "PREFACTOR_API_URL": self.prefactor.url,
            "PREFACTOR_API_TOKEN": self.prefactor.token,
            "PREFACTOR_JOURNAL": str(self.folder / f"{name or agent.stem}.db"),
            "LIVEKIT_AGENT_NAME": name,
            **(settings or {}),
        }
        return Worker(agent, self.folder, environment, mode=mode)

    async def phone(
        self,
        room: str,
        identity: str = "caller",
        *,
        agent: str | None = None,
        speaks: bool = True,
        rate: int = MICROPHONE_RATE,
        attributes: Mapping[str, str] | None = None,
        metadata: str = "",
        kind: Literal["standard", "sip"] = "standard",
    ) -> Phone:
        """A caller who has joined a room. `agent`: the name of the agent to call; `kind`: `sip`
        for one who comes as from LiveKit's telephone service; `rate`: the microphone's samples a
        second."""
        ticket = token(
            KEY,
            SECRET,
            room,
            identity,
            attributes=attributes,
            metadata=metadata,
            agent=agent,
            kind=kind,
        )
        phone = await Phone().dial(self.livekit.url, ticket, speaks=speaks, rate=rate)
        await self.has_agent(room, agent or "")
        return phone

    async def has_agent(self, room: str, agent: str = "", timeout: float = PATIENCE) -> None:
        """Wait until a worker has a room's job, and ask again while it is refused.

        LiveKit's server asks once, and gives no job to a worker that reports a load of 1
        (agentservice.go, `selectWorkerWeightedByLoad`), whatever `target_load` says: on a machine
        that is busy all over, the caller would wait for ever. Its log tells.

        Raises:
            AssertionError: Within so many seconds none took it.
        """
        deadline = time.monotonic() + timeout
        refused = 0
        while True:
            lines = [
                line
                for line in self.livekit.program.said().splitlines()
                if "livekit.agents" in line and f'"room": "{room}"' in line
            ]
            if any("assigned job to worker" in line for line in lines):
                return
            if sum("no worker available" in line for line in lines) > refused:
                refused += 1
                await asyncio.sleep(1.0)
                async with self.livekit.api() as client:
                    await client.agent_dispatch.create_dispatch(
                        api.CreateAgentDispatchRequest(room=room, agent_name=agent)
                    )
            assert time.monotonic() < deadline, f"no agent for {room}: {lines}"
            await asyncio.sleep(0.2)

    async def delete_room(self, room: str) -> None:
        async with self.livekit.api() as client:
            await client.room.delete_room(api.DeleteRoomRequest(room=room))

    def delivered(
        self, worker: Worker, trace: Trace, status: str = "complete", timeout: float = PATIENCE
    ) -> None:
        """All of a call is at Prefactor, and its instance is finished there.

        Raises:
            AssertionError: Within so many seconds it is not, or is otherwise.
        """
        instance = self.instance(worker, trace, status, timeout)
        there = self.prefactor.spans(instance)
        by_id = {span.id: span for span in trace.spans}
        expected = {span.id: expected_status(span, by_id) for span in trace.spans}
        assert _shape(there) == _shape(trace.spans, expected)
        assert all(span.creates == 1 for span in there)

    def instance(self, worker: Worker, trace: Trace, status: str, timeout: float = PATIENCE) -> str:
        """The id of a call's instance at Prefactor, once it is there and has this status.

        Raises:
            AssertionError: Within so many seconds it has not.
        """
        deadline = time.monotonic() + timeout
        outbox = Outbox(worker.journal)
        try:
            while True:
                row = outbox.call(trace.session.id)
                ident = row.instance_id if row is not None else None
                found = [one["status"] for one in self.prefactor.instances() if one["id"] == ident]
                if ident is not None and found == [status]:
                    return ident
                assert time.monotonic() < deadline, f"the instance is {found or 'not there'}"
                time.sleep(0.1)
        finally:
            outbox.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


async def together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Hold calls at the same time. If one fails, the others are hung up."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]


def _shape(
    spans: Sequence[Span | StoredSpan], statuses: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[str, str, str]]:
    """What both sides know of a tree: Prefactor has ids of its own."""
    types = {span.id: span.type for span in spans}
    return sorted(
        (span.type, statuses.get(span.id, span.status), types.get(span.parent_id or "", ""))
        for span in spans
    )
