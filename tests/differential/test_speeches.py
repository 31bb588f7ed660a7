"""What a program can do with a session: have it speak, interrupt it, take turns in every way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, llm
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.io import TimedString

from support.scripted import Heard, Use, Wait, sound

from .models import NotedLLM, NotedTTS
from .same import assert_same, rows
from .stage import Call, Stage

LONG = ["One two three. ", Wait(0.2), "Four five six. ", Wait(0.2), "Seven."]


async def started(s: Stage, *replies: Any, **options: Any) -> Call:
    agent = type("Mine", (s.Agent,), {})(instructions="be")
    return await s.call(agent, *replies, **options)


def slowly() -> NotedTTS:
    return NotedTTS(seconds_per_character=0.05)


async def spelled(*parts: str) -> AsyncIterator[str]:
    for part in parts:
        await asyncio.sleep(0.1)
        yield part


async def frames(seconds: float) -> AsyncIterator[rtc.AudioFrame]:
    for frame in sound(seconds):
        yield frame


# say


async def say_text(s: Stage) -> None:
    call = await started(s)
    s.note("handle", await call.session.say("Good day. And good night."))


async def say_a_generator(s: Stage) -> None:
    call = await started(s)
    await call.session.say(spelled("Good day. ", "And good night."))


async def say_timed_words(s: Stage) -> None:
    async def words() -> AsyncIterator[str]:
        yield TimedString("Good ", start_time=0.0, end_time=0.1)
        yield TimedString("day.", start_time=0.1, end_time=0.2)

    call = await started(s)
    await call.session.say(words(), add_to_chat_ctx=False)


async def say_ready_audio(s: Stage) -> None:
    call = await started(s)
    await call.session.say("Good day.", audio=frames(0.5))


async def say_without_a_voice(s: Stage) -> None:
    call = await started(s, tts=None)
    with s.noting():
        call.session.say("Good day.")


async def say_a_generator_that_fails(s: Stage) -> None:
    async def failing() -> AsyncIterator[str]:
        yield "Good day. "
        raise ValueError("no more")

    call = await started(s)
    with s.noting():
        async with asyncio.timeout(2):
            await call.session.say(failing())
    await call.session.interrupt(force=True)


async def several_in_a_row(s: Stage) -> None:
    call = await started(s, "generated")
    first = call.session.say("First.")
    second = call.session.generate_reply(user_input="second?")
    third = call.session.say("Third.")
    second.interrupt()
    for speech in (third, second, first):
        await speech
    assert [text for role, text in call.texts() if role == "assistant"][:1] == ["First."]


async def say_and_wait(s: Stage) -> None:
    call = await started(s, speaks=slowly())
    speech = call.session.say("A long good day.")
    speech.add_done_callback(lambda handle: s.note("done", handle))
    with s.noting():
        async with asyncio.timeout(0.2):
            await speech.wait_for_playout()
    await speech.wait_for_playout()


# Interruptions


async def interrupted_saying(s: Stage) -> None:
    call = await started(s, speaks=slowly())
    speech = call.session.say("A long good day.")
    await asyncio.sleep(0.3)
    await call.session.interrupt()
    s.note("handle", await speech)


async def not_to_be_interrupted(s: Stage) -> None:
    call = await started(s, "yes?", hears=("hey",), speaks=slowly())
    speech = call.session.say("A long good day.", allow_interruptions=False)
    await asyncio.sleep(0.1)
    with s.noting():
        speech.interrupt()
    await call.says(0.7)
    await speech
    await asyncio.sleep(2)


async def interrupted_by_force(s: Stage) -> None:
    call = await started(s, speaks=slowly())
    speech = call.session.say("A long good day.", allow_interruptions=False)
    await asyncio.sleep(0.1)
    speech.interrupt(force=True)
    await speech


async def interrupted_before_it_is_heard(s: Stage) -> None:
    call = await started(s, LONG)
    speech = call.session.generate_reply(user_input="hello")
    speech.interrupt()
    await speech


async def interrupted_while_the_model_thinks(s: Stage) -> None:
    call = await started(s, [Wait(1), "late"])
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.5)
    await call.session.interrupt()
    await speech


async def interrupted_while_the_voice_begins(s: Stage) -> None:
    call = await started(s, "words.", speaks=NotedTTS(first_byte=1.0))
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.5)
    await call.session.interrupt()
    await speech


async def talked_over(s: Stage) -> None:
    call = await started(s, LONG, "Yes?", hears=("wait",), speaks=slowly())
    call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.4)
    await call.says(0.8)
    await asyncio.sleep(3)


async def a_false_interruption(s: Stage) -> None:
    interruption = {
        "min_duration": 0.1,
        "resume_false_interruption": True,
        "false_interruption_timeout": 0.5,
    }
    turns = {"interruption": interruption}
    call = await started(s, LONG, "Yes?", speaks=slowly(), turns=turns)
    call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.4)
    await call.says(0.2)
    await asyncio.sleep(5)


async def interruptions_switched_off(s: Stage) -> None:
    turns = {"interruption": {"enabled": False}}
    call = await started(s, LONG, "Yes?", hears=("wait",), speaks=slowly(), turns=turns)
    call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.4)
    await call.says(0.8)
    await asyncio.sleep(3)


async def the_waiting_task_is_cancelled(s: Stage) -> None:
    call = await started(s, LONG)

    async def wait() -> None:
        await call.session.generate_reply(user_input="hello")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.1)
    task.cancel()
    with s.noting():
        await task
    await asyncio.sleep(2)


# generate_reply


async def replies_in_every_way(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        return "seen"

    agent = type("Mine", (s.Agent,), {})(instructions="be", tools=[look])
    call = await s.call(agent, "one", "two", [Use("look")], "three", "four")
    await call.session.generate_reply()
    await call.session.generate_reply(instructions="be brief", tool_choice="none")
    await call.session.generate_reply(user_input="look", tool_choice="required")
    message = llm.ChatMessage(role="user", content=["a message"])
    await call.session.generate_reply(user_input=message, allow_interruptions=False)


async def reply_with_an_image(s: Stage) -> None:
    call = await started(s, "a picture")
    image = llm.ImageContent(image="data:image/png;base64,iVBORw0KGgo=")
    message = llm.ChatMessage(role="user", content=["look", image])
    await call.session.generate_reply(user_input=message)


async def a_run_of_text(s: Stage) -> None:
    call = await started(s, "one", "two", audio=False)
    for text in ("first", "second"):
        result = await call.session.run(user_input=text)
        s.note("run", *result.events)


async def no_model(s: Stage) -> None:
    call = await started(s, llm=None)
    with s.noting():
        await call.session.generate_reply(user_input="hello")


# Failing models


def retrying(count: int) -> SessionConnectOptions:
    options = APIConnectOptions(max_retry=count, retry_interval=0.1)
    return SessionConnectOptions(
        stt_conn_options=options, llm_conn_options=options, tts_conn_options=options
    )


async def the_model_fails_once(s: Stage) -> None:
    replies = ([APIConnectionError("gone")], "back")
    call = await started(s, *replies, conn_options=retrying(2))
    await call.types()


async def the_model_fails_midway(s: Stage) -> None:
    replies = (["Words. ", APIConnectionError("gone")], "never")
    call = await started(s, *replies, conn_options=retrying(2))
    await call.types()


async def the_model_stays_away(s: Stage) -> None:
    call = await started(s, *([APIConnectionError("gone")] for _ in range(8)))
    for _ in range(5):
        with s.noting():
            await call.types()


async def the_voice_fails_once(s: Stage) -> None:
    voice = NotedTTS(APIConnectionError("hoarse"))
    call = await started(s, "words.", speaks=voice, conn_options=retrying(2))
    await call.types()


async def the_voice_stays_away(s: Stage) -> None:
    voice = NotedTTS(*(APIConnectionError("hoarse") for _ in range(3)))
    call = await started(s, "words.", speaks=voice, conn_options=retrying(1))
    await call.types()
    await asyncio.sleep(1)


async def another_model_steps_in(s: Stage) -> None:
    first, second = NotedLLM([APIConnectionError("gone")]), NotedLLM("from the other")
    first.note = second.note = s.note
    both = llm.FallbackAdapter([first, second], attempt_timeout=1.0, max_retry_per_llm=0)
    call = await started(s, llm=both)
    await call.types()
    await both.aclose()


async def a_handler_raises(s: Stage) -> None:
    call = await started(s, "words.")

    def failing(event: Any) -> None:
        raise ValueError("in a handler")

    call.session.on("conversation_item_added", failing)
    await call.types()


# Turns


async def a_spoken_turn(s: Stage) -> None:
    heard = Heard("one two", ("one", "one to"), delay=0.2)
    call = await started(s, LONG, hears=(heard,))
    await call.says()
    await asyncio.sleep(3)


async def an_answer_begun_early(s: Stage) -> None:
    turns = {"preemptive_generation": {"enabled": True}, "endpointing": {"min_delay": 0.5}}
    call = await started(s, "used.", hears=("one",), turns=turns)
    await call.says(then=1.5)
    await asyncio.sleep(1)


async def an_answer_begun_too_early(s: Stage) -> None:
    turns = {"preemptive_generation": {"enabled": True}, "endpointing": {"min_delay": 0.5}}
    call = await started(s, "dropped.", "used.", hears=("one", "two"), turns=turns)
    await call.says(then=0.3)
    await call.says(then=1.5)
    await asyncio.sleep(1)


async def turns_that_the_stt_ends(s: Stage) -> None:
    turns = {"turn_detection": "stt"}
    call = await started(s, "answer.", "again.", hears=("one", "two"), turns=turns, vad=None)
    await call.says()
    await asyncio.sleep(1)
    await call.says()
    await asyncio.sleep(2)


async def turns_ended_by_hand(s: Stage) -> None:
    turns = {"turn_detection": "manual"}
    call = await started(s, "answer.", hears=("one", "two", "three"), turns=turns)
    await call.says()
    call.session.clear_user_turn()
    await call.says()
    s.note("committed", call.session.commit_user_turn(stt_flush_duration=0.5))
    await asyncio.sleep(3)


async def deaf_for_a_while(s: Stage) -> None:
    call = await started(s, "answer.", "again.", hears=("one", "two"))
    call.session.input.set_audio_enabled(False)
    await call.says()
    call.session.input.set_audio_enabled(True)
    await asyncio.sleep(1)
    await call.says()
    await asyncio.sleep(2)


async def mute_for_a_while(s: Stage) -> None:
    call = await started(s, "unheard.", "heard.")
    call.session.output.set_audio_enabled(False)
    await call.types()
    call.session.output.set_audio_enabled(True)
    await call.types()


async def a_user_who_goes_away(s: Stage) -> None:
    call = await started(s, "answer.", hears=("one",), user_away_timeout=2.0)
    await call.says()
    await asyncio.sleep(5)
    await call.says()
    await asyncio.sleep(1)


# Ends


async def closed_while_it_speaks(s: Stage) -> None:
    call = await started(s, LONG, speaks=slowly())
    call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.5)


async def shut_down_while_it_speaks(s: Stage) -> None:
    call = await started(s, LONG, speaks=slowly())
    call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.3)
    call.session.shutdown(drain=True)
    await asyncio.sleep(5)


async def closed_and_used_again(s: Stage) -> None:
    agent = type("Mine", (s.Agent,), {})(instructions="be")
    call = await s.call(agent, "one")
    await call.types()
    await call.session.aclose()
    with s.noting():
        call.session.say("too late")
    again = await s.call(agent, "two")
    await again.types()


async def two_calls_at_once(s: Stage) -> None:
    one, other = await started(s, LONG), await started(s, "short.")
    await asyncio.gather(one.types("a"), other.types("b"))


CASES = [
    say_text,
    say_a_generator,
    say_timed_words,
    say_ready_audio,
    say_without_a_voice,
    say_a_generator_that_fails,
    several_in_a_row,
    say_and_wait,
    interrupted_saying,
    not_to_be_interrupted,
    interrupted_by_force,
    interrupted_before_it_is_heard,
    interrupted_while_the_model_thinks,
    interrupted_while_the_voice_begins,
    talked_over,
    a_false_interruption,
    interruptions_switched_off,
    the_waiting_task_is_cancelled,
    replies_in_every_way,
    reply_with_an_image,
    a_run_of_text,
    no_model,
    the_model_fails_once,
    the_model_fails_midway,
    the_model_stays_away,
    the_voice_fails_once,
    the_voice_stays_away,
    another_model_steps_in,
    a_handler_raises,
    a_spoken_turn,
    an_answer_begun_early,
    an_answer_begun_too_early,
    turns_that_the_stt_ends,
    turns_ended_by_hand,
    deaf_for_a_while,
    mute_for_a_while,
    a_user_who_goes_away,
    closed_while_it_speaks,
    shut_down_while_it_speaks,
    closed_and_used_again,
    two_calls_at_once,
]


@rows(*CASES)
def test_a_speech_goes_the_same_with_and_without_tracing(case: Any) -> None:
    assert_same(case)
