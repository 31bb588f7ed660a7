"""Random calls to a random agent, as users write them, with what was heard of both sides.

A seed makes a call: what is asked and when, which tools the model uses, what the hooks do, what the
program says from timers, how LiveKit is set. The words of a question say what the model does."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from livekit.agents import RunContext, StopResponse, ToolError, llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.voice import io

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from support.line import Line, until
from support.scripted import (
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Step,
    Use,
    Wait,
    silence,
    sound,
)

TOOLS = ("look", "speaks", "nothing", "fails", "breaks", "stops", "asks", "gives", "task", "swaps")
TOOL_SECONDS = 0.7
HOOK_SECONDS = 0.3


class Stretch(NamedTuple):
    """When something was heard, in seconds of the loop's clock."""

    began: float
    ended: float
    words: str = ""


@dataclass
class Plan:
    """All that is random about a call."""

    questions: list[tuple[float, float, str]]
    """The pause before each, how long it is, its words."""
    says: list[tuple[float, str]]
    """When the program does what by itself."""
    hook: str
    greets: str
    thinks: float
    first_byte: float
    leads: float
    vad: float
    turns: dict[str, Any]


def plan(seed: int) -> Plan:
    """The call of a seed."""
    some = random.Random(seed)
    asked = ("plainly", "plainly", "plainly", "before", "emptily", *TOOLS)
    interruption = ({}, {"min_duration": 0.2, "resume_false_interruption": False}, {"min_words": 2})
    return Plan(
        questions=[
            (
                some.choice((0.7, 1.5, 2.5, 5.0)),
                some.choice((0.4, 0.8)),
                f"question {number} {some.choice(asked)}",
            )
            for number in range(some.randint(2, 5))
        ],
        says=[
            (some.uniform(1, 10), some.choice(("say", "reply", "interrupt", "change")))
            for _ in range(some.choice((0, 0, 1, 2)))
        ],
        hook=some.choice(("", "", "", "waits", "says", "declines", "breaks")),
        greets=some.choice(("", "say", "reply")),
        thinks=some.choice((0.05, 0.3, 0.8)),
        first_byte=some.choice((0.05, 0.3)),
        leads=some.choice((0.05, 0.2)),
        vad=some.choice((0.2, 0.4)),
        turns={
            "endpointing": {"min_delay": some.choice((0.05, 0.3)), "max_delay": 0.8},
            "preemptive_generation": {"enabled": some.random() < 0.4},
            "interruption": some.choice(interruption),
        },
    )


class Model(ScriptedLLM):
    """Answers by what it reads: the words of a question, a tool's result, an instruction."""

    def __init__(self, thinks: float) -> None:
        super().__init__()
        self._wait = Wait(thinks)
        self._counter = itertools.count(1)

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[Any] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **options: Any,
    ) -> llm.LLMStream:
        names = {tool.info.name for tool in tools or []}
        self.replies.append([self._wait, *self._reply(chat_ctx, names)])
        return super().chat(chat_ctx=chat_ctx, tools=tools, conn_options=conn_options, **options)

    def _reply(self, chat_ctx: llm.ChatContext, tools: set[str]) -> list[Step]:
        last = next((i for i in reversed(chat_ctx.items) if i.type in KINDS), None)
        if last is None or last.type != "message" or last.role != "user":
            return [f"Number {next(self._counter)} of what I say by myself."]
        how = (last.text_content or "").split()[-1]
        if "answered" in tools:
            return [Use("answered")]
        if how == "before":
            return ["One moment, let me see. ", Use("look")]
        if how == "emptily":
            return []
        return [Use(how)] if how in tools else ["This is the answer to your question."]


KINDS = ("message", "function_call_output")


class Name(TracedAgentTask[str]):
    async def on_enter(self) -> None:
        self.session.say("What is your name?")

    @traced_tool
    async def answered(self) -> None:
        """Note it."""
        self.complete("Ann")


