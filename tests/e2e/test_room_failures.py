"""What fails around a call: its process, its worker, LiveKit's server, Prefactor."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from samples.offline.phone import Phone

from prefactor_agent.demo.script import CANCEL, INTERRUPTED, RULES, WHERE
from support.livekit import Site, Worker, together, trace_of
from support.waiting import PATIENCE, until

HERE = Path(__file__).parent
OWE = "How much do I owe you?"
LONG_ANSWER = next(rule.says for rule in RULES if rule.question == INTERRUPTED)


async def ask(phone: Phone, *questions: str) -> None:
    for question in questions:
        await phone.answered()
        await phone.say(question)
    await phone.answered()


async def test_a_killed_process_takes_only_its_own_call_along(site: Site, shop: Worker):
    async with await site.phone("killed") as killed, await site.phone("spared") as spared:
        await together(ask(killed, WHERE), ask(spared, WHERE))
        await killed.say(INTERRUPTED)
        await killed.talking(1.5)
        os.kill(shop.job_process("killed"), signal.SIGKILL)
        await spared.say(CANCEL)
        await spared.answered()
        # The next call in a process of that worker finds what was left, and delivers it.
        async with await site.phone("next") as following:
            await following.answered()
    other = await asyncio.to_thread(trace_of, shop.journal, "spared")
    other.check_whole()
    assert other.heard == [WHERE, CANCEL]
    assert other.session.status == "complete"

    trace = await asyncio.to_thread(trace_of, shop.journal, "killed")
    assert trace.session.status == "failed"
    assert trace.session.result["reason"] == "process ended"
    assert trace.heard == [WHERE, INTERRUPTED]
    assert [tool.status for tool in trace.of("tool")] == ["complete"]
    *before, last = trace.of("assistant_turn")
    assert [turn.status for turn in before] == ["complete"] * 2
    assert last.status != "complete"
    (model,) = (span for span in trace.of("llm") if span.parent_id == last.id)
    assert LONG_ANSWER.startswith("".join(model.stream("output")["text"]))
    await asyncio.to_thread(site.delivered, shop, trace, "failed")
    await asyncio.to_thread(site.delivered, shop, other)


async def test_a_worker_that_is_asked_to_end_lets_its_calls_finish(site: Site):
    desk = HERE / "agents" / "desk.py"
    name = "draining"
    journal = {"PREFACTOR_JOURNAL": str(site.folder / "draining.db")}
    with site.worker(desk, mode="start", settings={"DESK": name, **journal}) as worker:
        phones = [await site.phone(f"draining-{n}", agent=name) for n in range(2)]
        async with phones[0], phones[1]:
            await together(*(phone.answered() for phone in phones))
            await together(*(phone.say(OWE) for phone in phones))
            worker.drain()
            # Told to end in the middle of a turn: the turn, and another, are held all the same.
            await together(*(ask(phone, OWE) for phone in phones))
            # One after the other: of two jobs that it sees end in the same turn of its loop, a
            # worker that drains waits for ever (livekit-agents 1.8.9, worker.py, `drain`: a process
            # that has ended is waited for without a pause, in which it would leave the pool).
            first = worker.job_process("draining-0")
            await phones[0].hang_up()
            await asyncio.to_thread(until, lambda: not psutil.pid_exists(first))
        await asyncio.to_thread(worker.program.wait, PATIENCE)
        for room in ("draining-0", "draining-1"):
            trace = await asyncio.to_thread(trace_of, worker.journal, room, timeout=1)
            trace.check_whole()
            assert trace.session.status == "complete"
            assert trace.heard == [OWE, OWE]
            await asyncio.to_thread(site.delivered, worker, trace, timeout=1)


async def test_livekit_comes_back_and_prefactor_only_later(livekit_server: None, tmp_path: Path):
    with Site(tmp_path) as site:
        site.prefactor.fault("refuse")
        with site.worker() as worker:
            async with await site.phone("interrupted") as phone:
                await ask(phone, WHERE)
                site.livekit.kill()
                await phone.ended()
                site.livekit.start()
                await phone.resumed()
                await phone.say(CANCEL)
                await phone.answered()
            worker.registered_again(2)
            async with await site.phone("after") as phone:
                await ask(phone, WHERE)
            traces = [
                await asyncio.to_thread(trace_of, worker.journal, room)
                for room in ("interrupted", "after")
            ]
        assert "did not exit in time" not in worker.program.said()
        for trace, heard in zip(traces, ([WHERE, CANCEL], [WHERE]), strict=True):
            trace.check_whole()
            assert trace.session.status == "complete"
            assert trace.heard == heard
            assert len(trace.spoken) == len(heard) + 1
        assert site.prefactor.spans() == []

        site.prefactor.clear_faults()
        pushed = subprocess.run(
            [Path(sys.executable).with_name("prefactor-agent"), "push"],
            env={**os.environ, **worker.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert pushed.returncode == 0, pushed.stdout + pushed.stderr
        for trace in traces:
            site.delivered(worker, trace, timeout=1)
        assert site.prefactor.violations() == []
