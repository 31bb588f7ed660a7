"""Where an agent is played twice: once as LiveKit's, once as ours. What a case uses of either is on
its :class:`Stage`; all that can be seen of the run is noted there."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

from livekit.agents import (
    Agent,
    AgentSession,
    AgentTask,
    TurnHandlingOptions,
    function_tool,
)
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.events import EventTypes

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from support import virtual_time
from support.scripted import (
    NO_RETRY,
    Microphone,
    ScriptedVAD,
    silence,
    sound,
)

from .models import NotedLLM, NotedSpeaker, NotedSTT, NotedTTS, Transcript
from .observed import Entry, named, plain

NO_RETRIES = SessionConnectOptions(
    stt_conn_options=NO_RETRY, llm_conn_options=NO_RETRY, tts_conn_options=NO_RETRY
)
EVENTS = [name for name in get_args(EventTypes) if name != "metrics_collected"]
LOGGERS = ("livekit.agents", "asyncio")


@dataclass(frozen=True)
class Names:
    """The names that a program changes in order to be traced."""

    Agent: Any
    AgentTask: Any
    tool: Any


PLAIN = Names(Agent, AgentTask, function_tool)
TRACED = Names(TracedAgent, TracedAgentTask, traced_tool)


class Stage:
    """One run of one case."""

    def __init__(self, names: Names) -> None:
        self.Agent, self.AgentTask, self.tool = names.Agent, names.AgentTask, names.tool
        self.plain = names.tool is function_tool
        self.seen: list[Entry] = []
        self.calls: list[Call] = []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        self._loop = loop

    def note(self, what: str, *about: Any) -> None:
        """Note that something happened: when, in which turn of the loop, and what."""
        loop = self._loop
        self.seen.append((round(loop.now, 6), loop.turns, what, *(plain(one) for one in about)))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is raised inside, and go on."""
        try:
            yield
        except (Exception, asyncio.CancelledError) as error:
            self.note("raised", error)

    async def call(self, agent: Any, *replies: Any, **options: Any) -> Call:
        """Start a session with ``agent``, in which the LLM has these replies."""
        call = Call(self, replies, **options)
        self.calls.append(call)
        await call.session.start(agent)
        return call


class Call:
    """A session with a microphone and a speaker."""

    def __init__(
        self,
        stage: Stage,
        replies: tuple[Any, ...],
        *,
        hears: tuple[Any, ...] = (),
        speaks: NotedTTS | None = None,
        audio: bool = True,
        turns: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.stage = stage
        self.llm, self.stt, self.tts = NotedLLM(*replies), NotedSTT(*hears), speaks or NotedTTS()
        for model in (self.llm, self.stt, self.tts):
            model.note = stage.note
        handling: dict[str, Any] = {
            "turn_detection": "vad",
            "endpointing": {"min_delay": 0.05, "max_delay": 0.5},
            "preemptive_generation": {"enabled": False},
            **(turns or {}),
        }
        if "preemptive_generation" not in TurnHandlingOptions.__annotations__:
            # Before it was an option of turn handling it was one of the session.
            options["preemptive_generation"] = handling.pop("preemptive_generation")["enabled"]
        self.session: AgentSession[Any] = AgentSession(
            **{
                "stt": self.stt,
                "llm": self.llm,
                "tts": self.tts,
                "vad": ScriptedVAD(),
                "conn_options": NO_RETRIES,
                "turn_handling": handling,
                "aec_warmup_duration": None,
                **options,
            }
        )
        self.microphone, self.speaker = Microphone(), NotedSpeaker()
        self.speaker.note = stage.note
        if audio:
            self.session.input.audio = self.microphone
            self.session.output.audio = self.speaker
            self.session.output.transcription = Transcript(stage.note)
        for name in EVENTS:
            self.session.on(name, self._event(name))

    def _event(self, name: str) -> Callable[[Any], None]:
        def noted(event: Any) -> None:
            self.stage.note(f"event {name}", event)

        return noted

    async def says(self, seconds: float = 0.3, *, then: float = 0.4) -> None:
        """Speak into the microphone, for ``seconds``, and be silent ``then``."""
        self.microphone.play([*silence(0.05), *sound(seconds), *silence(then)])
        await asyncio.sleep(0.05 + seconds + then)

    async def types(self, text: str = "hello") -> Any:
        """Give the agent a message, and wait until its answer was spoken."""
        speech = self.session.generate_reply(user_input=text)
        await speech
        return speech

    async def until(self, state: str) -> None:
        """Wait for a state of the agent."""
        while self.session.agent_state != state:
            await asyncio.sleep(0.01)

    def texts(self) -> list[tuple[str, str]]:
        """The conversation, as role and text."""
        return [
            (item.role, item.text_content or "")
            for item in self.session.history.items
            if item.type == "message"
        ]

    def outputs(self) -> list[tuple[str, bool]]:
        """What the tools gave: text, and whether it is an error."""
        return [
            (item.output, item.is_error)
            for item in self.session.history.items
            if item.type == "function_call_output"
        ]


Case = Callable[[Stage], Awaitable[None]]


def played(case: Case, names: Names) -> list[Entry]:
    """All that is seen of one run of ``case``."""
    return virtual_time.run(_play(case, names))


async def _play(case: Case, names: Names) -> list[Entry]:
    stage = Stage(names)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: stage.note("unhandled", context["message"], context.get("exception"))
    )
    with _logged(stage):
        async with asyncio.timeout(120):
            await case(stage)
            for call in stage.calls:
                await call.session.aclose()
                stage.note("history", call.session.history)
        stage.calls.clear()
        for _ in range(3):
            gc.collect(0)
            await asyncio.sleep(0.01)
    current = asyncio.current_task()
    left = sorted(task.get_name() for task in asyncio.all_tasks() if task is not current)
    stage.note("left running", left)
    return named(stage.seen)


@contextmanager
def _logged(stage: Stage) -> Iterator[None]:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            stage.note("logged", record.levelname, record.getMessage(), error)

    handler = Handler(logging.WARNING)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
