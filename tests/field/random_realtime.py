"""Random calls to a random agent with a realtime model, which speaks by itself or through a TTS,
and takes the turns by itself or has LiveKit or the program take them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentSession

from support.line import until
from support.scripted import Heard, Microphone, ScriptedSTT, ScriptedTTS, ScriptedVAD, Speaker
from support.scripted_realtime import ScriptedRealtime, ScriptedRealtimeSession, Step
from support.waiting import PATIENCE

from .desk import TOOLS, desk, last_item, words_for
from .truth import Truth, does

NEED_A_VOICE = ("speaks", "task")
PUSHED_AFTER = 0.3
"""Seconds after the last word of a question at which the caller lets the button go."""


@dataclass
class Plan:
    """All that is random about a call."""

    questions: list[tuple[float, float, str]]
    """The pause before each, how long it is, its words."""
    says: list[tuple[float, str]]
    """When the program does what by itself."""
    hook: str
    greets: str
    takes: str
    """Who takes the turns: the model, LiveKit's ``vad``, or the program (``manual``)."""
    speaks: bool
    """The model speaks by itself; otherwise it writes, and a TTS speaks."""
    voice: bool
    """There is a TTS."""
    transcribes: bool
    hears: bool
    """There is an STT beside the model."""
    also_vad: bool
    """There is a VAD although the model takes the turns."""
    capabilities: dict[str, bool]
    heard_after: float
    thinks: float
    first_byte: float
    leads: float
    end: float


def plan(seed: int) -> Plan:
    """The call of a seed."""
    some = random.Random(seed)
    speaks = some.random() < 0.6
    voice = not speaks or some.random() < 0.5
    takes = some.choice(("model", "model", "vad", "manual"))
    tools = [tool for tool in TOOLS if voice or tool not in NEED_A_VOICE]
    asked = ("plainly", "plainly", "plainly", "before", *tools)
    hooks = ("", "", "waits", "says", "declines", "breaks") if takes != "model" else ("",)
    does = ("reply", "types", "interrupt", "forces", "change", *(("say",) if voice else ()))
    transcribes = some.random() < 0.7
    return Plan(
        questions=[
            (
                some.choice((0.7, 1.5, 2.5, 5.0)) + (PUSHED_AFTER if takes == "manual" else 0),
                some.choice((0.4, 0.8)),
                f"question {number} {some.choice(asked)}",
            )
            for number in range(some.randint(2, 5))
        ],
        says=[(some.uniform(1, 10), some.choice(does)) for _ in range(some.choice((0, 0, 1, 2)))],
        hook=some.choice([one for one in hooks if voice or one != "says"]),
        greets=some.choice(("", "say", "reply") if voice else ("", "reply")),
        takes=takes,
        speaks=speaks,
        voice=voice,
        transcribes=transcribes,
        hears=not transcribes and some.random() < 0.5,
        also_vad=some.random() < 0.3,
        capabilities={
            "auto_tool_reply_generation": some.random() < 0.25,
            "mutable_chat_context": some.random() < 0.5,
            "mutable_instructions": True,
            "mutable_tools": True,
        },
        heard_after=some.choice((0.02, 0.1, 1.5)),
        thinks=some.choice((0.05, 0.3, 0.8)),
        first_byte=some.choice((0.05, 0.3)),
        leads=some.choice((0.05, 0.2)),
        end=some.choice((0.2, 0.4)),
    )


class Model(ScriptedRealtime):
    """Answers by what it hears, reads or is told."""

    def __init__(self, made: Plan, truth: Truth) -> None:
        super().__init__(
            heard=[words for _, _, words in made.questions] if made.transcribes else None,
            heard_after=made.heard_after,
            answers_after=made.thinks,
            end=made.end,
            turn_detection=made.takes == "model",
            audio=made.speaks,
            seconds_per_character=0.03,
            leading_silence=made.leads,
            **made.capabilities,
        )
        self._truth = truth
        self._counter = itertools.count(1)
        self._read: set[str] = set()
        self._told = self._answered = 0

    def next_reply(self, session: ScriptedRealtimeSession) -> Sequence[Step]:
        last = last_item(session.chat_ctx)
        told, self._told = len(self.instructed) > self._told, len(self.instructed)
        new = last is not None and last.id not in self._read
        self._read |= {item.id for item in session.chat_ctx.items}
        if told or (new and (last.type != "message" or last.role == "user")):
            return [f"Number {next(self._counter)} of what I say by myself."]
        now = asyncio.get_running_loop().time()
        asked = [one for one in self._truth.caller if one.ended <= now]
        if not asked or len(asked) == self._answered:
            return [f"Number {next(self._counter)} of what I say by myself."]
        self._answered = len(asked)
        return words_for(asked[-1].words, set(session.tools.function_tools))

    @property
    def instructed(self) -> list[str]:
        """What it was told for one reply alone."""
        return [one for session in self.sessions for one in session.instructions if one != "x"]


async def call(made: Plan, *, traced: bool = True) -> Truth:
    """Play a call.

    Args:
        traced: Otherwise to LiveKit's own agent.
    """
    truth, agent = Truth(), desk(traced)
    model = Model(made, truth)
    options: dict[str, Any] = {"vad": None}
    if made.takes == "vad" or made.also_vad:
        options["vad"] = ScriptedVAD(end=made.end)
    if made.takes != "model":
        options["turn_detection"] = made.takes
    if made.voice:
        options["tts"] = ScriptedTTS(
            first_byte=made.first_byte, leading_silence=made.leads, seconds_per_character=0.03
        )
    if made.hears:
        options["stt"] = ScriptedSTT(
            *(Heard(words, delay=min(0.3, made.heard_after)) for _, _, words in made.questions)
        )
    session: AgentSession[Any] = AgentSession(
        llm=model, aec_warmup_duration=None, min_endpointing_delay=0.1, **options
    )
    microphone, speaker = Microphone(), Speaker()
    session.input.audio, session.output.audio = microphone, speaker
    clock = asyncio.get_running_loop().time
    truth.listen(speaker, made.leads)
    async with asyncio.timeout(PATIENCE):
        await session.start(agent(made.hook, made.greets))
        await asyncio.sleep(0.05)
        began = clock()
        truth.ask(microphone, made.questions)
        for when, what in sorted([*made.says, *_pushes(made, truth, began)]):
            await asyncio.sleep(max(0.0, began + when - clock()))
            await _does(session, what, agent(made.hook, ""), truth)
        await microphone.heard()
        await until(lambda: not speaker.playing)
        await session.aclose()
    truth.read(session)
    return truth


def _pushes(made: Plan, truth: Truth, began: float) -> list[tuple[float, str]]:
    if made.takes != "manual":
        return []
    return [(one.ended + PUSHED_AFTER - began, "push") for one in truth.caller]


async def _does(session: AgentSession[Any], what: str, next_agent: Agent, truth: Truth) -> None:
    if what == "push":
        with suppress(RuntimeError):
            session.commit_user_turn()
    else:
        await does(session, what, next_agent, truth)
