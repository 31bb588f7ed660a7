"""Tasks: what goes on in one lies below the tool call that awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import livekit.agents
import pytest
from livekit.agents import Agent, AgentSession, AgentTask, function_tool
from livekit.agents.beta.workflows import TaskGroup

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from prefactor_agent.core import guard
from support.line import NO_RETRIES, Line, until
from support.scripted import ScriptedLLM, ScriptedSTT, Use, Wait
from support.tree import JSON, Recorder, check, of, outline


class AskName(TracedAgentTask[str]):
    """Asks for the caller's name."""

    def __init__(self) -> None:
        super().__init__(instructions="ask for the name")

    async def on_enter(self) -> None:
        self.session.say("Your name?")

    @traced_tool
    async def note_name(self, name: str) -> None:
        """Note the name."""
        self.complete(name)


class PlainAskName(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="ask for the name")

    async def on_enter(self) -> None:
        self.session.say("Your name?")

    @function_tool
    async def note_name(self, name: str) -> None:
        """Note the name."""
        self.complete(name)


class AskAll(TracedAgentTask[str]):
    """Has the name asked for by a task of its own."""

    def __init__(self) -> None:
        super().__init__(instructions="ask for all")

    async def on_enter(self) -> None:
        self.session.say("Some questions.")

    @traced_tool
    async def who(self) -> None:
        """Find out who calls."""
        self.complete(await AskName())


class Desk(TracedAgent):
    def __init__(self, task: Callable[[], AgentTask[Any]] = AskName) -> None:
        super().__init__(instructions="help")
        self.task = task

    @traced_tool
    async def book(self) -> str:
        """Book a room."""
        return f"booked for {await self.task()}"


async def call(sink: Recorder, *replies: Any, words: list[str], agent: Agent) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(*replies), conn_options=NO_RETRIES)
    async with asyncio.timeout(15):
        await session.start(agent)
        for text in words:
            await session.run(user_input=text)
        await settled(sink)
        await session.aclose()


async def settled(sink: Recorder) -> None:
    """Wait until nothing is being said: a run is over before the tool that a task came back to."""
    await until(lambda: not any(span.open for span in sink.of("livekit:assistant_turn")))


async def test_a_task_that_a_tool_awaits(sink: Recorder) -> None:
    await call(
        sink,
        [Use("book", call_id="call-1")],
        ["Say it again?"],
        [Use("note_name", {"name": "Ada"})],
        ["Booked for Ada."],
        ["Welcome."],
        words=["a room please", "hm", "Ada", "thanks"],
        agent=Desk(),
    )
    assert outline(sink) == [
        "session",
        "  user_turn: a room please",
        "  assistant_turn: Booked for Ada.",
        "    llm",
        "    llm: Booked for Ada.",
        "    tool:book: returned",
        "      handoff: desk to ask_name",
        "      assistant_turn: Your name?",
        "        transcription: Your name?",
        "      user_turn: hm",
        "      assistant_turn: Say it again?",
        "        llm: Say it again?",
        "        transcription: Say it again?",
        "      user_turn: Ada",
        "      assistant_turn",
        "        llm",
        "        tool:note_name: returned",
        "          tool_result note_name: returned",
        "      handoff: ask_name to desk",
        "      tool_result book: returned",
        "    transcription: Booked for Ada.",
        "  user_turn: thanks",
        "  assistant_turn: Welcome.",
        "    llm: Welcome.",
        "    transcription: Welcome.",
    ]
    check(sink)
    there, back = (handoff["payload"] for handoff in of(sink, "handoff"))
    assert (there["cause"], there["tool_name"], there["call_id"]) == ("tool", "book", "call-1")
    assert (back["cause"], back["tool_name"], back["call_id"]) == (
        "task_completed",
        "book",
        "call-1",
    )


