"""An echo of the agent's voice, on made-up loudness curves."""

from __future__ import annotations

import random

import numpy as np
import pytest

from prefactor_agent.record.audio.echo import WINDOW_MS, Levels, curve, find_echo, halved

ROOM = -62.0


def speech(seconds: float, seed: int, *, loud: float = -20.0) -> Levels:
    """A voice: syllables of 80 to 300 ms with a rise and a fall, and pauses between the words."""
    dice = random.Random(seed)
    levels: list[float] = []
    while len(levels) * WINDOW_MS < seconds * 1000:
        length = dice.randint(4, 15)
        peak = loud - dice.uniform(0, 12)
        levels += [peak - 18 * abs(2 * (n + 0.5) / length - 1) ** 2 for n in range(length)]
        if dice.random() < 0.3:
            levels += [ROOM] * dice.randint(3, 25)
    return np.array(levels[: int(seconds * 1000 / WINDOW_MS)])


def room(seconds: float, seed: int) -> Levels:
    dice = random.Random(seed)
    return np.array([ROOM + dice.uniform(-2, 2) for _ in range(int(seconds * 1000 / WINDOW_MS))])


def mixed(*curves: Levels) -> Levels:
    power: Levels = sum((10 ** (one / 10) for one in curves), np.zeros(curves[0].size))
    return np.asarray(10 * np.log10(power))


def later(levels: Levels, ms: int, quieter: float, size: int) -> Levels:
    found = np.full(size, -120.0)
    begins = ms // WINDOW_MS
    end = min(size, begins + levels.size)
    found[begins:end] = levels[: end - begins] - quieter
    return found


@pytest.mark.parametrize("delay", [0, 120, 300, 640, 980])
@pytest.mark.parametrize("quieter", [6.0, 15.0, 25.0])
def test_delay_and_attenuation_are_found(delay: int, quieter: float) -> None:
    agent = speech(6, 1)
    user = mixed(room(7.2, 2), later(agent, delay, quieter, 360))
    found = find_echo(agent, user)
    assert found is not None
    assert abs(found.delay_ms - delay) <= WINDOW_MS
    assert found.attenuation_db == pytest.approx(quieter, abs=1.0)
    assert found.correlation > 0.85


def test_a_gain_that_makes_it_louder() -> None:
    agent = speech(6, 3, loud=-30)
    found = find_echo(agent, mixed(room(7.2, 4), later(agent, 200, -8.0, 360)))
    assert found is not None
    assert (found.delay_ms, round(found.attenuation_db)) == (200, -8)


def test_a_caller_who_speaks_in_the_middle_does_not_hide_it() -> None:
    agent = speech(8, 5)
    caller = later(speech(1.5, 6), 3_000, 6.0, 460)
    found = find_echo(agent, mixed(room(9.2, 7), later(agent, 300, 6.0, 460), caller))
    assert found is not None
    assert found.delay_ms == 300


def test_nobody_speaks() -> None:
    assert find_echo(speech(6, 8), room(7.2, 9)) is None
    assert find_echo(speech(6, 8), np.full(360, -127.0)) is None


def test_too_short_to_tell() -> None:
    agent = speech(2, 10)
    assert find_echo(agent, mixed(room(3.2, 11), later(agent, 200, 6.0, 160))) is None
    assert find_echo(agent, np.array([])) is None
    assert find_echo(np.array([]), np.array([])) is None


def test_while_echo_cancelling_warms_up_nothing_is_heard() -> None:
    """LiveKit sends zeros for three seconds: what comes after them is enough."""
    agent = speech(8, 12)
    user = mixed(room(9.2, 13), later(agent, 240, 10.0, 460))
    user[:150] = -127.0
    found = find_echo(agent, user)
    assert found is not None
    assert (found.delay_ms, round(found.attenuation_db)) == (240, 10)


def test_two_who_speak_at_the_same_time_are_no_echo() -> None:
    """Of 400 pairs of voices, of 3 to 10 s, none."""
    found = [
        seed
        for seed in range(400)
        if find_echo(
            speech(3 + seed % 8, seed),
            mixed(room(4.2 + seed % 8, seed), speech(4.2 + seed % 8, 1_000 + seed)),
        )
    ]
    assert found == []


def test_a_caller_who_answers_in_the_pauses_is_no_echo() -> None:
    found = []
    for seed in range(100):
        agent = speech(6, seed)
        words = np.full(360, -120.0)
        words[100:180] = speech(1.6, 500 + seed)[:80]
        if find_echo(agent, mixed(room(7.2, seed), words)):
            found.append(seed)
    assert found == []


def test_a_hum_that_comes_and_goes_is_no_echo() -> None:
    """A phone that vibrates: the same at many delays."""
    hum = np.array([-30.0 if n % 20 < 10 else ROOM for n in range(360)])
    assert find_echo(hum[:300], hum) is None


def test_frames_become_a_curve() -> None:
    """50 ms each, at -20 and -40 dBFS, the second after a pause of 20 ms."""
    levels = curve([(0, 40_000, -20.0), (60_000, 40_000, -40.0)])
    assert [round(float(level)) for level in levels] == [-20, -20, -127, -40, -40]
    assert curve([]).size == 0
    # A frame of 50 ms that begins before: what is before 0 does not count.
    assert [round(float(level)) for level in curve([(-10_000, 50_000, -30.0)])] == [-30, -30]


def test_windows_of_10_ms_become_windows_of_20() -> None:
    """Power is averaged: -10 and -20 dBFS are -12.6; what is left over is too short to count."""
    levels = halved(np.array([-10.0, -20.0, -127.0, -127.0, -5.0]))
    assert [round(float(level), 1) for level in levels] == [-12.6, -127.0]
