"""What the caller hears of a scripted call, and what its trace says of it. Times are seconds of the
loop's clock; lengths are milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from prefactor_agent.testing import Trace
from support.line import Line
from support.scripted import ScriptedTTS, silence, sound

NEAR_MS = 30.0
"""How far what is told may be from what is heard: a frame of audio, and its way through tasks."""


def slow_voice() -> ScriptedTTS:
    """A voice that takes its time to say something."""
    return ScriptedTTS(first_byte=0.05, leading_silence=0.05, seconds_per_character=0.04)


class Told(NamedTuple):
    """A silence that a trace tells."""

    ended_by: str
    """The words that ended it."""
    ms: float
    filler: bool
    question: str | None


class Ear:
    """Notes when the speaker of a call begins to be heard, and when it is silent again.

    Args:
        lead: The silence that the voice begins with, in seconds.
    """

    def __init__(self, speaker: Any, lead: float) -> None:
        self.heard: list[float] = []
        self.silent: list[float] = []
        clock = asyncio.get_running_loop().time
        speaker.on("playback_started", lambda _: self.heard.append(clock() + lead))
        speaker.on("playback_finished", lambda _: self.silent.append(clock()))

    @classmethod
    def of(cls, line: Line) -> Ear:
        return cls(line.speaker, line.voice.leading_silence)


def speak(line: Any, *lengths: float, then: float = 6.0) -> float:
    """Speak after 0.3 s: sounds and pauses by turns. Gives the moment of the last sound."""
    frames = silence(0.3)
    for place, length in enumerate(lengths):
        frames += sound(length) if place % 2 == 0 else silence(length)
    line.microphone.play([*frames, *silence(then)])
    return asyncio.get_running_loop().time() + 0.3 + sum(lengths)


def silences(trace: Trace) -> list[Told]:
    """The silences of a call's turns, in the order in which the speeches were created."""
    users = {turn.id: turn.result.get("transcript") for turn in trace.spans("user_turn")}
    return [
        Told(
            turn.result["spoken_text"],
            latency["perceived_ms"],
            latency.get("filler", False),
            users.get(turn.result.get("user_turn_id")),
        )
        for turn in trace.spans("assistant_turn")
        if (latency := turn.result.get("latency")) is not None and "overlap_ms" not in latency
    ]


def stages(trace: Trace, spoken: str) -> dict[str, float]:
    """The stages of the silence before some words."""
    turn = answer(trace, spoken)
    found: dict[str, float] = {}
    for stage in turn.result["latency"]["stages"]:
        found[stage["name"]] = found.get(stage["name"], 0) + stage["ms"]
    return found


def answer(trace: Trace, spoken: str) -> Any:
    """The turn in which some words were spoken."""
    (turn,) = (
        turn
        for turn in trace.spans("assistant_turn")
        if turn.result.get("spoken_text", "").strip() == spoken
    )
    return turn


def questions(trace: Trace) -> Sequence[Any]:
    """The user's turns that were taken."""
    return [turn for turn in trace.spans("user_turn") if turn.result["status"] == "completed"]


def near(ms: float, seconds: float) -> bool:
    """Whether a length is what was heard."""
    return abs(ms - seconds * 1000) <= NEAR_MS