@pytest.mark.parametrize("base", [TracedAgentTask, AgentTask])
@pytest.mark.parametrize("how", ["completed", "cancelled", "failed"])
async def test_how_a_task_ended(how: str, base: Any, sink: Recorder) -> None:
    class AskPin(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(instructions="ask for the PIN")

        async def on_enter(self) -> None:
            if how == "cancelled":
                self.cancel()
            else:
                self.complete("1234" if how == "completed" else ValueError("no PIN"))

    await call(sink, [Use("book")], ["Done."], words=["a room"], agent=Desk(AskPin))
    check(sink)
    there, back = (handoff["payload"] for handoff in of(sink, "handoff"))
    if base is AgentTask and not TOLD_AT_ONCE:
        assert not {"cause", "error"} & {*there, *back}  # both changes were seen when all was over
        return
    assert there["cause"] == "tool"
    assert back["cause"] == f"task_{how}"
    errors = {
        "completed": None,
        "cancelled": {"error_type": "ToolError", "message": "AgentTask ask_pin is cancelled"},
        "failed": {"error_type": "ValueError", "message": "no PIN"},
    }
    assert back.get("error") == errors[how]


@dataclass
class AskAge(TracedAgentTask[str]):
    """Compared by its fields, and so without a hash."""

    least: int = 18

    def __post_init__(self) -> None:
        super().__init__(instructions="ask for the age")

    async def on_enter(self) -> None:
        self.complete("21")


async def test_a_task_that_has_no_hash(sink: Recorder) -> None:
    await call(sink, [Use("book")], ["So."], words=["a room please"], agent=Desk(AskAge))
    (booked,) = [sink.plain(span) for span in sink.of("livekit:tool_result")]
    assert booked["result"]["outputs"] == {"output": "booked for 21"}
    assert not guard.failures


async def test_a_task_that_is_not_traced(sink: Recorder) -> None:
    await call(
        sink,
        [Use("book")],
        [Use("note_name", {"name": "Ada"})],
        ["Booked for Ada."],
        words=["a room please", "Ada"],
        agent=Desk(PlainAskName),
    )
    assert outline(sink)[5:] == [
        "    tool:book: returned",
        "      handoff: desk to plain_ask_name",
        "      assistant_turn: Your name?",
        "      user_turn: Ada",
        "      assistant_turn",
        "        llm",
        "        tool: returned",
        "          tool_result note_name: returned",
        "      handoff: plain_ask_name to desk",
        "      tool_result book: returned",
        "    transcription: Booked for Ada.",
    ]
    check(sink)


async def test_a_task_in_a_task(sink: Recorder) -> None:
    await call(
        sink,
        [Use("book")],
        [Use("who")],
        [Use("note_name", {"name": "Ada"})],
        ["Booked for Ada."],
        words=["a room please", "me", "Ada"],
        agent=Desk(AskAll),
    )
    assert outline(sink)[5:] == [
        "    tool:book: returned",
        "      handoff: desk to ask_all",
        "      assistant_turn: Some questions.",
        "        transcription: Some questions.",
        "      user_turn: me",
        "      assistant_turn",
        "        llm",
        "        tool:who: returned",
        "          handoff: ask_all to ask_name",
        "          assistant_turn: Your name?",
        "            transcription: Your name?",
        "          user_turn: Ada",
        "          assistant_turn",
        "            llm",
        "            tool:note_name: returned",
        "              tool_result note_name: returned",
        "          handoff: ask_name to ask_all",
        "          tool_result who: returned",
        "      handoff: ask_all to desk",
        "      tool_result book: returned",
        "    transcription: Booked for Ada.",
    ]
    check(sink)


async def test_a_task_that_a_hook_awaits(sink: Recorder) -> None:
    """No call of a tool has it: it lies in the session, between two handoffs."""

    class Asks(TracedAgent):
        async def on_enter(self) -> None:
            name = await AskName()
            self.session.say(f"Hello {name}.")

    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("note_name", {"name": "Ada"})]), conn_options=NO_RETRIES
    )
    async with asyncio.timeout(10):
        starting = asyncio.create_task(session.start(Asks(instructions="help")))
        while not sink.of("livekit:assistant_turn"):
            await asyncio.sleep(0.01)
        await session.run(user_input="Ada")
        await starting
        await asyncio.sleep(0.05)
        await session.aclose()
    assert outline(sink) == [
        "session",
        "  handoff: asks to ask_name",
        "  assistant_turn: Your name?",
        "    transcription: Your name?",
        "  user_turn: Ada",
        "  assistant_turn",
        "    llm",
        "    tool:note_name: returned",
        "      tool_result note_name: returned",
        "  handoff: ask_name to asks",
        "  assistant_turn: Hello Ada.",
        "    transcription: Hello Ada.",
    ]
    check(sink)
    there, back = (handoff["payload"] for handoff in of(sink, "handoff"))
    assert (there["cause"], back["cause"]) == ("hook", "task_completed")


@pytest.mark.parametrize("traced", [True, False])
async def test_a_group_of_tasks(traced: bool, sink: Recorder) -> None:
    """The group is an agent of LiveKit's own, which is not traced; its tasks can be."""

    class AskRoom(TracedAgentTask[str]):
        def __init__(self) -> None:
            super().__init__(instructions="ask for the room")

        async def on_enter(self) -> None:
            self.session.say("Which room?")

        @traced_tool
        async def note_room(self, room: str) -> None:
            """Note the room."""
            self.complete(room)

    tool: Any = traced_tool if traced else function_tool

    class Group(TracedAgent):
        @tool
        async def book(self) -> str:
            """Book a room."""
            group = TaskGroup(summarize_chat_ctx=False)
            group.add(AskName, id="name", description="the name")
            group.add(AskRoom, id="room", description="the room")
            results = (await group).task_results
            return f"{results['room']} for {results['name']}"

    await call(
        sink,
        [Use("book")],
        [Use("note_name", {"name": "Ada"})],
        [Use("note_room", {"room": "7"})],
        ["Booked."],
        words=["a room please", "Ada", "7"],
        agent=Group(instructions="help"),
    )
    check(sink)
    found = [line for line in outline(sink) if "_turn" in line]
    known = traced or TOLD_AT_ONCE  # else the tool is told of when it is over
    deep = "      " if known else "  "
    assert found == [
        "  user_turn: a room please",
        "  assistant_turn: Booked.",
        f"{deep}assistant_turn: Your name?",
        f"{deep}user_turn: Ada",
        f"{deep}assistant_turn",
        f"{deep}assistant_turn: Which room?",
        f"{deep}user_turn: 7",
        f"{deep}assistant_turn",
    ]
    causes = {handoff["payload"].get("cause") for handoff in of(sink, "handoff")}
    assert not known or causes == {"tool", "task_completed"}


