"""Turns to measure. Those written by hand have their moments in milliseconds after the user's last
sound."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from prefactor_agent.conversation import AgentSide, Latency, ModelCall, UserSide, VoiceCall
from prefactor_agent.conversation.split import Step, split

MS = 1_000_000
BASE = 5_000_000 * MS

present = st.integers(-3_000_000_000, 20_000_000_000)
moments = st.none() | present


def ms(moment: float | None) -> int | None:
    return None if moment is None else BASE + int(moment * MS)


def asked(
    vad: float | None = 500,
    final: float | None = 600,
    committed: float | None = 650,
    hook: float | None = 660,
    **more: Any,
) -> UserSide:
    return UserSide(
        heard_until=ms(0),
        vad_ended=ms(vad),
        final_transcript=ms(final),
        committed=ms(committed),
        hook_done=ms(hook),
        **more,
    )


def model(called: float, first: float | None, ended: float | None = None, *tools: str) -> ModelCall:
    return ModelCall(ms(called) or 0, ms(first), ms(ended), tools)


def voice(called: float, text: float, frame: float | None, silence: float = 150) -> VoiceCall:
    late = ((0, ms(frame) or 0),) if frame is not None else ()
    return VoiceCall(ms(called) or 0, ms(text), ms(frame), int(silence * MS), late)


def reply(created: float = 661, playing: float | None = 1400, **more: Any) -> AgentSide:
    return AgentSide(created=ms(created) or 0, playback_started=ms(playing), **more)


def told(latency: Latency | None) -> dict[str, float]:
    assert latency is not None
    stages: dict[str, float] = {}
    for name, us in latency.stages:
        stages[name] = stages.get(name, 0) + us / 1000
    assert sum(us for _, us in latency.stages) == latency.perceived_us
    return stages


def one(perceived: int, **stages: int) -> Latency:
    """A silence of a length, of which the stages took so much (in nanoseconds)."""
    return Latency(0, perceived, split(0, perceived, _steps(stages)), "audio", "audio")


def _steps(stages: dict[str, int]) -> list[Step]:
    steps, at = [], 0
    for name, length in stages.items():
        at += length
        steps.append(Step(name, None, at))
    return steps
