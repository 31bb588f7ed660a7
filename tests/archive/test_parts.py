"""A call that runs for long is in the archive as far as it had come, whatever becomes of its host
(docs/fleet.md)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest

from archive.hosts import archived, say
from prefactor_agent.archive.writer import PART, PART_S, next_part_us
from support.waiting import until

MINUTE = 60_000_000
AGENT = """
    import asyncio, sys
    from livekit.agents import AgentSession
    from prefactor_agent import TracedAgent, configure
    from prefactor_agent.archive import archiver, writer
    from support.scripted import ScriptedLLM, Tokens

    writer.PART_S, writer.PART, archiver.LOOK_S = 0.2, 0.0, 0.1
    rates = {"scripted-llm": {"input": 2.0, "output": 10.0}}
    configure(journal=sys.argv[1], archive=sys.argv[2], rates=rates)

    async def hold_call():
        answers = [[f"Answer {n}.", Tokens(1000, 200)] for n in range(9)]
        session = AgentSession(llm=ScriptedLLM(*answers))
        await session.start(TracedAgent(instructions="x"))
        while words := await asyncio.to_thread(sys.stdin.readline):
            await session.run(user_input=words)

    asyncio.run(hold_call())
"""


@pytest.mark.real_time
def test_a_host_that_dies_leaves_what_had_been_written(tmp_path: Path) -> None:
    host, folder = tmp_path / "host", tmp_path / "archive"
    host.mkdir()
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(AGENT), str(host / "j.db"), str(folder)],
        stdin=subprocess.PIPE, encoding="utf-8", env={**os.environ, "PYTHONPATH": paths},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        for number in range(3):
            process.stdin.write("And then?\n")
            process.stdin.flush()
            until(lambda n=number: f"Answer {n}." in archived(folder))  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
    for path in host.iterdir():  # the disk is gone with the pod
        path.unlink()
    [object_] = folder.rglob("*.parquet")
    assert object_.name.endswith(".running.parquet")
    call = json.loads(say("show", "--json", "--from", str(folder)))
    assert [turn["agent"] for turn in call["turns"]] == ["Answer 0.", "Answer 1.", "Answer 2."]
    # 1,000 tokens in and 200 out, three times.
    assert (call["cost"]["usd"], call["cost"]["so_far"]) == (0.012, True)
    [listed] = map(json.loads, say("sessions", "--json", "--from", str(folder)).splitlines())
    assert listed["cost"] == call["cost"]


def parts(minutes: int) -> list[int]:
    """When a call is written that runs so long, in microseconds from its beginning."""
    began, found = 10**15, [0]
    while (at := next_part_us(began, began + found[-1]) - began) < minutes * MINUTE:
        found.append(at)
    return found[1:]


@pytest.mark.parametrize("minutes", [4, 10, 60, 120, 480])
def test_what_is_lost_and_what_is_written_of_a_long_call_is_bounded(minutes: int) -> None:
    written = parts(minutes)
    for last, this in pairwise([0, *written, minutes * MINUTE]):
        assert this - last <= max(PART_S * 1e6, PART * last) + 1
    # As much each time as the call had come to; at its end once more.
    assert sum(written) + minutes * MINUTE <= (1 / PART + 1 + 1) * minutes * MINUTE


def test_a_call_of_two_hours_is_written_twenty_times() -> None:
    written = parts(120)
    assert [at // MINUTE for at in written[:3]] == [5, 10, 15]
    assert (len(written), (120 * MINUTE - written[-1]) // MINUTE) == (19, 2)
