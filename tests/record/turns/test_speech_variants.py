"""Every way in which a speech is made, a turn is taken, and either is stopped."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession, AudioConfig, BackgroundAudioPlayer, RunContext

import prefactor_agent
from prefactor_agent import TracedAgent, traced_tool
from support.job import Job
from support.line import HandSTT, Line, until
from support.scripted import (
    Microphone,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    Speaker,
    Use,
    silence,
    sound,
)
from support.tree import JSON, Recorder, check, in_order, moments, of, outline

LONG = "A long sentence that takes its time."


class Talker(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="talk")

    @traced_tool
    async def price(self, item: str) -> str:
        """What an item costs."""
        return f"{item}: 3"


def turn_rows(sink: Recorder) -> list[str]:
    return [row for row in outline(sink) if "turn" in row]


async def recording(seconds: float) -> AsyncIterator[rtc.AudioFrame]:
    for frame in itertools.chain(silence(0.1), sound(seconds)):
        yield frame


# What the agent says


@pytest.mark.parametrize("voice", [True, False])
async def test_a_recording_is_a_turn_with_or_without_a_voice(voice: bool, sink: Recorder) -> None:
    """Ready audio goes past the voice; a session without any voice can play it too."""
    options: JSON = {"tts": ScriptedTTS()} if voice else {}
    session: AgentSession[None] = AgentSession(**options)
    session.output.audio = speaker = Speaker(speed=4)
    await session.start(Talker())
    await session.say("Please hold the line.", audio=recording(0.4))
    await session.aclose()
    assert outline(sink)[1:] == [
        "  assistant_turn: Please hold the line.",
        "    transcription: Please hold the line.",
    ]
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    seconds = sum(frame.duration for frame in speaker.frames)
    assert seconds == pytest.approx(0.5)
    assert turn["result"]["playback_position_s"] == pytest.approx(0.5, abs=0.001)
    assert turn["result"]["generated_text"] == "Please hold the line."


@pytest.mark.parametrize("spoken", [True, False])
async def test_what_is_said_and_not_kept_in_the_history_has_its_words(
    spoken: bool, sink: Recorder
) -> None:
    """LiveKit commits no message then: what was played to its end was said all the same."""
    session: AgentSession[None] = AgentSession(tts=ScriptedTTS(seconds_per_character=0.005))
    session.output.audio = Speaker(speed=4) if spoken else None
    await session.start(Talker())
    await session.say("One moment.", add_to_chat_ctx=False)
    await session.aclose()
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    assert turn["result"]["spoken_text"] == "One moment."
    assert turn["result"]["outputs"] == {"text": "One moment."}
    assert session.history.messages() == []


async def test_the_choice_of_tools_of_one_reply_is_recorded(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("price", {"item": "tea"})], "Three.", "Hello.")
    )
    await session.start(Talker())
    await session.generate_reply(user_input="tea?", tool_choice="required")
    await session.generate_reply(instructions="greet", tool_choice="none")
    await session.aclose()
    check(sink)
    first, second, third = (span["payload"]["inputs"] for span in of(sink, "llm"))
    assert first["tool_choice"] == "required"
    assert second.get("tool_choice") != "required"  # of the first step only
    assert third["tool_choice"] == "none"


async def test_a_reply_ends_after_the_most_steps_that_tools_may_take(sink: Recorder) -> None:
    model = ScriptedLLM(*([Use("price", {"item": item})] for item in ("tea", "jam")), "Enough.")
    session: AgentSession[None] = AgentSession(llm=model, max_tool_steps=1)
    await session.start(Talker())
    await session.run(user_input="prices?")
    await session.aclose()
    check(sink)
    calls = of(sink, "llm")
    assert [tool["payload"]["inputs"]["item"] for tool in of(sink, "tool:price")] == ["tea", "jam"]
    assert [one["payload"]["inputs"].get("tool_choice") for one in calls][-1] == "none"
    (turn,) = of(sink, "assistant_turn")
    assert (turn["result"]["spoken_text"], turn["result"]["tool_calls"]) == ("Enough.", 2)


async def test_a_tool_may_wait_until_its_words_were_heard(sink: Recorder) -> None:
    class Patient(Talker):
        @traced_tool
        async def hang_up(self, context: RunContext[None]) -> str:
            """Says goodbye first."""
            speech = context.session.say("Goodbye.")
            await speech.wait_for_playout()
            return "done"

    line = Line(thinks=ScriptedLLM([Use("hang_up")], "Bye."))
    async with line.to(Patient()):
        await line.session.generate_reply(user_input="I have to go").wait_for_playout()
    check(sink)
    (tool,) = of(sink, "tool:hang_up")
    answer, goodbye = of(sink, "assistant_turn")
    assert goodbye["result"]["spoken_text"] == "Goodbye."
    assert tool["started_us"] <= goodbye["started_us"]
    assert goodbye["finished_us"] <= tool["finished_us"] <= answer["finished_us"]


# What stops it


@pytest.mark.parametrize("force", [True, False])
async def test_a_speech_that_nobody_may_interrupt_is_stopped_by_force_only(
    force: bool, sink: Recorder
) -> None:
    line = Line(
        hears=ScriptedSTT("stop it"),
        thinks=ScriptedLLM("Well."),
        speaks=ScriptedTTS(seconds_per_character=0.04),
        interruption={"mode": "vad", "min_duration": 0.1},
    )
    async with line.to(Talker()):
        speech = line.session.say(LONG, allow_interruptions=False)
        await until(lambda: line.speaker.position > 0.1)
        await line.says(0.4)
        with pytest.raises(RuntimeError):
            speech.interrupt()
        if force:
            await line.session.interrupt(force=True)
        await speech
    check(sink)
    turn = of(sink, "assistant_turn")[0]
    result = turn["result"]
    assert turn["payload"]["allow_interruptions"] is False
    assert result["generated_text"] == LONG
    assert result["interrupted"] is force
    if force:
        assert result["interrupted_by"] == "program"
        assert result["playback_position_s"] < len(LONG) * 0.04
        assert result["segments"][0]["interrupted"] is True
    else:
        assert "interrupted_by" not in result
        assert result["spoken_text"] == LONG
        assert result["playback_position_s"] == pytest.approx(len(LONG) * 0.04 + 0.0, abs=0.2)


async def test_a_speech_that_was_stopped_before_a_word_is_cancelled(sink: Recorder) -> None:
    line = Line(thinks=ScriptedLLM(LONG), speaks=ScriptedTTS(first_byte=5))
    async with line.to(Talker()):
        speech = line.session.generate_reply(instructions="talk")
        await until(lambda: sink.of("livekit:tts"))
        await asyncio.sleep(0.1)
        speech.interrupt()
        await speech
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    result = turn["result"]
    assert turn["status"] == "cancelled"
    assert (result["interrupted_by"], result["spoken_text"]) == ("program", "")
    assert result["generated_text"] == LONG
    assert not {"playback_position_s", "segments"} & set(result)


# Who takes the user's turn


async def test_the_stt_may_take_the_turn(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("Noon."), turn_detection="stt")
    async with line.to(Talker()):
        line.microphone.play([*silence(0.2), *sound(0.4), *silence(1.0)])
        await asyncio.sleep(0.3)
        ears.starts()
        await asyncio.sleep(0.4)
        ears.final("what time is it")
        ears.ends()
        await line.answers()
    assert turn_rows(sink) == ["  user_turn: what time is it", "  assistant_turn: Noon."]
    check(sink)
    (user,), (answer,) = of(sink, "user_turn"), of(sink, "assistant_turn")
    in_order(user, "speech_started", "speech_ended", "final_transcript", "committed")
    assert answer["result"]["user_turn_id"] == user["id"]
    assert answer["result"]["latency"]["basis"] == {"from": "audio", "to": "audio"}


async def test_the_program_may_take_the_turn(sink: Recorder) -> None:
    """As with a button: nothing is taken before the program says so."""
    line = Line(
        hears=ScriptedSTT("what time", "is it"),
        thinks=ScriptedLLM("Noon."),
        turn_detection="manual",
    )
    async with line.to(Talker()):
        await line.says(0.3)
        await line.says(0.3)
        await asyncio.sleep(0.3)
        assert not sink.of("livekit:assistant_turn")
        line.session.commit_user_turn(transcript_timeout=0.1, stt_flush_duration=0.1)
        await line.answers()
    assert turn_rows(sink) == ["  user_turn: what time is it", "  assistant_turn: Noon."]
    check(sink)
    (user,) = of(sink, "user_turn")
    assert [utterance["parent_id"] for utterance in of(sink, "stt")] == [user["id"]] * 2


async def test_words_that_the_program_clears_are_no_part_of_the_next_turn(sink: Recorder) -> None:
    """What was cleared is no part of the turn's words; the utterance was heard all the same."""
    line = Line(
        hears=ScriptedSTT("never mind", "what time is it"),
        thinks=ScriptedLLM("Noon."),
        turn_detection="manual",
    )
    async with line.to(Talker()):
        await line.says(0.3)
        await asyncio.sleep(0.1)
        line.session.clear_user_turn()
        await line.says(0.3)
        await asyncio.sleep(0.1)
        line.session.commit_user_turn(transcript_timeout=0.1, stt_flush_duration=0.1)
        await line.answers()
    check(sink)
    assert turn_rows(sink)[-2:] == ["  user_turn: what time is it", "  assistant_turn: Noon."]
    said = [utterance["result"]["transcript"] for utterance in of(sink, "stt")]
    assert said == ["never mind", "what time is it"]
    (answer,) = of(sink, "assistant_turn")
    assert answer["result"]["user_turn_id"] == of(sink, "user_turn")[-1]["id"]


