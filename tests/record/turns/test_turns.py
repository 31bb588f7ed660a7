"""Turns that do not go straight: interrupted, prepared too early, stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import StopResponse, llm

from prefactor_agent import TracedAgent
from support.line import HandSTT, Line, until
from support.scripted import (
    Heard,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    Speaker,
    Wait,
    silence,
    sound,
)
from support.tree import Recorder, check, in_order, moments, of, outline

LONG = "This is a long answer. It has several sentences. Nobody listens to the last one."
EARLY = {"preemptive_generation": {"enabled": True}}


class Talker(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="talk")


SLOW = 0.05
"""Seconds a character."""


def slow_voice() -> ScriptedTTS:
    return ScriptedTTS(seconds_per_character=SLOW)


class Captioned(Speaker):
    """Knows which words were played, as LiveKit's room output does."""

    def on_playback_finished(self, *, playback_position: float, **told: Any) -> None:
        told["synchronized_transcript"] = LONG[: int(playback_position / SLOW)]
        super().on_playback_finished(playback_position=playback_position, **told)


def captioned(line: Line) -> Line:
    line.speaker = line.session.output.audio = Captioned()
    return line


async def test_the_program_that_interrupts_is_named(sink: Recorder) -> None:
    line = captioned(Line(thinks=ScriptedLLM(LONG), speaks=slow_voice()))
    async with line.to(Talker()):
        speech = line.session.generate_reply(instructions="talk")
        await until(lambda: line.speaker.position > 0.3)
        await line.session.interrupt()
        await speech
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    result = turn["result"]
    assert turn["status"] == "complete"
    assert result["interrupted"] is True
    assert result["interrupted_by"] == "program"
    assert result["generated_text"] == LONG
    assert 0 < len(result["spoken_text"]) < len(LONG)
    assert LONG.startswith(result["spoken_text"])
    (ended,) = line.speaker.finished
    assert result["playback_position_s"] == pytest.approx(ended.playback_position, abs=1e-5)
    assert 0.3 <= result["playback_position_s"] < len(LONG) * 0.05
    (segment,) = result["segments"]
    assert segment["interrupted"] is True
    in_order(turn, "created", "playback_started", "playback_finished")


async def test_the_voice_that_interrupts_is_named_with_how_long_both_were_heard(
    sink: Recorder,
) -> None:
    ears = HandSTT()
    line = Line(
        hears=ears,
        thinks=ScriptedLLM(LONG, "Sure."),
        speaks=slow_voice(),
        interruption={"mode": "vad", "min_duration": 0.2, "resume_false_interruption": False},
    )
    captioned(line)
    async with line.to(Talker()):
        line.session.generate_reply(instructions="talk")
        await until(lambda: line.speaker.position > 0.3)
        await line.says(0.6, then=0.1)
        ears.final("stop please")
        await line.says(0, before=0)
        await line.answers(2)
    assert [row for row in outline(sink) if "turn" in row or "stt" in row][1:] == [
        "  user_turn: stop please",
        "    stt: stop please",
        "  assistant_turn: Sure.",
    ]
    check(sink)
    cut, answer = of(sink, "assistant_turn")
    (user,) = of(sink, "user_turn")
    result = cut["result"]
    assert result["interrupted"] is True
    assert result["interrupted_by"] == "user"
    assert result["generated_text"] == LONG
    assert LONG.startswith(result["spoken_text"].rstrip())
    assert result["spoken_text"] != LONG
    first = line.speaker.finished[0]
    assert result["playback_position_s"] == pytest.approx(first.playback_position, abs=1e-5)
    assert moments(cut)["playback_finished"] >= moments(user)["speech_started"]
    assert answer["result"]["user_turn_id"] == user["id"]
    assert answer["result"]["interrupted"] is False
    assert answer["result"]["spoken_text"] == "Sure."
    told = of(sink, "llm")[1]["payload"]["inputs"]["messages"]
    said = [m["content"] for m in told if m["role"] == "assistant"]
    assert said == [result["spoken_text"]]


async def test_words_that_come_late_are_those_of_the_sound_before(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("Sure."))
    async with line.to(Talker()):
        await line.says(0.4, then=2.6)
        ears.final("are you open")
        await line.answers(1)
    check(sink)
    assert [row for row in outline(sink) if "turn" in row] == [
        "  user_turn: are you open",
        "  assistant_turn: Sure.",
    ]
    (user,) = of(sink, "user_turn")
    (stt,) = of(sink, "stt")
    in_order(user, "speech_started", "speech_ended", "vad_ended", "final_transcript", "committed")
    assert stt["parent_id"] == user["id"]
    (answer,) = of(sink, "assistant_turn")
    late = moments(user)["final_transcript"] - moments(user)["speech_ended"]
    assert late > 2_000_000
    assert answer["result"]["latency"]["perceived_ms"] > late / 1000


