"""The agent changes: by a tool, by the program, for a task; and the chat goes on."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import Agent, RunContext, llm
from livekit.agents.beta.workflows import TaskGroup

from support.scripted import Use, Wait

from .models import NotedLLM, NotedTTS
from .same import assert_same, rows
from .stage import Stage


def other(s: Stage, **options: Any) -> Any:
    """The agent that a call is handed to."""

    class Other(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            s.note("entered", self, self.chat_ctx)
            await self.session.generate_reply(instructions="greet")

        async def on_exit(self) -> None:
            s.note("left", self)

    return Other(**{"instructions": "be another", **options})


def handing(s: Stage, result: Any) -> Any:
    """An agent whose tool gives ``result()``."""

    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def hand_over(self) -> Any:
            """Hand the call over."""
            return result()

        async def on_exit(self) -> None:
            s.note("left", self)

    return Mine(instructions="be")


# Handoffs


async def tool_returns_an_agent(s: Stage) -> None:
    call = await s.call(handing(s, lambda: other(s)), [Use("hand_over")], "I am the other.", "so")
    await call.types()
    await asyncio.sleep(1)
    await call.types("still there?")
    assert call.session.current_agent.id == "other"


async def tool_returns_a_tuple(s: Stage) -> None:
    agent = handing(s, lambda: (other(s), "handed over"))
    call = await s.call(agent, [Use("hand_over")], "first", "second", "third")
    await call.types()
    await asyncio.sleep(1)
    assert call.outputs() == [("handed over", False)]


async def tool_returns_two_agents(s: Stage) -> None:
    agent = handing(s, lambda: (other(s), other(s)))
    call = await s.call(agent, [Use("hand_over")], "first", "second")
    await call.types()
    await asyncio.sleep(1)


async def handed_over_while_it_speaks(s: Stage) -> None:
    agent = handing(s, lambda: other(s))
    slow = NotedTTS(seconds_per_character=0.05)
    replies = (["I hand you over now. ", Use("hand_over")], "I am the other.")
    call = await s.call(agent, *replies, speaks=slow)
    await call.types()
    await asyncio.sleep(3)


async def handed_over_in_speech(s: Stage) -> None:
    agent = handing(s, lambda: other(s))
    replies = ([Use("hand_over")], "I am the other.", "You said so.")
    call = await s.call(agent, *replies, hears=("hand over", "who are you"))
    await call.says()
    await asyncio.sleep(2)
    await call.says()
    await asyncio.sleep(2)


async def spoken_to_during_the_handoff(s: Stage) -> None:
    class Slow(s.Agent):  # type: ignore[misc, name-defined]
        async def on_exit(self) -> None:
            await asyncio.sleep(0.5)

    call = await s.call(Slow(instructions="be"), "Hm?", "Yes?", "Well?", hears=("one", "two"))
    await asyncio.sleep(0.1)
    call.session.update_agent(other(s))
    await call.says(0.6)
    await asyncio.sleep(2)
    await call.says()
    await asyncio.sleep(2)


async def back_and_forth(s: Stage) -> None:
    class First(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def forth(self) -> Any:
            """Forth."""
            return second

    class Second(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def back(self) -> Any:
            """Back."""
            return first, "back"

    first, second = First(instructions="first"), Second(instructions="second")
    call = await s.call(first, [Use("forth")], [Use("back")], "here", "there", "again")
    await call.types("forth")
    await asyncio.sleep(0.5)
    await call.types("back")
    await asyncio.sleep(0.5)
    await call.types("and now?")


async def to_a_plain_agent_and_back(s: Stage) -> None:
    class Plain(Agent):
        async def llm_node(self, *args: Any) -> Any:
            yield "plain "
            async for chunk in super().llm_node(*args):
                yield chunk

    replies = ("one", "two", "three", "four", "five")
    call = await s.call(other(s), *replies, hears=("first", "second"))
    await asyncio.sleep(0.5)
    call.session.update_agent(Plain(instructions="plain"))
    await call.says()
    await asyncio.sleep(1)
    call.session.update_agent(other(s))
    await asyncio.sleep(1)
    await call.says()
    await asyncio.sleep(1)


async def with_other_models(s: Stage) -> None:
    model, voice = NotedLLM("with my own mind."), NotedTTS(seconds_per_character=0.02)
    model.note = voice.note = s.note
    call = await s.call(handing(s, lambda: other(s, llm=model, tts=voice)), [Use("hand_over")])
    await call.types()
    await asyncio.sleep(1)


async def with_the_chat_so_far(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def hand_over(self, ctx: RunContext[Any]) -> Any:
            """Hand the call over."""
            return other(s, chat_ctx=self.chat_ctx.copy(exclude_instructions=True))

    call = await s.call(Mine(instructions="be"), "yes", [Use("hand_over")], "again", "so")
    await call.types("one")
    await call.types("two")
    await asyncio.sleep(1)


async def updated_before_it_starts(s: Stage) -> None:
    call = await s.call(other(s), "one", "two")
    call.session.update_agent(other(s))
    call.session.update_agent(handing(s, lambda: None))
    await asyncio.sleep(1)


async def the_next_agent_fails_to_enter(s: Stage) -> None:
    class Broken(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            raise ValueError("no entry")

    call = await s.call(handing(s, lambda: Broken(instructions="")), [Use("hand_over")], "so")
    await call.types()
    await asyncio.sleep(1)
    await call.types()


async def the_ear_that_is_overridden(s: Stage) -> None:
    class Listening(s.Agent):  # type: ignore[misc, name-defined]
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            async for event in super().stt_node(audio, model_settings):
                s.note("heard", event)
                yield event

    call = await s.call(other(s), "one", "two", "three", hears=("first", "second"))
    await call.says()
    call.session.update_agent(Listening(instructions="listen"))
    await asyncio.sleep(1)
    await call.says()
    await asyncio.sleep(1)


async def changed_on_the_way(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def look(self) -> str:
            """Look."""
            return "seen"

    agent = Mine(instructions="be")
    call = await s.call(agent, "one", [Use("look")], "two", "three")
    await call.types()
    await agent.update_instructions("be brief")
    await agent.update_tools([])
    await call.types()
    chat_ctx = llm.ChatContext.empty()
    chat_ctx.add_message(role="user", content="another past")
    await agent.update_chat_ctx(chat_ctx)
    await call.types()
    s.note("chat", agent.chat_ctx, agent.instructions, agent.tools)


# Tasks


def consent(s: Stage, **options: Any) -> Any:
    """A task that asks, until its tool is called."""

    class Consent(s.AgentTask):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            s.note("task entered", self)
            await self.session.generate_reply(instructions="ask for consent")

        @s.tool
        async def agree(self, yes: bool) -> str | None:
            """Agree, or not."""
            self.complete(yes)
            return None

        async def on_exit(self) -> None:
            s.note("task left", self)

    return Consent(**{"instructions": "ask", **options})


async def task_on_enter(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            s.note("answer", await consent(s))
            await self.session.generate_reply(instructions="thank")

    call = await s.call(Mine(instructions="be"), "May I?", [Use("agree", {"yes": True})], "thanks")
    await asyncio.sleep(1)
    await call.types("yes")
    await asyncio.sleep(1)


async def task_in_a_tool(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def ask(self) -> str:
            """Ask."""
            answer = await consent(s, chat_ctx=self.chat_ctx)
            s.note("answer", answer)
            return f"answered {answer}"

    agree = [Use("agree", {"yes": True})]
    call = await s.call(Mine(instructions="be"), [Use("ask")], "May I?", agree, "thanks", "so")
    speech = call.session.generate_reply(user_input="do it")
    await asyncio.sleep(1)
    await call.types("yes")
    await speech
    await asyncio.sleep(1)


async def task_in_speech(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def ask(self, ctx: RunContext[Any]) -> str:
            """Ask."""
            return f"answered {await consent(s)}"

    replies = ([Use("ask")], ["May ", Wait(0.1), "I?"], [Use("agree", {"yes": True})], "thanks")
    call = await s.call(Mine(instructions="be"), *replies, hears=("do it", "yes"))
    await call.says()
    await asyncio.sleep(2)
    await call.says()
    await asyncio.sleep(2)


async def task_that_fails(s: Stage) -> None:
    class Failing(s.AgentTask):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            self.complete(ValueError("no answer"))

    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def ask(self) -> str:
            """Ask."""
            with s.noting():
                await Failing(instructions="fail")
            raise llm.ToolError("nobody answered")

    call = await s.call(Mine(instructions="be"), [Use("ask")], "so")
    await call.types()
    await asyncio.sleep(1)


async def task_in_a_task(s: Stage) -> None:
    class Outer(s.AgentTask):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            first = await consent(s)
            second = await consent(s)
            self.complete([first, second])

    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            s.note("answers", await Outer(instructions="ask twice"))

    agree, refuse = [Use("agree", {"yes": True})], [Use("agree", {"yes": False})]
    call = await s.call(Mine(instructions="be"), "One?", agree, "Two?", refuse)
    for _ in range(2):
        await asyncio.sleep(1)
        await call.types("yes")
    await asyncio.sleep(1)


async def tasks_in_a_group(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            group = TaskGroup(chat_ctx=self.chat_ctx, summarize_chat_ctx=False)
            for name in ("first", "second"):
                group.add(lambda: consent(s), id=name, description=f"the {name} question")
            s.note("answers", (await group).task_results)

    agree = [Use("agree", {"yes": True})]
    call = await s.call(Mine(instructions="be"), "One?", agree, "Two?", agree)
    for _ in range(2):
        await asyncio.sleep(1)
        await call.types("yes")
    await asyncio.sleep(1)


async def task_that_is_interrupted(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def ask(self) -> str:
            """Ask."""
            return f"answered {await consent(s)}"

    agree = [Use("agree", {"yes": True})]
    slow = NotedTTS(seconds_per_character=0.05)
    replies = ([Use("ask")], "A very long question: may I?", agree, "thanks", "so")
    call = await s.call(Mine(instructions="be"), *replies, hears=("yes",), speaks=slow)
    call.session.generate_reply(user_input="do it")
    await asyncio.sleep(0.3)
    await call.says(0.8)
    await asyncio.sleep(3)


async def closed_during_a_task(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            with s.noting():
                await consent(s)

    await s.call(Mine(instructions="be"), "May I?")
    await asyncio.sleep(1)


async def awaited_outside(s: Stage) -> None:
    with s.noting():
        await consent(s)
    call = await s.call(other(s), "hello")
    await asyncio.sleep(0.5)
    with s.noting():
        await consent(s)
    await call.types("so")


CASES = [
    tool_returns_an_agent,
    tool_returns_a_tuple,
    tool_returns_two_agents,
    handed_over_while_it_speaks,
    handed_over_in_speech,
    spoken_to_during_the_handoff,
    back_and_forth,
    to_a_plain_agent_and_back,
    with_other_models,
    with_the_chat_so_far,
    updated_before_it_starts,
    the_next_agent_fails_to_enter,
    the_ear_that_is_overridden,
    changed_on_the_way,
    task_on_enter,
    task_in_a_tool,
    task_in_speech,
    task_that_fails,
    task_in_a_task,
    tasks_in_a_group,
    task_that_is_interrupted,
    closed_during_a_task,
    awaited_outside,
]


@rows(*CASES)
def test_a_handoff_goes_the_same_with_and_without_tracing(case: Any) -> None:
    assert_same(case)
