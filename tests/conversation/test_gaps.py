"""Silences inside an answer."""

from __future__ import annotations

from conversation.turns import MS
from prefactor_agent.conversation import AgentSide, ModelCall, VoiceCall, starved


def test_silence_inside_an_answer_is_told_with_its_cause():
    late = (
        (0, 1_000 * MS),
        (500 * MS, 1_300 * MS),  # 300 ms short while the model still wrote
        (900 * MS, 1_800 * MS),  # and 500 ms after it was done
        (1_500 * MS, 1_900 * MS),  # too short a gap to be heard as one
    )
    spoken = AgentSide(
        created=0,
        models=[ModelCall(100 * MS, 200 * MS, 1_900 * MS)],
        voices=[VoiceCall(200 * MS, 300 * MS, 1_000 * MS, 100 * MS, late)],
        playback_started=1_000 * MS,
    )
    assert starved(spoken) == [
        (1_500 * MS, 300_000, "llm"),
        (2_200 * MS, 500_000, "tts"),
    ]
    assert len(starved(spoken, until=800 * MS)) == 1
    assert starved(AgentSide(created=0)) == []
