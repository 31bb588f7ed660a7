"""MP3 encoding, because that is what the OpenAI plugin asks its voice for.

PyAV comes with LiveKit, which decodes with it.
"""

import io

import av
import numpy as np

from .speech import Sound

BIT_RATE = 64_000


def encode(sound: Sound) -> bytes:
    """The sound as an MP3 file."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=sound.rate)
        stream.bit_rate = BIT_RATE
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound.samples.reshape(1, -1)), format="s16", layout="mono"
        )
        frame.sample_rate = sound.rate
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=sound.rate, frame_size=stream.frame_size
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()