TOLD_AT_ONCE = hasattr(livekit.agents, "ToolExecutionUpdatedEvent")


async def test_a_task_that_fails(sink: Recorder) -> None:
    class Fails(TracedAgentTask[str]):
        async def on_enter(self) -> None:
            self.complete(ValueError("no rooms"))

    class Fallible(TracedAgent):
        @traced_tool
        async def book(self) -> str:
            """Book a room."""
            return str(await Fails(instructions="fail"))

    await call(
        sink, [Use("book")], ["Sorry."], words=["a room"], agent=Fallible(instructions="help")
    )
    check(sink)
    lines = outline(sink)
    assert "    tool:book [failed]: exception" in lines
    assert "      handoff: fails to fallible" in lines
    assert "  assistant_turn: Sorry." in lines


async def test_speeches_at_the_same_time_keep_their_places(sink: Recorder) -> None:
    """What the program says on its own while a task runs is said by the task; what was begun before
    it, and what comes after, is not."""

    entered = asyncio.Event()

    class Slow(TracedAgentTask[str]):
        async def on_enter(self) -> None:
            self.session.say("In the task.")
            entered.set()
            await asyncio.sleep(0.1)
            self.complete("done")

    class Busy(TracedAgent):
        @traced_tool
        async def book(self) -> str:
            """Book a room."""
            self.session.say("One moment.")
            value = await Slow(instructions="slow")
            self.session.say("Almost there.")
            await asyncio.sleep(0.05)
            return value

        @traced_tool
        async def price(self) -> str:
            """What it costs."""
            await asyncio.sleep(0.02)
            return "3"

    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("book"), Use("price")], ["Booked, for three."]),
        conn_options=NO_RETRIES,
    )

    async def program() -> None:
        await entered.wait()
        await session.say("The program.")

    async with asyncio.timeout(10):
        await session.start(Busy(instructions="help"))
        saying = asyncio.create_task(program())
        await session.run(user_input="a room")
        await saying
        await settled(sink)
        await session.aclose()
    check(sink)
    lines = [line for line in outline(sink) if "_turn" in line or "tool:" in line]
    assert lines == [
        "  user_turn: a room",
        "  assistant_turn: Booked, for three.",
        "    tool:book: returned",
        "      assistant_turn: In the task.",
        "      assistant_turn: The program.",
        "    tool:price: returned",
        "  assistant_turn: One moment.",
        "  assistant_turn: Almost there.",
    ]


# What is heard


def stages(turn: JSON) -> dict[str, float]:
    latency = turn["result"]["latency"]
    found: dict[str, float] = {}
    for one in latency["stages"]:
        found[one["name"]] = found.get(one["name"], 0) + one["ms"]
    assert round(sum(found.values()), 3) == latency["perceived_ms"]
    assert found.get("unattributed", 0) < 1, found
    return found


async def test_the_silences_in_and_after_a_task(sink: Recorder) -> None:
    """Each is ended by whoever was heard first, also where that is the speech that the task came
    back to."""

    class Slow(Desk):
        @traced_tool
        async def book(self) -> str:
            """Book a room."""
            await asyncio.sleep(0.15)
            name = await AskName()
            await asyncio.sleep(0.2)
            return name

    line = Line(
        hears=ScriptedSTT("a room please", "hm", "ada"),
        thinks=ScriptedLLM(
            [Use("book")], ["Your name I said."], [Use("note_name", {"name": "ada"})],
            [Wait(0.1), "Booked."],
        ),
    )  # fmt: skip
    async with line.to(Slow()):
        for count in (1, 2, 3):
            await line.says(then=1.2)
            await line.answers(count)
        await until(lambda: sink.of("livekit:assistant_turn")[0].finished_ns)
    check(sink)
    speeches = of(sink, "assistant_turn")
    whole, first, second, silent = speeches
    assert silent["result"]["spoken_text"] == ""
    assert ["latency" in turn["result"] for turn in speeches] == [True, True, True, False]

    entering = stages(first)
    assert entering["tool:book"] == pytest.approx(150, abs=1)
    assert "llm_ttft_2" not in entering
    assert "filler" not in first["result"]["latency"]

    inside = stages(second)
    assert not any(name.startswith(("tool:", "handoff")) for name in inside)

    after = stages(whole)
    asked = [turn["id"] for turn in of(sink, "user_turn")]
    assert len(asked) == 3
    assert after["tool:book"] == pytest.approx(200, abs=1)
    assert after["llm_ttft"] >= 100
    assert whole["result"]["latency"]["perceived_ms"] < 2_000
    assert "filler" not in whole["result"]["latency"]
    assert "answer_ms" not in whole["result"]
    assert sink.one("livekit:session")["result"]["latency"]["turns"] == 3
