"""The moments of a call that LiveKit told of and that have no span, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.json import JSON
from ...core.values import as_int, mappings, number, text
from . import numbers
from .calltree import CallTree

_WORDS = {
    "user_away": "the caller is away",
    "user_back": "the caller is back",
    "transcription_timeout": "the caller spoke, and no words came",
    "false_interruption": "a false interruption",
    "overlapping_speech": "the caller spoke over the agent",
    "off_the_record": "off the record: no sound and no words are kept",
}


@dataclass(frozen=True, slots=True)
class CallMoment:
    """One moment."""

    started_us: int
    """Microseconds since the Unix epoch."""
    words: str
    ended_us: int
    """Most have no length."""


def call_moments(call: CallTree) -> Iterator[CallMoment]:
    """The moments of a call, in the order of time."""
    result = call.session.result if call.session is not None else {}
    for one in mappings(result.get("moments")):
        at, words = as_int(one.get("at_us")), _WORDS.get(text(one.get("kind")))
        if at is not None and words is not None:
            until = as_int(one.get("until_us"))
            ended_us = call.started_us + (at if until is None else until)
            yield CallMoment(call.started_us + at, words + "".join(_more(one)), ended_us)


def _more(one: JSON) -> Iterator[str]:
    at, until = as_int(one.get("at_us")), as_int(one.get("until_us"))
    if at is not None and until is not None:
        yield f", for {numbers.length(until - at)}"
    if verdict := text(one.get("verdict")):
        yield f": {verdict}"
    if (probability := number(one.get("probability"))) is not None:
        yield f" ({probability:.2f})"
    if (delay := number(one.get("delay_ms"))) is not None:
        yield f" after {numbers.length(delay * 1000)}"
    if (speech := number(one.get("speech_ms"))) is not None:
        yield f" of {numbers.length(speech * 1000)} of speech"
    if "resumed" in one:
        yield ": the agent went on" if one["resumed"] else ": the agent stayed silent"
