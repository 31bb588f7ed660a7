"""Compares the dead air that the trace reports with the silence in the waveform, over many turns.

`python -m benchmarks.latency_truth`: about eight minutes, in real time, with no network. Each call
is the real OpenAI and Silero plugins over HTTP; both sides are recorded where the room would be,
outside the nodes, and the waveform is read by code that shares nothing with `src/`. The product
records the calls, too (`keep_audio`), and its recording is read in the same way.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from livekit.agents import AgentSession, TurnHandlingOptions, stt
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.plugins import openai, silero
from rich.console import Console
from rich.table import Table
from samples.offline.waveform import silences
from tests.support import recordings

from prefactor_agent import configure, flush
from prefactor_agent.demo import caller
from prefactor_agent.demo.call import CallResult, _Conversation, _environment
from prefactor_agent.demo.recording import RATE, stereo
from prefactor_agent.demo.script import CANCEL, KETTLE, RETURN, WHERE
from prefactor_agent.demo.server import OfflineOpenAI
from prefactor_agent.demo.shop import ShopAssistant
from prefactor_agent.demo.terminal import quiet
from prefactor_agent.journal.reader import Journal
from prefactor_agent.stored.span import StoredSpan

from .streaming_stt import StreamingSTT


@dataclass(frozen=True)
class Scene:
    """One call of four questions."""

    name: str
    voice: str = "en-us"
    speed: int = 195
    noise_dbfs: float = -70.0
    early_finals: bool = False
    """The STT is final before the VAD is sure, as streaming STTs are."""
    streaming: bool = False
    """The STT streams, with interim results and ends of its own."""
    preemptive: bool = True
    leading_silence: float = 0.15


SCENES = (
    Scene("as the demo"),
    Scene("slow", speed=150, preemptive=False),
    Scene("fast", speed=240, leading_silence=0.3),
    Scene("voice 2", voice="en-us-nyc"),
    Scene("voice 3", voice="en", preemptive=False),
    Scene("noise", noise_dbfs=-55.0),
    Scene("noise, slow", noise_dbfs=-55.0, speed=150, leading_silence=0.3),
    Scene("loud noise", noise_dbfs=-48.0, preemptive=False),
    Scene("loud noise 2", noise_dbfs=-48.0, voice="en-us-nyc"),
    Scene("early finals", early_finals=True),
    Scene("early finals, kept", early_finals=True, preemptive=False, voice="en"),
    Scene("early finals, noise", early_finals=True, noise_dbfs=-55.0),
    Scene("streaming", streaming=True),
    Scene("streaming, not kept", streaming=True, preemptive=False, voice="en"),
    Scene("streaming, noise", streaming=True, noise_dbfs=-55.0, speed=150),
    Scene("long silence", leading_silence=0.3, speed=220),
)


@dataclass
class Measured:
    """One answered turn."""

    scene: str
    waveform_ms: float
    ours_ms: float
    livekit_ms: float | None
    unattributed_ms: float
    basis: str
    recorded_ms: float | None
    """The dead air in the product's recording."""
    stages: dict[str, float] = field(default_factory=dict)


@dataclass
class Lags:
    """How much later than in the trace each stretch of a voice is in the recording, in ms."""

    caller: list[float] = field(default_factory=list)
    agent: list[float] = field(default_factory=list)


async def hold(scene: Scene, loaded: Any, journal: Path, lags: Lags) -> list[Measured]:
    caller.NOISE_DBFS = scene.noise_dbfs
    async with OfflineOpenAI() as server:
        server.voice.leading_silence = scene.leading_silence
        with _environment(OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="offline"):
            hearing: Any = openai.STT()
            if scene.streaming:
                hearing = StreamingSTT([WHERE, KETTLE, CANCEL, RETURN])
            if scene.early_finals:
                hearing = stt.StreamAdapter(stt=hearing, vad=silero.VAD.load(
                    min_silence_duration=0.25
                ))  # fmt: skip
            session: AgentSession[None] = AgentSession(
                stt=hearing,
                llm=openai.LLM(),
                tts=openai.TTS(),
                vad=loaded,
                turn_handling=TurnHandlingOptions(
                    turn_detection="vad",
                    interruption={"mode": "vad"},
                    preemptive_generation={"enabled": scene.preemptive},
                ),
            )
            result = await _talk(scene, session)
    both = stereo(result.caller, result.agent, result.started_at, result.ended_at)
    heard = silences(both[:, 0], both[:, 1], RATE)
    spans, recorded = await asyncio.to_thread(_kept, journal, lags)
    turns = [one.result for one in spans if one.type == "livekit:assistant_turn"]
    turns = [one for one in turns if "latency" in one]
    if len(recorded) != len(turns):
        print(f"{scene.name}: {len(recorded)} silences in the recording, {len(turns)} turns")
        recorded = []
    if len(heard) != len(turns):
        print(f"{scene.name}: {len(heard)} silences in the waveform, {len(turns)} turns in ours")
        return []
    measured = []
    for number, ((_, seconds), turn) in enumerate(zip(heard, turns, strict=True)):
        latency = turn["latency"]
        stages: dict[str, float] = {}
        for one in latency["stages"]:
            stages[one["name"]] = stages.get(one["name"], 0.0) + one["ms"]
        told = turn.get("metrics", {}).get("e2e_latency")
        measured.append(
            Measured(
                scene.name,
                seconds * 1000,
                latency["perceived_ms"],
                told * 1000 if told is not None else None,
                stages.get("unattributed", 0.0),
                f"{latency['basis']['from']} → {latency['basis']['to']}",
                recorded[number][1] * 1000 if recorded else None,
                stages,
            )
        )
    return measured