async def test_a_false_interruption_pauses_and_goes_on(sink: Recorder) -> None:
    text = "A sentence that goes on after a cough."
    line = Line(
        hears=HandSTT(),
        thinks=ScriptedLLM(text),
        speaks=slow_voice(),
        interruption={
            "mode": "vad",
            "min_duration": 0.2,
            "resume_false_interruption": True,
            "false_interruption_timeout": 0.3,
        },
    )
    async with line.to(Talker()):
        speech = line.session.generate_reply(instructions="talk")
        await until(lambda: line.speaker.position > 0.2)
        await line.says(0.4, then=0.8)
        await speech
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    result = turn["result"]
    assert result["interrupted"] is False
    assert result["spoken_text"] == text
    states = [pause["state"] for pause in result["pauses"]]
    assert states[0] == "paused"
    assert "resumed" in states
    times = [pause["at_us"] for pause in result["pauses"]]
    assert times == sorted(times)


class Discarding(Speaker):
    """Throws away what it has in its hands when it is paused, and counts it as played, as the
    room's output does in 1.5."""

    HELD = 0.25
    _audio_source = None

    def __init__(self) -> None:
        super().__init__()
        self.pauses = 0
        self.played: list[float] = []

    def pause(self) -> None:
        self.pauses += self._paused_with is None  # LiveKit asks for it again and again
        super().pause()

    def on_playback_finished(self, *, playback_position: float, **told: Any) -> None:
        self.played.append(playback_position)
        told["playback_position"] = playback_position + self.HELD * self.pauses
        super().on_playback_finished(**told)


