"""Why LiveKit waited before it took a turn of the user's: what a turn detector said, and how long
LiveKit waits for that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents.voice import turn as livekit_turn

from prefactor_agent import TracedAgent
from prefactor_agent.core import guard
from prefactor_agent.record.session.end_of_turn import EndOfTurns, name_of
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT
from support.seams import broken
from support.tree import JSON, Recorder, check


class Detector:
    """A turn detector that says one probability after the other, each after 20 ms."""

    model, provider = "scripted-detector", "test"

    def __init__(self, *probabilities: float | Exception, threshold: float | None = 0.4) -> None:
        self.probabilities = list(probabilities)
        self.threshold = threshold

    async def supports_language(self, language: str | None) -> bool:
        return True

    async def unlikely_threshold(self, language: str | None) -> float | None:
        return self.threshold

    async def predict_end_of_turn(self, chat_ctx: Any, *, timeout: float | None = None) -> float:
        await asyncio.sleep(0.02)
        found = self.probabilities.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def line(detector: Any, *words: str, **more: Any) -> Line:
    return Line(
        hears=ScriptedSTT(*words),
        thinks=ScriptedLLM(*(["Well."] * len(words))),
        turn_detection=detector,
        endpointing={"min_delay": 0.3, "max_delay": 1.5},
        **more,
    )


def ends(sink: Recorder) -> list[JSON]:
    """What the turns say of their ends."""
    check(sink)
    turns = (sink.plain(span)["result"] for span in sink.of("livekit:user_turn"))
    return [turn["end_of_turn"] for turn in turns]


async def test_a_detector_that_is_sure_and_one_that_is_not(sink: Recorder) -> None:
    detector = Detector(0.9, 0.123456)
    call = line(detector, "hello", "I would like")
    async with call.to(TracedAgent(instructions="x")):
        for count in (1, 2):
            await call.says()
            await call.answers(count)
    sure, unsure = ends(sink)
    assert sure.keys() == {"detector", "min_delay_ms", "max_delay_ms", "predictions"}
    assert (sure["detector"], sure["min_delay_ms"], sure["max_delay_ms"]) == (
        "scripted-detector", 300.0, 1500.0,
    )  # fmt: skip
    (one,) = sure["predictions"]
    assert (one["probability"], one["threshold"], one["delay_ms"]) == (0.9, 0.4, 300.0)
    assert 20 <= one["took_ms"] < 100 and "cut_short" not in one
    (other,) = unsure["predictions"]
    assert (other["probability"], other["delay_ms"]) == (0.1235, 1500.0)
    assert "predict_end_of_turn" not in vars(detector)
    assert "unlikely_threshold" not in vars(detector)


async def test_a_wait_that_the_next_word_cut_short(sink: Recorder) -> None:
    call = line(Detector(0.1, 0.8), "I would like", "a table")
    async with call.to(TracedAgent(instructions="x")):
        await call.says(then=0.6)
        await call.says(before=0.0)
        await call.answers()
    (end,) = ends(sink)
    first, second = end["predictions"]
    assert (first["probability"], first["cut_short"]) == (0.1, True)
    assert second["probability"] == 0.8 and "cut_short" not in second
    assert first["at_us"] < second["at_us"]


async def test_a_detector_without_a_threshold_for_the_language(sink: Recorder) -> None:
    call = line(Detector(0.1, threshold=None), "hola")
    async with call.to(TracedAgent(instructions="x")):
        await call.says()
        await call.answers()
    (end,) = ends(sink)
    (one,) = end["predictions"]
    assert one["delay_ms"] == 300.0 and "threshold" not in one


async def test_a_detector_that_fails_says_nothing(sink: Recorder) -> None:
    call = line(Detector(RuntimeError("no model")), "hello")
    async with call.to(TracedAgent(instructions="x")):
        await call.says()
        await call.answers()
    (end,) = ends(sink)
    assert end == {"detector": "scripted-detector", "min_delay_ms": 300.0, "max_delay_ms": 1500.0}


async def test_without_a_detector_the_mode_and_the_delays(sink: Recorder) -> None:
    call = line("vad", "hello")
    async with call.to(TracedAgent(instructions="x")):
        await call.says()
        await call.answers()
    assert ends(sink) == [{"detector": "vad", "min_delay_ms": 300.0, "max_delay_ms": 1500.0}]


async def test_two_sessions_with_one_detector_have_their_own(sink: Recorder) -> None:
    detector = Detector(0.9, 0.8)
    one, other = line(detector, "hello"), line(detector, "goodbye")
    async with one.to(TracedAgent(instructions="x")), other.to(TracedAgent(instructions="x")):
        await one.says()
        await one.answers()
        await other.says()
        await other.answers()
    found = [end["predictions"] for end in ends(sink)]
    assert [[one["probability"] for one in each] for each in found] == [[0.9], [0.8]]


@pytest.mark.skipif(
    not hasattr(livekit_turn, "_StreamingTurnDetector"),
    reason="no detector listens to the audio in this version",
)
async def test_a_detector_that_listens_to_the_audio(sink: Recorder) -> None:
    class Stream:
        model, provider, is_fallback, prediction_timeout = "listening", "test", False, 1.0

        def __init__(self) -> None:
            self.probabilities = [0.2]

        async def unlikely_threshold(self, language: Any) -> float:
            return 0.5

        async def backchannel_threshold(self, language: Any) -> None:
            return None

        async def supports_language(self, language: Any) -> bool:
            return True

        def predict(self) -> asyncio.Future[Any]:
            made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            made.set_result(
                livekit_turn.TurnDetectionEvent(
                    type="eot_prediction", end_of_turn_probability=0.2, last_speaking_time=0.0
                )
            )
            return made

        def cancel_inference(self, *, timed_out: bool = False) -> None: ...
        def flush(self, reason: str | None = None) -> None: ...
        def push_audio(self, frame: Any) -> None: ...
        def end_input(self) -> None: ...
        async def aclose(self) -> None: ...

    class Listening:
        model, provider = "listening", "test"

        def stream(self, **_: Any) -> Stream:
            return Stream()

        async def unlikely_threshold(self, language: Any) -> float:
            return 0.5

        async def backchannel_threshold(self, language: Any) -> None:
            return None

        async def supports_language(self, language: Any) -> bool:
            return True

    call = line(Listening(), "hello")
    async with call.to(TracedAgent(instructions="x")):
        await call.says(then=2.0)
        await call.answers()
    (end,) = ends(sink)
    last = end["predictions"][-1]
    assert end["detector"] == "listening"
    assert (last["probability"], last["threshold"], last["delay_ms"]) == (0.2, 0.5, 1500.0)
    assert "took_ms" not in last


@pytest.mark.parametrize(
    "part",
    [
        EndOfTurns.on_user_state, EndOfTurns.on_transcribed, EndOfTurns.committed,
        EndOfTurns._on_predict, EndOfTurns._on_compare, EndOfTurns.let_go,
    ],
)  # fmt: skip
async def test_a_failure_of_ours_costs_only_what_is_said_of_the_end(
    sink: Recorder, part: Any
) -> None:
    call = line(Detector(0.9), "hello")
    with broken(part):
        async with call.to(TracedAgent(instructions="x")):
            await call.says()
            await call.answers()
    assert len(guard.failures) == 1
    (turn,) = sink.of("livekit:user_turn")
    assert sink.plain(turn)["result"]["transcript"] == "hello"


def test_what_a_detector_is_called() -> None:
    class Unknown:
        model = "unknown"

    assert name_of(Detector()) == "scripted-detector"
    assert name_of(Unknown()) == "Unknown"
