"""Where a recorded voice can be heard, from all its levels.

A voice is judged against what is only known later: how loud it becomes, and which of the quiet at
its beginning is the tone of its room."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from .loudness import (
    BEGIN_ABOVE_FLOOR,
    BELOW_PEAK,
    GOES_ON_ABOVE_FLOOR,
    LEAST_DBFS,
    PEAK_FALL_PER_WINDOW,
    SILENCE_DBFS,
)

Levels = npt.NDArray[np.float64]

CLICK_WINDOWS = 3
"""A lone sound shorter than this is a click."""
ROOM_WINDOWS = 15
"""Steady noise of at least this length, which the voice follows without a break, is the tone of a
room. A soft consonant is shorter."""
_ROOM_BELOW_PEAK_DB = 18.0
"""Nothing louder than this is taken for a room: it can be the voice."""
_UNEVEN_DB = 4.0
"""How far the averages of 50 ms of steady noise differ from their median."""
_SMOOTHED = 5
_EDGE = 3
"""Windows before a voice that its beginning can reach into."""
_RECENT = 300
"""A loud sound later than this counts for less and less."""


class Sound(NamedTuple):
    """The audible part of some levels: its first and its last window, and the level above which it
    goes on."""

    begins: int
    ends: int
    goes_on_above: float


def find_sound(windows: list[float]) -> Sound | None:
    """The audible part of a voice, from its levels in windows of 10 ms."""
    levels = np.asarray(windows)
    peak = _loudness(levels)
    threshold = max(peak - BELOW_PEAK, LEAST_DBFS)
    begins = _first_above(levels, threshold)
    if begins is None:
        # A very short sound is better than none.
        lone = np.flatnonzero(levels > threshold)
        if not lone.size:
            return None
        begins = int(lone[0])
    elif (room := _room(levels, begins, threshold, peak)) is not None:
        begins, floor = room
        threshold = max(threshold, floor + GOES_ON_ABOVE_FLOOR)
    ends = int(np.flatnonzero(levels > threshold)[-1])
    return Sound(begins, ends, threshold)


def room_before(windows: list[float]) -> int:
    """How many windows at the beginning of a sound are the room in which a voice then begins; 0:
    there is no such room, or no such voice yet."""
    levels = np.asarray(windows)
    peak = _loudness(levels)
    threshold = max(peak - BELOW_PEAK, LEAST_DBFS)
    begins = _first_above(levels, threshold)
    if begins is None:
        return 0
    room = _room(levels, begins, threshold, peak)
    if room is None:
        return begins if begins >= ROOM_WINDOWS else 0
    return room[0]


def _loudness(levels: Levels) -> float:
    """The level of the loudest sound that is no click."""
    heard = np.flatnonzero(levels > LEAST_DBFS)
    if not heard.size:
        return float(SILENCE_DBFS)
    levels = levels[heard[0] :]
    if levels.size >= CLICK_WINDOWS:
        levels = sliding_window_view(levels, CLICK_WINDOWS).min(axis=1)
    age = np.maximum(0, np.arange(levels.size) - _RECENT)
    return float((levels - age * PEAK_FALL_PER_WINDOW).max())


def _first_above(levels: Levels, threshold: float) -> int | None:
    """The first window of the first sound above a level that is no click."""
    if levels.size < CLICK_WINDOWS:
        return None
    above = sliding_window_view(levels > threshold, CLICK_WINDOWS).all(axis=1)
    return int(above.argmax()) if above.any() else None


def _room(levels: Levels, begins: int, threshold: float, peak: float) -> tuple[int, float] | None:
    """The window at which the voice begins, and the level of the room, if the sound that begins at
    ``begins`` is the tone of a room."""
    # Noise about as loud as the threshold may have been there for a while.
    quiet = np.flatnonzero(levels[:begins] <= threshold - _UNEVEN_DB)
    since = int(quiet[-1]) + 1 if quiet.size else 0
    levels = levels[since:]
    floor = _median(_smooth(levels[:ROOM_WINDOWS]))
    if floor > peak - _ROOM_BELOW_PEAK_DB:
        return None
    above = floor + BEGIN_ABOVE_FLOOR
    voice = _first_above(levels, max(above, threshold))
    if voice is None or voice < ROOM_WINDOWS:
        return None
    room = levels[: voice - _EDGE]
    room = _smooth(room[room <= above])  # without clicks
    if room.size == 0 or np.abs(room - floor).max() > _UNEVEN_DB:
        return None
    return since + voice, floor


def _median(levels: Levels) -> float:
    # np.median imports numpy.ma, which takes 30 ms of the interpreter in the first call.
    ordered = np.sort(levels)
    return float(ordered[(levels.size - 1) // 2] + ordered[levels.size // 2]) / 2


def _smooth(levels: Levels) -> Levels:
    """The levels of stretches of 50 ms."""
    if levels.size < _SMOOTHED:
        return levels
    power = sliding_window_view(10.0 ** (levels / 10.0), _SMOOTHED).mean(axis=1)
    return np.asarray(10.0 * np.log10(power))
