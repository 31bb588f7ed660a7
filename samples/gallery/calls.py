"""The calls of the gallery: one in which all is well, and seven, in each of which one thing is
wrong."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from livekit.agents import APITimeoutError, llm
from rich.text import Text

from prefactor_agent import traced_tool
from prefactor_agent.demo.shop import ShopAssistant
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.testing import collecting
from prefactor_agent.view.terminal.waterfall import waterfall
from support import virtual_time
from support.job import LINKED, Job, person
from support.scripted import ScriptedLLM, Step, Wait

from .ends import GREETING, ORDER, Call, Voice, cold_process, reply, use, usual

WIDTH = 100
"""Columns of the pictures."""

KETTLE, SATURDAY = "Do you have a kettle?", "When are you open on Saturday?"
SHIPPED = "Order forty two has shipped and arrives on Friday."


async def all_is_well() -> None:
    """Each part takes as long as it usually does."""
    model = ScriptedLLM(*usual(), use("look_up_order", order_id="42"), reply(SHIPPED))
    await Call(KETTLE, SATURDAY, ORDER, thinks=model).held(ShopAssistant())


async def slow_first_token() -> None:
    """The model takes 2.6 seconds to begin its second answer of the turn."""
    model = ScriptedLLM(*usual(), use("look_up_order", order_id="42"), reply(SHIPPED, first=2.6))
    await Call(KETTLE, SATURDAY, ORDER, thinks=model).held(ShopAssistant())


class SlowShop(ShopAssistant):
    """Its order system answers after three seconds."""

    @traced_tool
    async def look_up_order(  # type: ignore[override]  # the same tool, of a subclass
        self, order_id: str
    ) -> str:
        """Find out where an order is.

        Args:
            order_id: The number of the order, in digits.
        """
        await asyncio.sleep(3.0)
        return f"Order {order_id} has shipped and arrives on Friday."


async def slow_tool() -> None:
    """A tool asks a system that is slow."""
    model = ScriptedLLM(*usual(), use("look_up_order", order_id="42"), reply(SHIPPED))
    await Call(KETTLE, SATURDAY, ORDER, thinks=model).held(SlowShop())


class Detector:
    """A turn detector that says one probability after the other."""

    model, provider = "scripted-detector", "scripted"

    def __init__(self, *probabilities: float) -> None:
        self.probabilities = [*probabilities]

    async def supports_language(self, language: str | None) -> bool:
        return True

    async def unlikely_threshold(self, language: str | None) -> float | None:
        return 0.4

    async def predict_end_of_turn(
        self, chat_ctx: llm.ChatContext, *, timeout: float | None = None
    ) -> float:
        await asyncio.sleep(0.02)
        return self.probabilities.pop(0)


async def turn_detector_waits() -> None:
    """A turn detector takes a whole question for half of one."""
    call = Call(
        KETTLE,
        SATURDAY,
        "My order is number forty two",
        thinks=ScriptedLLM(*usual(), use("look_up_order", order_id="42"), reply(SHIPPED)),
        turn_detection=Detector(0.93, 0.88, 0.07),
    )
    await call.held(ShopAssistant())


async def voice_stalls() -> None:
    """The voice stops for three seconds in the middle of its sentence."""
    model = ScriptedLLM(*usual(), use("look_up_order", order_id="42"), reply(SHIPPED))
    voice = Voice(stalls_at="shipped", stalls_for=3.0)
    await Call(KETTLE, SATURDAY, ORDER, thinks=model, voice=voice).held(ShopAssistant())


async def backchannel() -> None:
    """The caller says “mhm” while the agent speaks, and the answer stops."""
    call = Call(
        KETTLE,
        SATURDAY,
        ORDER,
        "Mhm",
        thinks=ScriptedLLM(
            *usual(),
            use("look_up_order", order_id="42"),
            reply("Order forty two has shipped, it left our house on Tuesday and comes on Friday."),
            reply("Is there anything else?"),
        ),
        interruption={"mode": "vad", "min_duration": 0.3},
    )
    async with call.to(ShopAssistant()):
        await call.answers()
        await call.asks(2)
        asked = asyncio.create_task(call.asks())
        while not call.speaker.playing or len(call.speaker.finished) < 3:
            await asyncio.sleep(0.01)
        await call.cuts_in(1.6, 0.5)
        await asked
        await call.answers(5)


async def fallback() -> None:
    """The first model does not answer in time; LiveKit asks the second one."""
    late: list[Step] = [Wait(2.0), APITimeoutError("Request timed out.")]
    first = ScriptedLLM(*usual(), use("look_up_order", order_id="42"), late)
    second = ScriptedLLM(reply(SHIPPED))
    model = llm.FallbackAdapter([first, second], attempt_timeout=2.0, max_retry_per_llm=0)
    await Call(KETTLE, SATURDAY, ORDER, thinks=model).held(ShopAssistant())


async def cold_pickup() -> None:
    """No process is idle when the call comes in: LiveKit has to start one."""
    job, now = Job(), time.time()
    info = job.context._info
    info.received_at, info.accepted_at, info.assigned_at = now + 0.1, now + 0.11, now + 0.14
    info.launched_at = now + 3.1
    job.room._remote_participants["caller"] = person("caller", joined_at=now)
    call = Call(thinks=ScriptedLLM(reply(GREETING)))
    linked = replace(LINKED, participant_identity="caller")
    started = asyncio.get_running_loop().time()
    with cold_process(started + 0.2, started + 1.4), job.running():
        await asyncio.sleep(3.15)
        job.connects(time.time())
        await call.session.start(ShopAssistant(), room=job.room, room_options=linked)
        await call.answers()
        await call.session.aclose()
        await call.words.aclose()
        await job.end("done")


CALLS: dict[str, Callable[[], Awaitable[None]]] = {
    "all-is-well": all_is_well,
    "slow-first-token": slow_first_token,
    "slow-tool": slow_tool,
    "turn-detector": turn_detector_waits,
    "voice-stalls": voice_stalls,
    "backchannel": backchannel,
    "fallback": fallback,
    "cold-pickup": cold_pickup,
}
"""By the name of its picture in `docs/gallery`."""


def hold(name: str) -> Sequence[StoredSpan]:
    """Hold one of the calls, and give its trace, in which its name stands for its id."""

    async def held() -> Sequence[StoredSpan]:
        await CALLS[name]()
        return trace.calls[0].spans  # their times are worked out while the clock stands

    with collecting() as trace:
        spans = virtual_time.run(held(), look=1e-6)
    new = {spans[0].session_id: name}
    return [
        replace(
            span,
            id=new.get(span.id, span.id),
            session_id=name,
            parent_id=new.get(span.parent_id or "", span.parent_id),
        )
        for span in spans
    ]


def picture(spans: Sequence[StoredSpan]) -> Iterator[Text]:
    """What `prefactor-agent show` prints of a call, without its first three turns."""
    left_out = False
    for line in waterfall(spans, WIDTH):
        if line.plain.startswith("── "):
            left_out = line.plain.split()[1:3] in (["turn", "1"], ["turn", "2"], ["turn", "3"])
            left_out |= line.plain.startswith("── pickup from")  # of a call that has no room
        if not left_out:
            yield line
