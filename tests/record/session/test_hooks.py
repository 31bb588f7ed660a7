"""The hooks of an agent: each is noted with its time, and its exception is an error of the call."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from livekit.agents import Agent, AgentTask, StopResponse, llm

from prefactor_agent import TracedAgent
from prefactor_agent.record.intercept.forms import HOOKS, INTERCEPTED
from support.line import HandSTT, Line
from support.scripted import ScriptedLLM, silence, sound
from support.tree import JSON, Recorder, check

CALLED_BY_THE_PROGRAM = {
    "update_instructions",
    "update_tools",
    "update_chat_ctx",
    "update_options",
    # of AgentTask
    "done",
    "cancel",
    "complete",
}
"""Methods that a program calls, and LiveKit does not."""

with_a_limit = pytest.mark.skipif(
    not hasattr(Agent, "on_user_turn_exceeded"), reason="this LiveKit has no limit of a user's turn"
)


def methods(kind: type[Any]) -> set[str]:
    """The methods of a class that a subclass may override; not what only reads a setting."""
    return {name for name, it in vars(kind).items() if name[0] != "_" and inspect.isfunction(it)}


@pytest.mark.parametrize("kind", [Agent, AgentTask])
def test_every_method_that_livekit_calls_on_an_agent_is_intercepted(kind: type[Any]) -> None:
    undecided = methods(kind) - INTERCEPTED - CALLED_BY_THE_PROGRAM
    assert not undecided, "is it a hook or a node (forms.py), or does the program call it?"


def test_a_new_hook_of_livekits_is_noticed() -> None:
    class Newer(Agent):
        async def on_something_new(self) -> None: ...

    assert methods(Newer) - INTERCEPTED - CALLED_BY_THE_PROGRAM == {"on_something_new"}


@pytest.mark.parametrize("name", sorted(HOOKS))
async def test_a_hook_is_noted_and_its_exception_is_an_error(name: str, sink: Recorder) -> None:
    async def fail(self: Agent, *_: Any) -> None:
        raise ValueError(f"{name} has a defect")

    root, errors = await called(name, fail, sink)
    assert [one["status"] for one in root["result"]["hooks"] if one["name"] == name] == ["failed"]
    assert [(one["payload"]["source"], one["payload"]["message"]) for one in errors] == [
        (name, f"{name} has a defect")
    ]


@pytest.mark.parametrize("name", sorted(HOOKS))
async def test_a_hook_that_wants_no_answer_has_not_failed(name: str, sink: Recorder) -> None:
    async def stop(self: Agent, *_: Any) -> None:
        raise StopResponse

    root, errors = await called(name, stop, sink)
    assert [one["status"] for one in root["result"]["hooks"] if one["name"] == name] == ["complete"]
    assert not errors


async def called(name: str, hook: Any, sink: Recorder) -> tuple[JSON, list[JSON]]:
    """A call in which LiveKit's session is up and ``name`` is called once, as LiveKit does."""
    agent = type("Mine", (TracedAgent,), {name: hook})(instructions="x")
    async with Line(hears=HandSTT(), thinks=ScriptedLLM("Yes.")).to(agent):
        if name not in ("on_enter", "on_exit"):
            message = llm.ChatMessage(role="user", content=["hello"])
            arguments = [None, message] if name == "on_user_turn_completed" else [None]
            with pytest.raises((ValueError, StopResponse)):
                await getattr(agent, name)(*arguments)
    (root,) = (sink.plain(span) for span in sink.of("livekit:session"))
    return root, [sink.plain(span) for span in sink.of("livekit:error")]


@with_a_limit
@pytest.mark.parametrize("overridden", [True, False])
async def test_the_hook_of_a_turn_that_is_too_long(overridden: bool, sink: Recorder) -> None:
    class Patient(TracedAgent):
        async def on_user_turn_exceeded(self, ev: Any) -> None:
            raise ValueError("the hook has a defect")

    kind = Patient if overridden else TracedAgent
    line = Line(
        hears=HandSTT(),
        thinks=ScriptedLLM("Sorry to cut in.", "Yes.", "x"),
        endpointing={"min_delay": 0.4, "max_delay": 1.0},
        user_turn_limit={"max_words": 6},
    )
    async with line.to(kind(instructions="x")):
        heard: Any = line.session.stt
        line.microphone.play([*silence(0.1), *sound(1.2), *silence(0.8)])
        await asyncio.sleep(0.2)
        heard.starts()
        for words in ("one two three four", "five six seven eight"):
            await asyncio.sleep(0.3)
            heard.final(words)
        await asyncio.sleep(0.6)
        heard.ends()
        await line.answers(1)
    check(sink)
    (root,) = (sink.plain(span) for span in sink.of("livekit:session"))
    (hook,) = (one for one in root["result"]["hooks"] if one["name"] == "on_user_turn_exceeded")
    assert hook["status"] == ("failed" if overridden else "complete")
    assert len(sink.of("livekit:error")) == int(overridden)
