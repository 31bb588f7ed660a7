"""Forms of ``tts_node``, ``transcription_node`` and ``stt_node``, and of the hooks."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, FlushSentinel, StopResponse, stt
from livekit.agents.voice import generation
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.io import TimedString

from support.scripted import Heard, Wait, sound

from .models import NotedTTS
from .same import assert_same, product
from .stage import Call, Stage

REPLY = ["One two three. ", Wait(0.1), "Four five six. ", Wait(0.1), "Seven."]
ASKED_AGAIN = "_tts_node_inference" in inspect.getsource(generation)
"""This version calls the tts node again and again until it has read its input."""


async def noted(s: Stage, name: str, stream: Any) -> AsyncIterator[Any]:
    try:
        async for item in stream:
            s.note(name, item)
            yield item
    except BaseException as error:
        s.note(f"{name} broken off", error)
        raise
    finally:
        s.note(f"{name} over")


def timed(text: str) -> TimedString:
    return TimedString(text, start_time=0.0, end_time=0.2)


class Iterable:
    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __aiter__(self) -> Any:
        return self._make()


# tts_node


def voice_through_super(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async for frame in super().tts_node(noted(s, "text", text), model_settings):
                s.note("frame", frame)
                yield frame

    return Mine(instructions="be")


def voice_handed_on(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        def tts_node(self, text: Any, model_settings: Any) -> Any:
            return super().tts_node(text, model_settings)

    return Mine(instructions="be")


def voice_through_default(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            return s.Agent.default.tts_node(self, text, model_settings)

    return Mine(instructions="be")


def voice_with_other_words(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async def louder() -> Any:
                async for part in text:
                    yield part.upper()

            async for frame in super().tts_node(louder(), model_settings):
                yield frame

    return Mine(instructions="be")


def voice_of_frames(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async for part in noted(s, "text", text):
                for frame in sound(0.02 * len(part)):
                    await asyncio.sleep(0.001)
                    yield frame

    return Mine(instructions="be")


def voice_with_timed_words(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async for part in text:
                (frame,) = sound(0.01)
                frame.userdata["lk.timed_transcripts"] = [timed(part)]
                frame.userdata["mine"] = 7
                yield frame

    return Mine(instructions="be", use_tts_aligned_transcript=True)


def voice_from_an_iterable(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        def tts_node(self, text: Any, model_settings: Any) -> Any:
            return Iterable(lambda: s.Agent.default.tts_node(self, text, model_settings))

    return Mine(instructions="be")


def voice_that_reads_ahead(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            whole = "".join([part async for part in text])
            for frame in sound(0.005 * len(whole)):
                yield frame

    return Mine(instructions="be")


def voice_that_stops_listening(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async for part in text:
                s.note("first", part)
                break
            for frame in sound(0.1):
                yield frame
            async for part in text:
                s.note("afterwards", part)

    return Mine(instructions="be")


def no_voice(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async for part in text:
                s.note("unspoken", part)

    return Mine(instructions="be")


def voice_that_fails(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async for _ in text:
                for frame in sound(0.05):
                    yield frame
                raise ValueError("hoarse")

    return Mine(instructions="be")


VOICES = [
    voice_through_super,
    voice_handed_on,
    voice_through_default,
    voice_with_other_words,
    voice_of_frames,
    voice_with_timed_words,
    voice_from_an_iterable,
    voice_that_reads_ahead,
    voice_that_stops_listening,
    no_voice,
    voice_that_fails,
]
if ASKED_AGAIN:
    VOICES.remove(voice_that_stops_listening)  # would be asked for ever, by either agent


# transcription_node


def text_through_super(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            async for part in super().transcription_node(noted(s, "in", text), model_settings):
                yield part

    return Mine(instructions="be")


def text_changed(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            async for part in text:
                yield part.replace("e", "E")

    return Mine(instructions="be")


def text_handed_back(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        def transcription_node(self, text: Any, model_settings: Any) -> Any:
            return text

    return Mine(instructions="be")


def text_timed(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            async for part in text:
                yield timed(part)

    return Mine(instructions="be")


def text_from_an_iterable(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            return Iterable(lambda: noted(s, "out", text))

    return Mine(instructions="be")


def no_text(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            s.note("asked", text)

    return Mine(instructions="be")


def text_that_fails(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            async for part in text:
                yield part
                raise ValueError("illegible")

    return Mine(instructions="be")


TEXTS = [
    text_through_super,
    text_changed,
    text_handed_back,
    text_timed,
    text_from_an_iterable,
    no_text,
    text_that_fails,
]


async def answers(call: Call) -> None:
    await call.types()


async def is_interrupted(call: Call) -> None:
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.4)
    await call.session.interrupt()
    await speech


async def says_what_it_is_told(call: Call) -> None:
    await call.session.say("Exactly this. And that.")


@product([*VOICES, *TEXTS], [answers, is_interrupted, says_what_it_is_told])
def test_a_node_of_the_output(form: Any, script: Any) -> None:
    async def case(s: Stage) -> None:
        slow = NotedTTS(seconds_per_character=0.05)
        await script(await s.call(form(s), REPLY, speaks=slow))

    assert_same(case)


# stt_node


def ears_through_super(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            heard = super().stt_node(noted(s, "audio", audio), model_settings)
            async for event in noted(s, "heard", heard):
                yield event

    return Mine(instructions="be")


def ears_handed_on(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        def stt_node(self, audio: Any, model_settings: Any) -> Any:
            return s.Agent.default.stt_node(self, audio, model_settings)

    return Mine(instructions="be")


def ears_that_correct(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            async for event in super().stt_node(audio, model_settings):
                for alternative in event.alternatives:
                    alternative.text = alternative.text.title()
                yield event

    return Mine(instructions="be")


def ears_of_their_own(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            kind = stt.SpeechEventType.FINAL_TRANSCRIPT
            count = 0
            async for _ in audio:
                count += 1
                if count == 50:
                    said = stt.SpeechData(language="en", text="fifty frames")  # type: ignore[arg-type]
                    yield stt.SpeechEvent(type=kind, alternatives=[said])

    return Mine(instructions="be")


def ears_from_an_iterable(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            return Iterable(lambda: s.Agent.default.stt_node(self, audio, model_settings))

    return Mine(instructions="be")


def no_ears(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            return None

    return Mine(instructions="be")


def ears_that_miss_the_beginning(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            async for frame in audio:
                s.note("missed", frame)
                break
            async for event in super().stt_node(audio, model_settings):
                yield event

    return Mine(instructions="be")


EARS = [
    ears_through_super,
    ears_handed_on,
    ears_that_correct,
    ears_of_their_own,
    ears_from_an_iterable,
    no_ears,
    ears_that_miss_the_beginning,
]


async def hears_a_sentence(call: Call) -> None:
    await call.says()
    await asyncio.sleep(1)


async def hears_two(call: Call) -> None:
    await call.says(0.2, then=0.15)
    await call.says(0.3, then=0.5)
    await asyncio.sleep(1)


async def commits_by_hand(call: Call) -> None:
    call.session.input.set_audio_enabled(False)
    call.session.input.set_audio_enabled(True)
    await call.says()
    call.session.commit_user_turn()
    await asyncio.sleep(1)


@product(EARS, [hears_a_sentence, hears_two, commits_by_hand])
def test_the_stt_node_goes_the_same_with_and_without_tracing(form: Any, script: Any) -> None:
    async def case(s: Stage) -> None:
        hears = (Heard("one two", ("one", "one to")), "three", "four")
        turns = {"turn_detection": "manual"} if script is commits_by_hand else {}
        await script(await s.call(form(s), REPLY, REPLY, REPLY, hears=hears, turns=turns))

    assert_same(case)


@pytest.mark.parametrize("retries", [0, 2])
def test_an_stt_that_fails(retries: int) -> None:
    async def case(s: Stage) -> None:
        hears = (APIConnectionError("gone"), "back again")
        again = APIConnectOptions(max_retry=retries, retry_interval=0.1)
        options = SessionConnectOptions(stt_conn_options=again)
        call = await s.call(ears_through_super(s), REPLY, hears=hears, conn_options=options)
        await call.says()
        await call.says()
        await asyncio.sleep(3)

    assert_same(case)


# Hooks


def entering(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            s.note("entered", self.session.agent_state)
            await self.session.say("Welcome.")
            self.session.generate_reply(instructions="greet")

        async def on_exit(self) -> None:
            s.note("left")
            await self.session.say("Goodbye.")

    return Mine(instructions="be")


def failing_to_enter(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_enter(self) -> None:
            raise ValueError("not today")

    return Mine(instructions="be")


def staying_silent(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            s.note("completed", turn_ctx, new_message)
            raise StopResponse

    return Mine(instructions="be")


def changing_the_message(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            await asyncio.sleep(0.2)
            turn_ctx.add_message(role="system", content="looked up")
            new_message.content = ["something else"]

    return Mine(instructions="be")


def failing_on_a_turn(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            raise ValueError("too much")

    return Mine(instructions="be")


HOOKS = [entering, failing_to_enter, staying_silent, changing_the_message, failing_on_a_turn]


@pytest.mark.parametrize("preemptive", [False, True], ids=["in turn", "preemptive"])
@pytest.mark.parametrize("form", HOOKS, ids=lambda form: form.__name__)
def test_a_hook_goes_the_same_with_and_without_tracing(form: Any, preemptive: bool) -> None:
    async def case(s: Stage) -> None:
        turns = {"preemptive_generation": {"enabled": preemptive}}
        call = await s.call(form(s), REPLY, REPLY, REPLY, hears=("hello",), turns=turns)
        await asyncio.sleep(2)
        await call.says()
        await asyncio.sleep(2)

    assert_same(case)


def test_an_agent_with_a_session_of_its_own() -> None:
    async def case(s: Stage) -> None:
        class Mine(s.Agent):  # type: ignore[misc, name-defined]
            @property
            def session(self) -> str:
                return "of the database"

        await (await s.call(Mine(instructions="be"), REPLY)).types()

    assert_same(case)


def test_flush_marks_reach_the_voice() -> None:
    async def case(s: Stage) -> None:
        class Mine(s.Agent):  # type: ignore[misc, name-defined]
            async def llm_node(self, *args: Any) -> Any:
                yield "Before "
                yield FlushSentinel()
                await asyncio.sleep(0.2)
                yield "and after."

        await (await s.call(Mine(instructions="be"))).types()

    assert_same(case)
