"""The recording of a call as WAV: what any editor, any model and any telephone system reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ...stored.ogg import OPUS_RATE
from ...stored.recording import Recording

_CHANNELS = 2
_FRAME = 2 * _CHANNELS
_MOST = (1 << 32) - 1 - 36
"""The bytes of sound that a WAV can say it has: six hours."""


def wav(recording: Recording) -> Iterator[bytes]:
    """The file, piece by piece: PCM of 16 bits at 48 kHz, the caller left, the agent right.

    Raises:
        ImportError: PyAV is not there, which ``livekit-agents`` brings.
        OSError: The recording is gone, or damaged.
    """
    import av

    samples = round(recording.duration_s * OPUS_RATE)
    left = size = min(samples * _FRAME, _MOST // _FRAME * _FRAME)
    yield _header(size)
    to_pcm = av.AudioResampler(format="s16", layout="stereo", rate=OPUS_RATE)
    with av.open(recording.path) as container:
        for decoded in container.decode(audio=0):
            for frame in to_pcm.resample(decoded):
                data = bytes(frame.planes[0])[: min(left, frame.samples * _FRAME)]
                left -= len(data)
                yield data
    while left:  # it went on while this was written, or the end of it was taken back
        data = bytes(min(left, 1 << 16))
        left -= len(data)
        yield data


def _header(size: int) -> bytes:
    byte_rate = OPUS_RATE * _FRAME
    form = struct.pack("<HHIIHH", 1, _CHANNELS, OPUS_RATE, byte_rate, _FRAME, 16)
    return b"".join(
        (
            b"RIFF" + struct.pack("<I", size + 36) + b"WAVE",
            b"fmt " + struct.pack("<I", len(form)) + form,
            b"data" + struct.pack("<I", size),
        )
    )
