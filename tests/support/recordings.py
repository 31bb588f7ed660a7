"""Recordings: with tones in them, beside calls that were written by hand; and what is heard in one,
beside what the trace says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray
from samples.offline import waveform

from prefactor_agent.stored import recording
from prefactor_agent.stored.recording import Recording
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model import calltree, sounds

RATE = 24_000
_CHUNK = RATE // 50


class Tone(NamedTuple):
    begins_s: float
    """Counted from the beginning of the recording."""
    ends_s: float
    hertz: float = 440.0


def write(
    journal: Path,
    call_id: str,
    begins_us: int,
    seconds: float,
    *,
    caller: Sequence[Tone] = (),
    agent: Sequence[Tone] = (),
) -> Recording:
    """Write the recording of a call as the product does: Opus in Ogg, the caller left, the agent
    right, silence besides the tones.

    Args:
        begins_us: The moment of its first sample, as the spans of the call have it.
    """
    sound = np.stack([_channel(tones, seconds) for tones in (caller, agent)])
    path = recording.path_of(journal, call_id)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with av.open(path, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="stereo")
        stream.metadata[recording.BEGINS] = str(begins_us)
        for at in range(0, sound.shape[1], _CHUNK):
            piece = np.ascontiguousarray(sound[:, at : at + _CHUNK])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.chmod(0o600)
    written = recording.read(path)
    assert written is not None
    return written


def decode(path: Path) -> tuple[NDArray[np.float32], int]:
    """What a file plays, a row for each channel, and its sample rate."""
    with av.open(path) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    return np.concatenate(frames, axis=1), rate


def _channel(tones: Sequence[Tone], seconds: float) -> NDArray[np.float32]:
    times = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros(len(times), np.float32)
    for tone in tones:
        played = (tone.begins_s <= times) & (times < tone.ends_s)
        sound[played] = 0.3 * np.sin(2 * np.pi * tone.hertz * times[played])
    return sound


Sounds = list[tuple[float, float]]
"""When each sound began and ended, in seconds after the beginning of the session's span."""
_PAUSE = 0.1
"""Sounds that are closer together are one."""


def heard(recording: Recording, session: StoredSpan) -> tuple[Sounds, Sounds]:
    """What is heard of the caller and of the agent in a recording, by the benchmark's own reader of
    waveforms."""
    channels, rate = decode(recording.path)
    offset = recording.offset_ms(session.started_us) / 1000
    caller, agent = (
        _joined(
            (offset + at * waveform.WINDOW, offset + (at + 1) * waveform.WINDOW)
            for at in np.flatnonzero(audible(channel, rate))
        )
        for channel in channels
    )
    return caller, agent


def audible(channel: NDArray[np.float32], rate: int) -> NDArray[np.bool_]:
    return waveform.audible((channel * 32_767).astype(np.int16), rate)


def traced(spans: Sequence[StoredSpan]) -> tuple[Sounds, Sounds]:
    """What the trace's levels say of both voices, as the page draws them."""
    call = calltree.build(spans)
    zero = call.started_us
    assert call.session is not None
    caller = [sound for span in call.spans("stt") for sound in sounds.heard(span)]
    answers = [answer for turn in call.turns for answer in turn.answers]
    agent = [sound for answer in answers for sound in sounds.played(call, answer)[1]]
    of_caller, of_agent = (
        _joined(
            ((sound.started_us - zero) / 1e6, (sound.ended_us - zero) / 1e6)
            for sound in sorted(voice)
            if sound.dbfs > _QUIET
        )
        for voice in (caller, agent)
    )
    return of_caller, of_agent


_QUIET = -60


def _joined(pieces: Iterable[tuple[float, float]]) -> Sounds:
    joined: Sounds = []
    for begins, ends in pieces:
        if joined and begins - joined[-1][1] < _PAUSE:
            joined[-1] = joined[-1][0], ends
        else:
            joined.append((begins, ends))
    return joined


