"""Speech recognition with no network: pocketsphinx, held to the sentences that a caller may say.

Its free dictation of a synthetic voice is poor, but with a grammar of whole sentences it is right
word for word, within some tens of milliseconds. Like other recognizers that punctuate, it answers
with the sentence as one would write it.
"""

import re
import threading
from collections.abc import Iterable

import numpy as np
import pocketsphinx

from .speech import Sound

SAMPLE_RATE = 16_000
_MARGIN = SAMPLE_RATE // 5
_NOISE = 10.0


def words(text: str) -> list[str]:
    """The words of a text as they are spoken: lower case, no punctuation."""
    return re.findall(r"[a-z']+|\d+", text.lower())


def grammar(sentences: Iterable[str]) -> str:
    """A JSGF grammar that accepts one of the sentences, whole."""
    choices = " | ".join(" ".join(words(sentence)) for sentence in sentences)
    return f"#JSGF V1.0; grammar call; public <sentence> = {choices};"


class Hearing:
    """Recognizes a fixed set of sentences. May be used from any thread, one at a time."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._written = {tuple(words(sentence)): sentence for sentence in sentences}
        self._lock = threading.Lock()
        self._decoder = pocketsphinx.Decoder(
            lm=None, samprate=SAMPLE_RATE, loglevel="FATAL", bestpath=False
        )
        self._decoder.add_jsgf_string("call", grammar(self._written.values()))
        self._decoder.activate_search("call")

    def transcribe(self, sound: Sound) -> str:
        """What was said, or an empty string if it was none of the sentences."""
        pcm = _in_a_room(sound)
        with self._lock:
            self._decoder.start_utt()
            try:
                self._decoder.process_raw(pcm, no_search=False, full_utt=True)
            finally:
                self._decoder.end_utt()
            found = self._decoder.hyp()
        if found is None:
            return ""
        return self._written.get(tuple(words(found.hypstr)), "")


def _in_a_room(sound: Sound) -> bytes:
    """The sound with a faint noise in it and around it.

    The recognizer was trained on real rooms; silence of exact zeros, or an end without any, makes
    it miss every other short sentence.
    """
    samples = sound.at(SAMPLE_RATE).samples
    room = np.random.default_rng(1).normal(0.0, _NOISE, len(samples) + 2 * _MARGIN)
    room[_MARGIN : len(room) - _MARGIN] += samples
    return np.clip(room, -32768, 32767).astype(np.int16).tobytes()