class Desk(TracedAgent):
    """Does in its hooks and its tools what agents do."""

    def __init__(self, hook: str, greets: str) -> None:
        super().__init__(instructions="x")
        self._hook, self._greets = hook, greets

    async def on_enter(self) -> None:
        if self._greets == "say":
            self.session.say("Good morning to you.")
        elif self._greets == "reply":
            self.session.generate_reply(instructions="Greet.")

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        second = "question 1" in (new_message.text_content or "")
        if self._hook == "waits":
            await asyncio.sleep(HOOK_SECONDS)
        elif self._hook == "says":
            self.session.say("I heard you.")
        elif self._hook == "declines" and second:
            raise StopResponse
        elif self._hook == "breaks" and second:
            raise ConnectionError("no knowledge base")

    @traced_tool
    async def look(self) -> str:
        """Look."""
        await asyncio.sleep(TOOL_SECONDS)
        return "found"

    @traced_tool
    async def speaks(self, ctx: RunContext[None]) -> str:
        """Speak."""
        ctx.session.say("One moment please.")
        await asyncio.sleep(TOOL_SECONDS)
        return "found"

    @traced_tool
    async def nothing(self) -> None:
        """Do something that needs no words."""

    @traced_tool
    async def fails(self) -> str:
        """Fail."""
        raise ToolError("no such order")

    @traced_tool
    async def breaks(self) -> str:
        """Break."""
        raise ValueError("a defect")

    @traced_tool
    async def stops(self) -> str:
        """Stop."""
        raise StopResponse

    @traced_tool
    async def asks(self, ctx: RunContext[None]) -> None:
        """Have the model say something."""
        ctx.session.generate_reply(instructions="Say it.")

    @traced_tool
    async def gives(self) -> Desk:
        """Hand over."""
        return Desk(self._hook, self._greets)

    @traced_tool
    async def task(self) -> str:
        """Ask for a name."""
        return await Name(instructions="y")

    @traced_tool
    async def swaps(self, ctx: RunContext[None]) -> str:
        """Hand over, and say so."""
        ctx.session.update_agent(Desk(self._hook, ""))
        return "handed over"


@dataclass
class Truth:
    """What was heard."""

    caller: list[Stretch] = field(default_factory=list)
    agent: list[float] = field(default_factory=list)
    """When each stretch of the agent's audio was first heard."""


async def call(made: Plan) -> Truth:
    """Play a call."""
    truth = Truth()
    line = Line(
        hears=ScriptedSTT(*(words for _, _, words in made.questions)),
        thinks=Model(made.thinks),
        speaks=ScriptedTTS(
            first_byte=made.first_byte, leading_silence=made.leads, seconds_per_character=0.03
        ),
        vad=ScriptedVAD(end=made.vad),
        **made.turns,
    )
    clock = asyncio.get_running_loop().time
    playing: list[float] = []

    def finished(event: io.PlaybackFinishedEvent) -> None:
        # What was held back and given up never started.
        started = playing.pop() if playing else None
        if started is not None and event.playback_position > made.leads:
            truth.agent.append(started + made.leads)

    line.speaker.on("playback_started", lambda _: playing.append(clock()))
    line.speaker.on("playback_finished", finished)
    async with line.to(Desk(made.hook, made.greets)):
        began = at = clock()
        for pause, length, words in made.questions:
            line.microphone.play([*silence(pause), *sound(length)])
            truth.caller.append(Stretch(at + pause, at + pause + length, words))
            at += pause + length
        line.microphone.play(silence(6))
        for when, what in sorted(made.says):
            await asyncio.sleep(max(0.0, began + when - clock()))
            with suppress(RuntimeError):  # LiveKit takes no new speech while an agent leaves
                await _does(line, what, made)
        await line.microphone.heard()
        await until(lambda: not line.speaker.playing)
    return truth


async def _does(line: Line, what: str, made: Plan) -> None:
    """What the program does by itself."""
    if what == "say":
        line.session.say("By the way.")
    elif what == "reply":
        line.session.generate_reply(instructions="Speak.")
    elif what == "interrupt":
        await line.session.interrupt()
    else:
        line.session.update_agent(Desk(made.hook, ""))
