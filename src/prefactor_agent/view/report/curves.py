"""Loudness curves, small enough for the page of a long call: a level for each 10 ms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..model.calltree import CallTree
from ..model.sounds import SILENCE_DBFS, Sound, heard, played

BIN_US = 10_000
_LEVELS = [bytes((level,)) for level in range(128)]
_APART_US = {"user": 60_000, "agent": 1_000}
"""Audio that comes later than this after what came before was preceded by a pause. What comes in is
never quite on time; what is played is placed to the microsecond."""


@dataclass(slots=True)
class Run:
    """A stretch of a voice: when it begins, and its level for each 10 ms."""

    begins_us: int
    """From the beginning of the call."""
    levels: bytearray = field(default_factory=bytearray)
    """See :func:`level`."""
    us: int = 0
    """How long it is."""

    @property
    def ends_us(self) -> int:
        return self.begins_us + self.us

    def add(self, us: int, dbfs: float) -> None:
        """A sound that follows, of a length and a loudness."""
        # Lengths are summed before they are rounded: a frame may be shorter than a bin.
        self.us += us
        bins = round(self.us / BIN_US) - len(self.levels)
        if bins > 0:
            self.levels += _LEVELS[level(dbfs)] * bins


def level(dbfs: float) -> int:
    """Loudness in a byte: decibels above digital silence, which is 0; full scale is 127."""
    return min(-SILENCE_DBFS, max(0, int(dbfs) - SILENCE_DBFS))


def user_curve(call: CallTree) -> list[Run]:
    utterances = sorted(call.spans("stt"), key=lambda span: span.started_us)
    return [run for span in utterances for run in _runs(call, heard(span), _APART_US["user"])]


def agent_curve(call: CallTree) -> list[Run]:
    answers = (answer for turn in call.turns for answer in turn.answers)
    return [
        run
        for answer in answers
        for run in _runs(call, played(call, answer)[1], _APART_US["agent"])
    ]


def _runs(call: CallTree, sounds: Iterable[Sound], apart_us: int) -> list[Run]:
    runs: list[Run] = []
    for begun, ended, dbfs in sounds:
        at = begun - call.started_us
        if not runs or at - runs[-1].ends_us > apart_us:
            runs.append(Run(at))
        runs[-1].add(ended - begun, dbfs)
    return [run for run in runs if run.levels]