def lags(recording: Recording, spans: Sequence[StoredSpan]) -> tuple[list[float], list[float]]:
    """How much later each utterance of the caller's, and each stretch of an answer, is in the
    recording than in the trace, in seconds: where the levels of both are most alike."""
    call = calltree.build(spans)
    channels, rate = decode(recording.path)
    answers = [answer for turn in call.turns for answer in turn.answers]
    stretches = (
        [sounds.heard(span) for span in call.spans("stt")],
        [sounds.played(call, answer)[1] for answer in answers],
    )
    caller, agent = (
        [_lag(energy, rate, recording.begins_us, one) for one in told if _is_loud(one)]
        for energy, told in zip(
            np.cumsum(channels.astype(float) ** 2, axis=1), stretches, strict=True
        )
    )
    return caller, agent


_LOUD = -30
_ENOUGH = 5
_ROOM = -50
"""The noise of a caller's room is quieter, also as loud as WebRTC makes it before a voice is
heard."""
_FURTHEST = 0.1


def onsets(recording: Recording, spans: Sequence[StoredSpan]) -> tuple[list[float], list[float]]:
    """How much later each utterance of the caller's, and each answer, begins in the recording than
    by the trace's levels, in seconds: to the nearest beginning of a sound."""
    call = calltree.build(spans)
    utterances = [sounds.heard(span) for span in call.spans("stt")]
    answers = [sounds.played(call, answer)[1] for turn in call.turns for answer in turn.answers]
    channels, rate = decode(recording.path)
    caller, agent = (
        _later(
            _beginnings(channel, rate),
            [(_first(one).started_us - recording.begins_us) / 1e6 for one in told if _is_loud(one)],
        )
        for channel, told in zip(channels, (utterances, answers), strict=True)
    )
    return caller, agent


def _first(told: Sequence[sounds.Sound]) -> sounds.Sound:
    return next(sound for sound in told if sound.dbfs > _ROOM)


def _beginnings(channel: NDArray[np.float32], rate: int) -> list[float]:
    """When the sounds of a channel begin, in seconds."""
    size = round(rate * waveform.WINDOW)
    windows = channel[: len(channel) // size * size].astype(float).reshape(-1, size)
    loud = np.flatnonzero(windows.std(axis=1) > 10 ** (_ROOM / 20))
    heard = [float(at) * waveform.WINDOW for at in loud]
    return [at for before, at in pairwise([-1.0, *heard]) if at - before >= _PAUSE]


def _later(heard: Sequence[float], told: Sequence[float]) -> list[float]:
    return [min((begins - at for begins in heard), key=abs) for at in told]


def dead_air(recording: Recording, spans: Sequence[StoredSpan]) -> list[tuple[float, float]]:
    """How much later the dead air before each answer begins in the recording than in the trace, and
    how much longer it is, in seconds."""
    call = calltree.build(spans)
    assert call.session is not None
    channels, rate = decode(recording.path)
    caller, agent = (channels * 32_767).astype(np.int16)
    offset = recording.offset_ms(call.session.started_us) / 1000
    heard = [(offset + at, lasts) for at, lasts in waveform.silences(caller, agent, rate)]
    apart = []
    for answer in call.spans("assistant_turn"):
        perceived = answer.result.get("latency", {}).get("perceived_ms")
        if perceived is not None:
            since = answer.result["moments_us"]["user_speech_ended"] / 1e6
            at, lasts = min(heard, key=lambda one: abs(one[0] - since))
            apart.append((at - since, lasts - perceived / 1000))
    return apart


def _is_loud(told: Sequence[sounds.Sound]) -> bool:
    return sum(sound.dbfs > _LOUD for sound in told) > _ENOUGH


def _lag(
    energy: NDArray[np.float64], rate: int, begins_us: int, told: Sequence[sounds.Sound]
) -> float:
    begins, ends = (
        np.array([(getattr(sound, name) - begins_us) * rate // 1_000_000 for sound in told])
        for name in ("started_us", "ended_us")
    )
    expected = np.array([max(sound.dbfs, _QUIET) for sound in told])
    inside = (begins > _FURTHEST * rate) & (ends < len(energy) - _FURTHEST * rate)
    begins, ends, expected = begins[inside], ends[inside], expected[inside]
    errors = {}
    for shift in range(-round(_FURTHEST * rate), round(_FURTHEST * rate), rate // 1000):
        power = (energy[ends + shift] - energy[begins + shift]) / (ends - begins)
        levels = np.maximum(10 * np.log10(power + 1e-12), _QUIET)
        errors[shift] = float(np.abs(levels - expected).sum())
    return min(errors, key=errors.__getitem__) / rate