async def test_a_user_who_is_away_is_in_no_turn(sink: Recorder) -> None:
    prefactor_agent.configure(states=True)
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(), stt=ScriptedSTT(), user_away_timeout=0.2
    )
    session.input.audio = Microphone()
    await session.start(Talker())
    await asyncio.sleep(0.5)
    await session.aclose()
    check(sink)
    assert turn_rows(sink) == []
    gone = [span for span in of(sink, "state") if span["payload"]["new_state"] == "away"]
    assert [span["payload"]["actor"] for span in gone] == ["user"]


async def test_sound_in_the_background_is_no_speech(sink: Recorder) -> None:
    """Another source that plays all the time is no speech of the agent's, and ends no turn."""

    async def rain() -> AsyncIterator[rtc.AudioFrame]:
        while True:
            for frame in sound(0.1, rate=48_000):
                yield frame
            await asyncio.sleep(0.05)

    async def published(*_arguments: Any) -> Any:
        return SimpleNamespace(sid="TR_background")

    job = Job(fake=True)
    job.room.local_participant.publish_track = published  # type: ignore[method-assign]
    job.room.local_participant.unpublish_track = published  # type: ignore[method-assign]
    line = Line(hears=ScriptedSTT("what time is it"), thinks=ScriptedLLM("Noon."))
    background = BackgroundAudioPlayer(
        ambient_sound=AudioConfig(rain(), volume=0.5), thinking_sound=AudioConfig(rain())
    )
    with job.running():
        async with line.to(Talker()):
            await background.start(room=job.room, agent_session=line.session)
            await line.says(0.3)
            await line.answers()
            await background.aclose()
    assert turn_rows(sink) == ["  user_turn: what time is it", "  assistant_turn: Noon."]
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    assert len(turn["result"]["segments"]) == 1
    assert moments(turn)["playback_started"] <= moments(turn)["playback_finished"]