@pytest.mark.parametrize("coughs", [0, 1])
async def test_what_was_thrown_away_at_a_pause_was_not_played(coughs: int, sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(
        hears=ears,
        thinks=ScriptedLLM(LONG, "Sure."),
        speaks=slow_voice(),
        interruption={
            "mode": "vad",
            "min_duration": 0.2,
            "resume_false_interruption": True,
            "false_interruption_timeout": 0.3,
        },
    )
    line.speaker = line.session.output.audio = speaker = Discarding()
    async with line.to(Talker()):
        line.session.generate_reply(instructions="talk")
        await until(lambda: speaker.position > 0.3)
        for _ in range(coughs):
            await line.says(0.4, then=1.2)
        await line.says(0.6, then=0.1)
        ears.final("stop please")
        await line.says(0, before=0)
        await line.answers(2)
    check(sink)
    result = of(sink, "assistant_turn")[0]["result"]
    assert [pause["state"] for pause in result["pauses"]].count("paused") == coughs + 1
    told, true = speaker.finished[0].playback_position, speaker.played[0]
    assert told == pytest.approx(true + (coughs + 1) * Discarding.HELD)
    assert result["playback_position_s"] == pytest.approx(true, abs=0.1)


@pytest.mark.parametrize("slow", [False, True])
async def test_a_preemptive_generation_that_is_used_says_so(slow: bool, sink: Recorder) -> None:
    reply = ["It is ", Wait(0.6 if slow else 0.0), "noon."]
    line = Line(
        hears=ScriptedSTT(Heard("what time is it"), pause=0.05),
        thinks=ScriptedLLM(reply),
        **EARLY,
        endpointing={"min_delay": 0.3, "max_delay": 0.5},
    )
    async with line.to(Talker()):
        await line.says(0.4)
        await line.answers()
    assert [row for row in outline(sink) if "tts" not in row] == [
        "session",
        "  user_turn: what time is it",
        "    stt: what time is it",
        "  assistant_turn: It is noon.",
        "    llm: It is noon.",
        "    transcription: It is noon.",
    ]
    check(sink)
    (user,), (turn,), (model,) = (of(sink, t) for t in ("user_turn", "assistant_turn", "llm"))
    assert turn["result"]["preemptive"] == "used"
    assert turn["result"]["user_turn_id"] == user["id"]
    assert turn["started_us"] < user["finished_us"]
    assert model["started_us"] < user["finished_us"]
    in_order(turn, "created", "user_committed", "playback_started")


async def test_a_preemptive_generation_that_is_dropped_says_so(sink: Recorder) -> None:
    class Changing(Talker):
        async def on_user_turn_completed(self, chat_ctx: Any, new_message: Any) -> None:
            chat_ctx.add_message(role="system", content="it is raining")

    line = Line(
        hears=ScriptedSTT(Heard("what time is it"), pause=0.05),
        thinks=ScriptedLLM(["early ", Wait(5), "never"], ["late"]),
        **EARLY,
        endpointing={"min_delay": 0.3, "max_delay": 0.5},
    )
    async with line.to(Changing()):
        await line.says(0.4)
        await line.answers()
    check(sink)
    dropped, used = of(sink, "assistant_turn")
    (user,) = of(sink, "user_turn")
    assert dropped["status"] == "cancelled"
    assert dropped["result"]["preemptive"] == "dropped"
    assert dropped["result"]["spoken_text"] == ""
    assert dropped["result"]["generated_text"] in ("early ", "")
    assert dropped["result"]["user_turn_id"] == user["id"]
    assert "latency" not in dropped["result"]
    assert used["status"] == "complete"
    assert used["result"]["spoken_text"] == "late"
    assert used["result"]["user_turn_id"] == user["id"]
    assert "preemptive" not in used["result"]
    early, late = of(sink, "llm")
    assert (early["parent_id"], late["parent_id"]) == (dropped["id"], used["id"])
    assert (early["status"], late["status"]) == ("cancelled", "complete")


async def test_a_later_transcript_drops_a_preemptive_generation(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(
        hears=ears,
        thinks=ScriptedLLM(["early ", Wait(5), "never"], ["late"]),
        **EARLY,
        endpointing={"min_delay": 0.3, "max_delay": 0.5},
    )
    async with line.to(Talker()):
        await line.says(0.3, then=0.1)
        ears.final("what time")
        await until(lambda: sink.of("livekit:llm"))
        await line.says(0.3, before=0, then=0.1)
        ears.final("is it")
        await line.says(0, before=0)
        await line.answers()
    check(sink)
    dropped, used = of(sink, "assistant_turn")
    (user,) = of(sink, "user_turn")
    assert user["result"]["transcript"] == "what time is it"
    assert dropped["result"]["preemptive"] == "dropped"
    assert used["result"]["preemptive"] == "used"
    assert used["result"]["user_turn_id"] == user["id"]
    assert [s["parent_id"] for s in of(sink, "stt")] == [user["id"]] * 2


async def test_a_turn_that_wants_no_reply_is_complete_without_one(sink: Recorder) -> None:
    class Quiet(Talker):
        async def on_user_turn_completed(self, chat_ctx: Any, new_message: llm.ChatMessage) -> None:
            await asyncio.sleep(0.05)
            raise StopResponse

    line = Line(hears=ScriptedSTT("just thinking"), thinks=ScriptedLLM())
    async with line.to(Quiet()):
        await line.says(0.4)
        await until(lambda: any(not s.open for s in sink.of("livekit:user_turn")))
        await asyncio.sleep(0.2)
    assert outline(sink) == [
        "session",
        "  user_turn: just thinking",
        "    stt: just thinking",
    ]
    check(sink)
    (user,), (root,) = of(sink, "user_turn"), of(sink, "session")
    in_order(user, "speech_started", "vad_ended", "committed", "hook_done")
    assert moments(user)["hook_done"] - moments(user)["committed"] >= 45_000
    (hook,) = [h for h in root["result"]["hooks"] if h["name"] == "on_user_turn_completed"]
    assert hook["duration_ms"] >= 45
    assert user["result"]["declined"] is True
    assert root["result"]["unanswered"] == {"turns": 0, "user_turn_ids": []}
    assert "tracer_failures" not in root["result"]


async def test_each_of_two_turns_has_its_own_answer(sink: Recorder) -> None:
    line = Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM("First.", "Second."))
    async with line.to(Talker()):
        for count in (1, 2):
            await line.says(0.3)
            await line.answers(count)
    assert [row for row in outline(sink) if "turn" in row or "stt" in row] == [
        "  user_turn: one",
        "    stt: one",
        "  assistant_turn: First.",
        "  user_turn: two",
        "    stt: two",
        "  assistant_turn: Second.",
    ]
    check(sink)
    users, answers = of(sink, "user_turn"), of(sink, "assistant_turn")
    assert [a["result"]["user_turn_id"] for a in answers] == [u["id"] for u in users]
    assert [t["payload"]["turn_index"] for t in (users[0], answers[0], users[1], answers[1])] == [
        1,
        2,
        3,
        4,
    ]
    for answer in answers:
        latency = answer["result"]["latency"]
        assert sum(stage["ms"] for stage in latency["stages"]) == pytest.approx(
            latency["perceived_ms"], abs=0.001
        )


async def test_a_user_who_goes_on_after_the_turn_was_taken_begins_another(sink: Recorder) -> None:
    """The pause was just long enough for that."""
    line = Line(hears=ScriptedSTT("One.", "Two."), thinks=ScriptedLLM("First.", "Second."))
    async with line.to(Talker()):
        line.microphone.play([*silence(0.3), *sound(0.4), *silence(0.4), *sound(0.4)])
        line.microphone.play(silence(0.6))
        await until(lambda: len(of(sink, "user_turn")) == 2)
        await line.microphone.heard()
        await line.answers(2)
    check(sink)
    first, second = of(sink, "user_turn")
    assert (first["result"]["transcript"], second["result"]["transcript"]) == ("One.", "Two.")
    assert second["started_us"] >= first["started_us"] + 350_000
    assert moments(second)["speech_started"] >= moments(first)["speech_ended"]