def _kept(journal: Path, lags: Lags) -> tuple[list[StoredSpan], list[tuple[float, float]]]:
    """The spans of the call that has just ended, and the dead air in its recording."""
    flush(10)
    with closing(Journal(journal)) as source:
        call = source.find()
        spans, recording = source.call(call), source.recording(call)
    assert recording is not None
    of_caller, of_agent = recordings.lags(recording, spans)
    lags.caller += [lag * 1000 for lag in of_caller]
    lags.agent += [lag * 1000 for lag in of_agent]
    channels, rate = recordings.decode(recording.path)
    sound = (channels * 32_767).astype(np.int16)
    return spans, silences(sound[0], sound[1], rate)


async def _talk(scene: Scene, session: AgentSession[None]) -> CallResult:
    microphone = caller.CallerMicrophone(voice=scene.voice, rate=scene.speed)
    ear = caller.CallerEar()
    result = CallResult(caller=microphone.track, agent=ear.track)
    conversation = _Conversation(session, ear, result, lambda who, what: None)
    synchronizer = TranscriptSynchronizer(next_in_chain_audio=ear, next_in_chain_text=None)
    session.input.audio, session.output.audio = microphone, synchronizer.audio_output
    session.output.transcription = synchronizer.text_output
    result.started_at = asyncio.get_running_loop().time()
    try:
        await session.start(ShopAssistant())
        before = 0
        for question in (WHERE, KETTLE, CANCEL, RETURN):
            await conversation.answered(before)
            await asyncio.sleep(0.3)
            before = conversation.finished
            await microphone.speak(question)
        async with asyncio.timeout(30):
            while not ear.position:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.6)  # the last answer is long, and its beginning is enough
        result.ended_at = asyncio.get_running_loop().time()
    finally:
        await session.aclose()
        await synchronizer.aclose()
    return result


def show(console: Console, measured: list[Measured], lags: Lags) -> None:
    table = Table("scene", box=None)
    for heading in ("turns", "waveform", "ours", "worst error", "LiveKit e2e_latency", "its worst"):
        table.add_column(heading, justify="right")
    for scene in dict.fromkeys(one.scene for one in measured):
        rows = [one for one in measured if one.scene == scene]
        table.add_row(scene, str(len(rows)), *_figures(rows))
    table.add_section()
    table.add_row("all", str(len(measured)), *_figures(measured), style="bold")
    console.print(table)
    errors = sorted(abs(one.ours_ms - one.waveform_ms) for one in measured)
    told = [one for one in measured if one.livekit_ms is not None]
    theirs = sorted(abs((one.livekit_ms or 0) - one.waveform_ms) for one in told)
    recorded = [one for one in measured if one.recorded_ms is not None]
    for name, values in (
        ("ours", errors),
        ("LiveKit's e2e_latency", theirs),
        ("ours against the recording", _errors(recorded)),
        ("the caller's place in the recording", sorted(map(abs, lags.caller))),
        ("the agent's place in the recording", sorted(map(abs, lags.agent))),
    ):
        if values:
            p95 = values[math.ceil(len(values) * 0.95) - 1]
            console.print(
                f"{name}: |error| median {np.median(values):.1f} ms, p95 {p95:.1f} ms, "
                f"worst {values[-1]:.1f} ms over {len(values)}"
            )
    share = sum(one.unattributed_ms for one in measured) / sum(one.ours_ms for one in measured)
    console.print(f"unattributed: {share:.2%} of the sum")
    bases = {one.basis for one in measured}
    console.print(f"measured from {', '.join(sorted(bases))}")


def _errors(recorded: list[Measured]) -> list[float]:
    return sorted(abs(one.ours_ms - (one.recorded_ms or 0)) for one in recorded)


def _figures(rows: list[Measured]) -> tuple[str, ...]:
    mean = np.mean([one.waveform_ms for one in rows])
    ours = np.mean([one.ours_ms for one in rows])
    worst = max((one.ours_ms - one.waveform_ms for one in rows), key=abs)
    told = [one for one in rows if one.livekit_ms is not None]
    theirs = np.mean([one.livekit_ms or 0 for one in told]) if told else math.nan
    off = max(((one.livekit_ms or 0) - one.waveform_ms for one in told), key=abs, default=math.nan)
    return (
        f"{mean:.0f} ms",
        f"{ours:.0f} ms",
        f"{worst:+.0f} ms",
        f"{theirs:.0f} ms",
        f"{off:+.0f} ms",
    )


async def run(chosen: list[Scene], journal: Path) -> tuple[list[Measured], Lags]:
    configure(journal=journal, keep_audio=True)
    loaded = await asyncio.to_thread(silero.VAD.load)
    measured: list[Measured] = []
    lags = Lags()
    for scene in chosen:
        try:
            measured += await hold(scene, loaded, journal, lags)
        except TimeoutError:
            print(f"{scene.name}: the agent left the caller without an answer; not counted")
    return measured, lags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="the calls whose name has this in it")
    arguments = parser.parse_args()
    quiet()
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # calls end in mid-sentence
    chosen = [one for one in SCENES if arguments.only in one.name]
    with tempfile.TemporaryDirectory() as folder:
        measured, lags = asyncio.run(run(chosen, Path(folder) / "journal.db"))
    show(Console(width=110), measured, lags)


if __name__ == "__main__":
    main()
