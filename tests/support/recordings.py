"""Recordings with tones in them, beside calls that were written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from prefactor_agent.stored import recording
from prefactor_agent.stored.recording import Recording

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
