"""A voice with no network: espeak-ng, called in process.

The library and its voices come in the wheel ``espeakng-loader``. espeak-ng keeps one global state a
process and is not thread-safe, so every call holds one lock.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import espeakng_loader
import numpy as np
import numpy.typing as npt
from livekit import rtc

Samples = npt.NDArray[np.int16]

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE = 1
_UTF8 = 1
_POSITION_IN_CHARACTERS = 1

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)
_lock = threading.Lock()


@dataclass(frozen=True)
class Sound:
    """Mono 16-bit audio."""

    samples: Samples
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def peak(self) -> int:
        """Its loudest sample, of 32768."""
        return int(np.abs(self.samples.astype(np.int32)).max(initial=0))

    def at(self, rate: int) -> "Sound":
        """The same sound at another sample rate."""
        if rate == self.rate:
            return self
        resampler = rtc.AudioResampler(
            self.rate, rate, num_channels=1, quality=rtc.AudioResamplerQuality.HIGH
        )
        frames = resampler.push(bytearray(self.samples.tobytes())) + resampler.flush()
        parts = [np.frombuffer(frame.data, dtype=np.int16) for frame in frames]
        return Sound(np.concatenate(parts) if parts else self.samples[:0], rate)

    def trimmed(self, threshold: int = 200) -> "Sound":
        """Without the near-silence at both ends."""
        loud = np.flatnonzero(np.abs(self.samples.astype(np.int32)) > threshold)
        if not len(loud):
            return Sound(self.samples[:0], self.rate)
        return Sound(self.samples[loud[0] : loud[-1] + 1], self.rate)

    def after_silence(self, seconds: float) -> "Sound":
        """The same sound, that many seconds of silence first."""
        silence = np.zeros(round(seconds * self.rate), dtype=np.int16)
        return Sound(np.concatenate([silence, self.samples]), self.rate)


def speak(text: str, *, voice: str = "en-us", rate: int = 175) -> Sound:
    """Say ``text``; ``rate`` is in words a minute. Blocks for some milliseconds a sentence."""
    parts: list[bytes] = []

    def collect(data: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int) -> int:
        if data and count > 0:
            parts.append(ctypes.string_at(data, count * 2))
        return 0

    with _lock:
        library, sample_rate = _library()
        callback = _Callback(collect)
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        library.espeak_SetParameter(_RATE, rate, 0)
        encoded = text.encode()
        status = library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POSITION_IN_CHARACTERS, 0, _UTF8, None, None
        )
        if status != 0:
            raise RuntimeError(f"espeak-ng could not speak (status {status})")
    return Sound(np.frombuffer(b"".join(parts), dtype=np.int16), sample_rate)


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    synth: Callable[..., int] = library.espeak_Synth
    synth.argtypes = [  # type: ignore[attr-defined]
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    data = espeakng_loader.get_data_path().encode()
    sample_rate: int = library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
    if sample_rate <= 0:
        raise RuntimeError(f"espeak-ng did not start (status {sample_rate})")
    return library, sample_rate
