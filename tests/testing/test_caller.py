from __future__ import annotations

import asyncio

import pytest

from prefactor_agent.testing.caller import CallerMicrophone


@pytest.mark.parametrize("speed", [1.0, 3.0, 4.0, 7.5])
async def test_the_caller_sounds_for_as_long_as_they_speak_at_any_speed(speed: float) -> None:
    microphone = CallerMicrophone(speed)
    clock = asyncio.get_running_loop().time
    began = clock()
    frames = [await microphone.__anext__() for _ in range(100)]
    sounded = sum(frame.samples_per_channel for frame in frames) / frames[0].sample_rate
    assert sounded == pytest.approx(2 / speed, abs=1e-4)
    assert clock() - began == pytest.approx(sounded, rel=0.02)
