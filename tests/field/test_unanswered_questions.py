"""Questions that the caller got no answer to: the call counts them, and no others. A table of what
happens in calls, each a real session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    RunContext,
    StopResponse,
    function_tool,
)

from prefactor_agent import PrefactorLiveKitSession, TracedAgent, TracedAgentTask, traced_tool
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.testing import Trace
from prefactor_agent.view.export.outline import outline
from support.line import Line
from support.scripted import (
    Microphone,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Speaker,
    Use,
    Wait,
    silence,
    sound,
)
from support.scripted_realtime import ScriptedRealtime

NOBODY = APIConnectionError("nobody is there")
UP = 3.0
"""Seconds after which a caller speaks again, who has waited long enough."""


class Name(TracedAgentTask[str]):
    async def on_enter(self) -> None:
        self.session.say("Your name?")

    @traced_tool
    async def note(self) -> None:
        """Note it."""
        self.complete("Ann")


class Silent(TracedAgent):
    """Takes the call without a word."""


class Greeter(TracedAgent):
    async def on_enter(self) -> None:
        self.session.say("This is the other desk.")


class Desk(TracedAgent):
    """Its hook and its tools do what the words ask for."""

    def __init__(self) -> None:
        super().__init__(instructions="x")

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        match new_message.text_content:
            case "not for you":
                raise StopResponse
            case "not for you, on reflection":
                await asyncio.sleep(0.7)
                raise StopResponse
            case "say it yourself":
                self.session.say("As you wish.")
                raise StopResponse
            case "break":
                raise ConnectionError("no knowledge base")
            case "hesitate":
                await asyncio.sleep(1.5)

    @traced_tool
    async def look(self) -> str:
        """Look."""
        return "found"

    @traced_tool
    async def look_long(self) -> str:
        """Look for long."""
        await asyncio.sleep(6.5)
        return "found"

    @traced_tool
    async def stop(self) -> str:
        """Stop."""
        raise StopResponse

    @traced_tool
    async def nothing(self) -> None:
        """Do something that needs no words."""

    @function_tool
    async def nothing_untraced(self) -> None:
        """The same."""

    @traced_tool
    async def speak(self, ctx: RunContext[None]) -> None:
        """Speak."""
        ctx.session.say("Here you are.")

    @traced_tool
    async def fails(self) -> str:
        """Fail."""
        raise ValueError("a defect")

    @traced_tool
    async def gives(self) -> Agent:
        """Hand over."""
        return Greeter(instructions="y")

    @traced_tool
    async def gives_to_silent(self) -> Agent:
        """Hand over."""
        return Silent(instructions="y")

    @traced_tool
    async def ask(self) -> str:
        """Ask for the name."""
        return await Name(instructions="z")

    @traced_tool
    async def ask_and_stop(self) -> None:
        """Ask for the name, no more."""
        await Name(instructions="z")

    @traced_tool
    async def settle(self, ctx: RunContext[None]) -> str:
        """Pay."""
        ctx.disallow_interruptions()
        await asyncio.sleep(UP)
        return "paid"


def found(trace: Trace) -> list[str]:
    """The words of the questions that the last call says nobody answered."""
    call = outline(trace.calls[-1].spans)
    named = named_in(call)
    assert call["unanswered"] == len(named)
    waits = call["unanswered_worst_ms"]
    assert (waits is not None) == bool(named)
    assert set(named) >= set(named_in(outline(killed(trace))))  # it knows less, and nothing else
    return named


def named_in(call: dict[str, Any]) -> list[str]:
    return [turn["user"] for turn in call["turns"] if turn["unanswered"]]


def killed(trace: Trace) -> list[StoredSpan]:
    """The last call as it is kept if its process dies at its end."""
    root, *others = trace.calls[-1].spans
    return [replace(root, status="active", finished_us=None, result={}), *others]


Case = tuple[tuple[str, ...], tuple[Any, ...], list[str]]
ANSWERED = "Yes."
ENDED_BY_HOOK = ("break", "say it yourself", "not for you", "not for you, on reflection")
"""After these words LiveKit makes no reply, or drops the one that it made ahead."""
AFTER_A_TASK = ([Use("ask")], [Use("note")], [])
CASES: dict[str, Case] = {
    # What the caller says, what the model answers, and what nobody answered. The caller speaks
    # again long after, and is answered then.
    "answered": (("one",), (ANSWERED,), []),
    "the model has no words": (("one",), ([],), ["one"]),
    "the model fails": (("one",), ([NOBODY],), ["one"]),
    "the hook fails": (("break",), (), ["break"]),
    "the hook declines": (("not for you",), (), []),
    "the hook declines after a while": (("not for you, on reflection",), (), []),
    "the hook speaks in its place": (("say it yourself",), (), []),
    "a tool stops": (("one",), ([Use("stop")],), []),
    "a tool has nothing to say": (("one",), ([Use("nothing")],), []),
    "a tool that is not traced has nothing": (("one",), ([Use("nothing_untraced")],), []),
    "a tool speaks itself": (("one",), ([Use("speak")],), []),
    "words before a tool": (("one",), (["Let me see. ", Use("nothing")],), []),
    "a tool, and an answer": (("one",), ([Use("look")], "Found."), []),
    "a tool, and no words": (("one",), ([Use("look")], []), ["one"]),
    "a tool, and the model fails": (("one",), ([Use("look")], [NOBODY]), ["one"]),
    "a tool fails, and no words": (("one",), ([Use("fails")], []), ["one"]),
    "one of two tools needs words": (("one",), ([Use("nothing"), Use("look")], []), ["one"]),
    "neither of two tools does": (("one",), ([Use("nothing"), Use("stop")],), []),
    "handed over": (("one",), ([Use("gives")],), []),
    "handed over to who is silent": (("one",), ([Use("gives_to_silent")],), ["one"]),
    "a task": (("one", "Ann"), ([Use("ask")], [Use("note")], "Thank you."), []),
    "a task, and no words after it": (("one", "Ann"), AFTER_A_TASK, ["Ann"]),
    "a task, after which none are wanted": (
        ("one", "Ann"),
        ([Use("ask_and_stop")], [Use("note")]),
        [],
    ),
    "a task in which the model has no words": (
        ("one", "Ann", "Ann!"),
        ([Use("ask")], [], [Use("note")], "Thank you."),
        ["Ann"],
    ),
    "one of three": (("one", "two", "three"), (ANSWERED, [], ANSWERED), ["two"]),
    "two of three": (("one", "two", "three"), ([], ANSWERED, [NOBODY]), ["one", "three"]),
}


@pytest.mark.parametrize("asked, replies, expected", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("ahead", [False, True], ids=["", "preemptive"])
async def test_a_question_and_what_came_of_it(
    trace: Trace, asked: tuple[str, ...], replies: tuple[Any, ...], expected: list[str], ahead: bool
) -> None:
    dropped = ["Dropped."] if ahead and asked[0] in ENDED_BY_HOOK else []
    line = Line(
        hears=ScriptedSTT(*asked, "the last"),
        thinks=ScriptedLLM(*dropped, *replies, "That is all."),
        preemptive_generation={"enabled": ahead},
    )
    async with line.to(Desk()):
        for _ in asked:
            await line.says(then=UP)
        await line.says(then=UP)
    assert found(trace) == expected
    if expected:
        # From the last word to the next one: the pause before it, too.
        waited = outline(trace.calls[-1].spans)["unanswered_worst_ms"]
        assert waited == pytest.approx((UP + 0.3) * 1000, abs=30)
    # Who was killed has not said how a hook went, nor what is left of a task.
    known = [] if asked == ("break",) or replies is AFTER_A_TASK else expected
    assert named_in(outline(killed(trace))) == known


# What the caller does


async def test_a_caller_who_speaks_while_the_reply_is_on_its_way(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("my name is John", "Doe"),
        thinks=ScriptedLLM([Wait(2.0), "Hello John."], "Hello John Doe."),
    )
    async with line.to(Desk()):
        await line.says(then=0.5)
        await line.says(then=UP)
    assert found(trace) == []


async def test_a_caller_who_speaks_while_the_hook_is_at_work(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("hesitate", "Doe"), thinks=ScriptedLLM("One.", "Two.", "Three."))
    async with line.to(Desk()):
        await line.says(then=0.5)
        await line.says(then=UP)
    assert found(trace) == []


async def test_an_older_question_that_is_answered_after_a_newer_one(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("one", "are you there"),
        thinks=ScriptedLLM([Use("settle")], "Yes, I am.", "It is paid."),
    )
    async with line.to(Desk()):
        await line.says(then=0.8)
        await line.says(then=2 * UP)
    assert found(trace) == []


@pytest.mark.parametrize("says_more", [True, False])
async def test_a_cough_that_ends_the_reply(trace: Trace, says_more: bool) -> None:
    """The reply is broken off for good, and nobody says anything to the caller who waits."""
    line = Line(
        hears=ScriptedSTT("a table please", "", "hello?"),
        thinks=ScriptedLLM([Wait(1.0), "For how many?"], "Yes?"),
        interruption={"mode": "vad", "min_duration": 0.2, "resume_false_interruption": False},
    )
    async with line.to(Desk()):
        await line.says(then=0.4)
        await line.says(0.4, before=0.0, then=6.0)
        if says_more:
            await line.says(then=UP)
    assert found(trace) == ["a table please"]


@pytest.mark.parametrize("sorry", [True, False])
async def test_a_reply_that_the_program_breaks_off(trace: Trace, sorry: bool) -> None:
    line = Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM([Wait(5.0)], ANSWERED))
    async with line.to(Desk()):
        await line.says(then=1.0)
        await line.session.interrupt()
        if sorry:
            line.session.say("Sorry, say that again?")
        await asyncio.sleep(UP)
        await line.says(then=UP)
    assert found(trace) == ([] if sorry else ["one"])


async def test_tools_that_the_program_breaks_off(trace: Trace) -> None:
    """LiveKit asks for no words after tools that it breaks off: nobody declined any."""
    line = Line(
        hears=ScriptedSTT("one", "two"),
        thinks=ScriptedLLM(
            [Use("look"), Use("look_long")], ANSWERED, ANSWERED
        ),  # 1.5 asks after the tools, too
    )
    async with line.to(Desk()):
        await line.says(then=1.0)
        await line.session.interrupt()
        await asyncio.sleep(UP)
        await line.says(then=UP)
    assert found(trace) == ["one"]


async def test_words_that_the_program_throws_away(trace: Trace) -> None:
    """They are no question, but the caller spoke again while the reply was on its way."""
    line = Line(
        hears=ScriptedSTT("one", "hello?"),
        thinks=ScriptedLLM([Wait(30.0), ANSWERED]),
        turn_detection="manual",
    )
    async with line.to(Desk()):
        await line.says()
        line.session.commit_user_turn()
        await line.says(before=3.0, then=UP)
        line.session.clear_user_turn()
    assert found(trace) == []


async def test_a_long_call(trace: Trace) -> None:
    words = [f"question {number}" for number in range(12)]
    line = Line(hears=ScriptedSTT(*words), thinks=ScriptedLLM([], *[ANSWERED] * 11))
    async with line.to(Desk()):
        for _ in words:
            await line.says(then=1.5)
    assert found(trace) == words[:1]


async def test_who_looks_while_the_hook_is_at_work(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("not for you, on reflection"), thinks=ScriptedLLM())
    async with line.to(Desk()):
        await line.says(then=0.5)
        (turn,) = trace.spans("user_turn")
        assert turn.status == "complete" and "declined" not in turn.result
        await asyncio.sleep(1)
        (turn,) = trace.spans("user_turn")
        assert turn.result["declined"] is True


async def test_a_voice_that_fails(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("one", "two", "three"),
        thinks=ScriptedLLM(ANSWERED, ANSWERED, ANSWERED),
        speaks=ScriptedTTS(None, NOBODY),
    )
    async with line.to(Desk()):
        for _ in range(3):
            await line.says(then=UP)
    assert found(trace) == ["two"]


async def test_words_that_nobody_was_to_hear_are_no_question(trace: Trace) -> None:
    """They are said over a speech that nobody may interrupt, and LiveKit gives them up."""
    line = Line(hears=ScriptedSTT("stop", "two"), thinks=ScriptedLLM(ANSWERED))
    async with line.to(Desk()):
        line.session.say("You must hear this to its very end. " * 8, allow_interruptions=False)
        await asyncio.sleep(0.3)
        await line.says(then=5.0)
        await line.says(then=UP)
    assert found(trace) == []


async def test_noise_is_no_question(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("", "two"), thinks=ScriptedLLM(ANSWERED))
    async with line.to(Desk()):
        await line.says(0.3, then=5.0)
        await line.says(then=UP)
    assert found(trace) == []


@pytest.mark.parametrize("reply, expected", [([], ["one"]), (ANSWERED, [])])
async def test_push_to_talk(trace: Trace, reply: Any, expected: list[str]) -> None:
    line = Line(
        hears=ScriptedSTT("one", "two"),
        thinks=ScriptedLLM(reply, ANSWERED),
        turn_detection="manual",
    )
    async with line.to(Desk()):
        for _ in range(2):
            line.session.input.set_audio_enabled(True)
            line.microphone.play([*sound(1.2), *silence(0.05)])
            await line.microphone.heard()
            line.session.input.set_audio_enabled(False)
            line.session.commit_user_turn()
            await asyncio.sleep(UP)
    assert found(trace) == expected


async def test_a_turn_that_is_taken_without_a_reply(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("one"), thinks=ScriptedLLM(), turn_detection="manual")
    async with line.to(Desk()):
        await line.says()
        line.session.commit_user_turn(skip_reply=True)
        await asyncio.sleep(6)
    assert found(trace) == []
    (turn,) = trace.spans("user_turn")
    assert turn.result["declined"] is True


# How the call ends


@pytest.mark.parametrize("waits, expected", [(1.0, []), (7.0, ["bye"])])
@pytest.mark.parametrize("reply", [[], [NOBODY], [Wait(30.0)]], ids=["none", "error", "slow"])
async def test_a_call_that_ends_after_a_question(
    trace: Trace, reply: Any, waits: float, expected: list[str]
) -> None:
    line = Line(hears=ScriptedSTT("bye"), thinks=ScriptedLLM(reply))
    async with line.to(Desk()):
        await line.says(then=waits)
    assert found(trace) == expected


async def test_a_call_that_the_program_ends_in_a_tool(trace: Trace) -> None:
    class Ends(TracedAgent):
        @traced_tool
        async def transfer(self, ctx: RunContext[None]) -> str:
            """Transfer the call."""
            await asyncio.sleep(6.0)
            self.session.shutdown(drain=False)
            return "transferred"

    line = Line(hears=ScriptedSTT("a person please"), thinks=ScriptedLLM([Use("transfer")], "Bye."))
    async with line.to(Ends(instructions="x")):
        line.microphone.play([*sound(0.5), *silence(10)])
        await asyncio.sleep(9)
    assert trace.calls[0].close_reason == "user_initiated"
    assert found(trace) == []


async def test_a_session_that_fails_while_the_caller_waits(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("one", "two", "three", "four"),
        thinks=ScriptedLLM(*[[NOBODY] for _ in range(4)]),
    )
    async with line.to(Desk()):
        for _ in range(4):
            line.microphone.play([*sound(0.5), *silence(1.5)])
            await asyncio.sleep(2)
    assert trace.calls[0].close_reason == "error"
    assert found(trace) == ["one", "two", "three", "four"]


# Other kinds of sessions


@pytest.mark.parametrize("reply, expected", [([], ["one"]), (ANSWERED, [])])
async def test_a_session_of_text(trace: Trace, reply: Any, expected: list[str]) -> None:
    async with AgentSession[None](llm=ScriptedLLM(reply, ANSWERED), vad=None) as session:
        await session.start(Desk())
        await session.run(user_input="one")
        await asyncio.sleep(UP)
        await session.run(user_input="two")
    assert found(trace) == expected


async def test_who_only_listens_owes_no_answer(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("one", "two"))
    async with line.to(Desk()):
        await line.says(then=UP)
        await line.says(then=7.0)
    assert found(trace) == []


@pytest.mark.parametrize(
    "replies, expected",
    [((ANSWERED, ANSWERED), []), (([], ANSWERED), ["one"]), (([Use("nothing")], ANSWERED), [])],
)
@pytest.mark.parametrize("attaches", [False, True])
async def test_a_plain_agent(
    trace: Trace, replies: tuple[Any, ...], expected: list[str], attaches: bool
) -> None:
    class Plain(Agent):
        @function_tool
        async def nothing(self) -> None:
            """Nothing."""

        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            if new_message.text_content == "not for you":
                raise StopResponse

    line = Line(hears=ScriptedSTT("one", "not for you", "two"), thinks=ScriptedLLM(*replies))
    wrapper = PrefactorLiveKitSession()
    async with asyncio.timeout(60):
        if attaches:
            await wrapper.attach(line.session)
            await line.session.start(Plain(instructions="x"))
        else:
            await wrapper.start(line.session, Plain(instructions="x"))
        for _ in range(3):
            await line.says(then=UP)
        await line.session.aclose()
        await wrapper.close()
    assert found(trace) == expected


@pytest.mark.parametrize("heard", [True, False], ids=["transcribes", "says not what it heard"])
@pytest.mark.parametrize("own", [True, False], ids=["own turns", "LiveKit's turns"])
@pytest.mark.parametrize(
    "replies, bad",
    [
        ((ANSWERED, ANSWERED), 0),
        (([], ANSWERED), 1),
        (([Use("nothing")], ANSWERED), 0),
        (([Use("stop")], ANSWERED), 0),
        (([Use("look")], "Found.", ANSWERED), 0),
        (([Use("look")], [], ANSWERED), 1),
    ],
)
async def test_a_realtime_model(
    trace: Trace, replies: tuple[Any, ...], bad: int, own: bool, heard: bool
) -> None:
    model = ScriptedRealtime(*replies, heard=["one", "two"] if heard else None, turn_detection=own)
    session: AgentSession[None] = AgentSession(llm=model, vad=None if own else ScriptedVAD())
    microphone, speaker = Microphone(), Speaker()
    session.input.audio, session.output.audio = microphone, speaker
    async with asyncio.timeout(60):
        await session.start(Desk())
        for _ in range(2):
            microphone.play([*silence(0.3), *sound(0.4), *silence(UP)])
            await microphone.heard()
        await session.aclose()
    call = outline(trace.calls[-1].spans)
    assert call["unanswered"] == bad
