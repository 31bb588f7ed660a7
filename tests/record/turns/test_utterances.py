"""What was heard: the STT node's one stream, cut into utterances under their turns."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError

from prefactor_agent import TracedAgent
from support.line import HandSTT, Line, until
from support.scripted import Heard, ScriptedLLM, ScriptedSTT
from support.tree import JSON, Recorder, check, in_order, moments, of, outline

LOUD = -12
"""A square wave of 8000 is -12.2 dBFS."""


class Listener(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="listen")


def heard_at(sink: Recorder, node: JSON) -> list[tuple[int, int]]:
    """Each frame of an utterance: when, in the call, and how loud."""
    (root,) = of(sink, "session")
    audio = node["chunks"]["audio"]
    begun = node["started_us"] - root["started_us"]
    return [
        (begun + at, level) for at, level in zip(audio["offset_us"], audio["dbfs"], strict=True)
    ]


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_spoken_turn_has_one_span_of_the_stt(streaming: bool, sink: Recorder) -> None:
    heard = Heard("what time is it", ["what", "what time"] if streaming else [])
    line = Line(hears=ScriptedSTT(heard, streaming=streaming), thinks=ScriptedLLM("Noon."))
    async with line.to(Listener()):
        await line.says(0.5)
        await line.answers()
    assert outline(sink) == [
        "session",
        "  user_turn: what time is it",
        "    stt: what time is it",
        "  assistant_turn: Noon.",
        "    llm: Noon.",
        "    transcription: Noon.",
        "    tts: Noon.",
    ]
    check(sink)
    (user,), (stt,), (answer,) = (of(sink, t) for t in ("user_turn", "stt", "assistant_turn"))
    assert user["result"]["transcript"] == "what time is it"
    assert user["result"]["interim_revisions"] == (2 if streaming else 0)
    assert user["result"]["language"] == "en"
    assert answer["result"]["user_turn_id"] == user["id"]
    in_order(
        user,
        "speech_started",
        "vad_started",
        "speech_ended",
        "vad_ended",
        "committed",
        "hook_done",
    )
    in_order(user, "speech_started", "final_transcript", "committed")
    in_order(answer, "user_committed", "created", "playback_started", "playback_finished")

    # The utterance begins with the first frame that can be heard, and holds the loudness since.
    seen = moments(user)
    assert user["started_us"] == stt["started_us"]
    frames = heard_at(sink, stt)
    begun, ended = seen["speech_started"], seen["speech_ended"]
    assert frames[0][0] == pytest.approx(begun, abs=11_000)
    sounding = [at for at, level in frames if level > -60]
    assert sounding[0] == frames[0][0]
    assert len(sounding) == 50
    assert ended - begun == pytest.approx(500_000, abs=11_000)
    assert all(level == LOUD for at, level in frames if begun <= at < ended - 10_000)
    assert all(level <= -90 for at, level in frames if at > ended + 10_000)
    assert stt["result"]["audio_seconds"] == pytest.approx(len(frames) * 0.01, abs=0.001)
    assert stt["result"]["audio_seconds"] >= 0.5
    assert stt["result"]["finalization_delay_ms"] >= 0
    assert stt["payload"]["model_name"] == "scripted-stt" or not streaming
    assert len(stt["chunks"]["events"]["offset_us"]) >= (4 if streaming else 1)


async def test_an_utterance_keeps_its_interims_and_both_its_finals(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("Fine."), turn_detection="stt")
    async with line.to(Listener()):
        await line.says(0.3, then=0)
        ears.starts()
        ears.interim("I")
        ears.interim("I would")
        ears.final("I would like")
        await line.says(0.3, before=0, then=0)
        ears.interim("tea")
        ears.final("tea please")
        await line.says(0, before=0, then=0.3)
        ears.ends()
        await line.answers()
    assert outline(sink)[:4] == [
        "session",
        "  user_turn: I would like tea please",
        "    stt: I would like tea please",
        "  assistant_turn: Fine.",
    ]
    check(sink)
    (stt,), (user,) = of(sink, "stt"), of(sink, "user_turn")
    assert stt["result"]["interim_revisions"] == 3
    assert user["result"]["interim_revisions"] == 3
    assert len([1 for _, level in heard_at(sink, stt) if level > -60]) == 60
    in_order(user, "speech_started", "vad_started", "final_transcript", "vad_ended", "committed")


async def test_a_turn_may_have_two_utterances(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("Fine."), turn_detection="manual")
    async with line.to(Listener()):
        for words in ("first this", "then that"):
            await line.says(0.3, then=0)
            ears.starts()
            await line.says(0, before=0, then=0.3)
            ears.final(words)
            ears.ends()
            await asyncio.sleep(0.1)
        line.session.commit_user_turn()
        await line.answers()
    assert outline(sink)[:5] == [
        "session",
        "  user_turn: first this then that",
        "    stt: first this",
        "    stt: then that",
        "  assistant_turn: Fine.",
    ]
    check(sink)
    first, then = of(sink, "stt")
    (user,) = of(sink, "user_turn")
    assert user["started_us"] == first["started_us"]
    assert first["finished_us"] <= then["started_us"]
    for stt in (first, then):
        # Each begins with its own sound, and has the frames of no other.
        frames = heard_at(sink, stt)
        assert frames[0][1] == LOUD
        assert len([1 for _, level in frames if level > -60]) == 30


async def test_an_stt_that_sends_only_transcripts_has_its_utterances(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("One.", "Two."))
    async with line.to(Listener()):
        for count, words in enumerate(("one", "two"), 1):
            await line.says(0.3, then=0.1)
            ears.interim(words[:1])
            ears.final(words)
            await line.says(0, before=0, then=0.5)
            await line.answers(count)
    assert [row for row in outline(sink) if "turn" in row or "stt" in row] == [
        "  user_turn: one",
        "    stt: one",
        "  assistant_turn: One.",
        "  user_turn: two",
        "    stt: two",
        "  assistant_turn: Two.",
    ]
    check(sink)
    for stt in of(sink, "stt"):
        assert heard_at(sink, stt)[0][1] == LOUD


async def test_a_false_start_without_words_is_cancelled(sink: Recorder) -> None:
    line = Line(hears=ScriptedSTT(Heard(""), "hello"), thinks=ScriptedLLM("Hi."))
    async with line.to(Listener()):
        await line.says(0.3, then=2.5)
        await line.says(0.3)
        await line.answers()
    assert [row for row in outline(sink) if "turn" in row] == [
        "  user_turn [cancelled]",
        "  user_turn: hello",
        "  assistant_turn: Hi.",
    ]
    check(sink)
    false_start, turn = of(sink, "user_turn")
    assert "committed" not in moments(false_start)
    assert false_start["result"]["transcript"] == ""
    assert false_start["finished_us"] <= turn["started_us"]


async def test_a_false_start_that_only_the_vad_heard_is_cancelled(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("Hi."))
    async with line.to(Listener()):
        await line.says(0.3, then=2.5)
        await line.says(0.3, then=0.1)
        ears.final("hello")
        await line.says(0, before=0)
        await line.answers()
    assert [row for row in outline(sink) if "turn" in row or "stt" in row] == [
        "  user_turn [cancelled]",
        "  user_turn: hello",
        "    stt: hello",
        "  assistant_turn: Hi.",
    ]
    check(sink)


async def test_an_stt_that_fails_and_is_called_again_goes_on_with_the_turn(sink: Recorder) -> None:
    calls = 0

    class Counting(Listener):
        def stt_node(self, *args: Any) -> Any:
            nonlocal calls
            calls += 1
            return super().stt_node(*args)

    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("Hi."))
    async with line.to(Counting()):
        ears.fails(APIConnectionError("lost", retryable=False))
        await until(lambda: sink.of("livekit:error"))
        await asyncio.sleep(0.2)
        again = calls > 1
        if again:
            await line.says(0.3, then=0.1)
            ears.final("hello")
            await line.says(0, before=0)
            await line.answers()
    spans = check(sink)
    errors = [span for span in spans if span["type"] == "livekit:error"]
    assert [e["payload"]["message"] for e in errors] == ["lost"]
    assert errors[0]["payload"]["source"] == "HandSTT"
    if again:  # older versions end the node for good
        (user,) = of(sink, "user_turn")
        assert user["result"]["transcript"] == "hello"
        assert len(of(sink, "stt")) == 1


async def test_an_stt_error_within_an_utterance_is_under_it(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM())
    async with line.to(Listener()):
        await line.says(0.3, then=0.1)
        ears.starts()
        ears.interim("hel")
        await until(lambda: sink.of("livekit:stt"))
        ears.fails(APIConnectionError("lost", retryable=False))
        await until(lambda: sink.of("livekit:error"))
    rows = outline(sink)  # what was heard so far may still be committed at the end
    assert [row for row in rows if "stt" in row or "error" in row] == [
        "    stt [cancelled]",
        "      error [failed]: HandSTT: lost",
    ]
    check(sink)


async def test_silero_finds_the_turn(sink: Recorder) -> None:
    silero = pytest.importorskip("livekit.plugins.silero")
    speech = pytest.importorskip("prefactor_agent.demo.speech")
    spoken = speech.speak("What time is it, please?")
    samples = np.asarray(spoken.samples, dtype=np.int16)
    rate, size = spoken.rate, spoken.rate // 50
    frames = [
        rtc.AudioFrame(samples[at : at + size].tobytes(), rate, 1, size)
        for at in range(0, len(samples) - size, size)
    ]
    quiet = [rtc.AudioFrame(bytes(2 * size), rate, 1, size) for _ in range(50)]
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("Noon."), vad=silero.VAD.load())
    async with line.to(Listener()):
        line.microphone.play([*quiet[:15], *frames])
        await line.microphone.heard()
        ears.final("what time is it please")
        line.microphone.play(quiet)
        await line.answers()
    assert [row for row in outline(sink) if "turn" in row or "stt" in row] == [
        "  user_turn: what time is it please",
        "    stt: what time is it please",
        "  assistant_turn: Noon.",
    ]
    check(sink)
    (user,), (stt,) = of(sink, "user_turn"), of(sink, "stt")
    in_order(user, "speech_started", "vad_started", "vad_ended", "committed")
    in_order(user, "speech_started", "speech_ended", "committed")
    levels = [level for _, level in heard_at(sink, stt)]
    assert max(levels) > -35
    assert min(levels) < max(levels) - 20  # words, and what is between them
