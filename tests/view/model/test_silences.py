from __future__ import annotations

from dataclasses import replace

from prefactor_agent.view.model.bars import turn_bars
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.silences import silences
from view.calls import spoken_call, task_call, us


def test_a_recorded_latency_is_what_counts() -> None:
    spans = spoken_call()
    latency = {
        "perceived_ms": 2300.0,
        "stages": [
            {"name": "vad", "ms": 400.0},
            {"name": "llm_ttft", "ms": 600.0},
            {"name": "tool:look_up", "ms": 500.0},
            {"name": "llm_ttft_2", "ms": 800.0},
        ],
        "basis": {"from": "vad_end", "to": "audio"},
    }
    spans[3] = replace(spans[3], result={**spans[3].result, "latency": latency})
    call = build(spans)
    found = turn_bars(call, call.turns[0], silences(call).of(call.turns[0]))
    assert found.silence is not None
    assert (found.silence.begins_us, found.silence.ends_us) == (us(2400), us(4700))
    assert found.slowest is not None
    assert found.slowest[:2] == ("llm_ttft_2", 800_000)
    assert found.slowest.bar is not None
    assert found.slowest.bar.span is not None
    assert found.slowest.bar.span.id == "l2"


def test_the_silence_after_a_task_stands_where_it_was() -> None:
    """The speech that the task came back to answers the last words in the task."""
    spans = task_call()
    spans[2].result["latency"] = {
        "perceived_ms": 5600.0,
        "stages": [
            {"name": "tool:ask_address", "ms": 5500.0},
            {"name": "leading_silence", "ms": 100.0},
        ],
        "basis": {"from": "audio", "to": "audio"},
    }
    spans[2].result["moments_us"]["user_speech_ended"] = 1_800_000
    call = build(spans)
    found = silences(call).of(call.turns[0])
    assert found is not None
    assert (found.begins_us, found.ends_us) == (us(6900), us(12_500))


def test_a_silence_stands_where_it_is_recorded_to_begin() -> None:
    """The caller spoke once more after the first words of the answer, and waited for its rest."""
    spans = spoken_call()
    spans[3].result["latency"] = {
        "at_us": us(5000) - us(0),
        "perceived_ms": 300.0,
        "stages": [{"name": "tool:look_up", "ms": 300.0}],
        "basis": {"from": "audio", "to": "audio"},
    }
    call = build(spans)
    (found,) = silences(call).all
    assert (found.begins_us, found.ends_us) == (us(5000), us(5300))


def test_a_voice_that_was_cut_off_in_its_leading_silence_was_not_heard() -> None:
    spans = spoken_call()
    spans[3].result["playback_position_s"] = 0.2
    spans[-1].result["leading_silence_ms"] = 200
    assert not silences(build(spans)).all
    spans[-1].result["leading_silence_ms"] = 199
    assert len(silences(build(spans)).all) == 1


def test_an_agent_that_spoke_over_the_caller_ended_no_silence() -> None:
    spans = spoken_call()
    spans[3].result["latency"] = {"perceived_ms": 0, "stages": [], "overlap_ms": 100.0}
    spans[3].result["moments_us"]["playback_started"] = 1_900_000
    assert not silences(build(spans)).all
