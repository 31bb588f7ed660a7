from __future__ import annotations

from dataclasses import replace

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.export.outline import outline
from prefactor_agent.view.many.stats import collect
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.gaps import longest_gaps
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.terminal.waterfall import waterfall
from view.calls import spoken_call
from view.latencies import latencies_of

LATENCY = {"perceived_ms": 900.0, "stages": [{"name": "vad", "ms": 900.0}]}
GAPS = [
    {"at_us": 2_000_000, "ms": 300.0, "cause": "tts"},
    {"at_us": 3_000_000, "ms": 2_200.0, "cause": "tool:look"},
]


def call(gaps: list[dict[str, object]]) -> list[StoredSpan]:
    """A call whose first answer has these silences inside."""
    spans = list(spoken_call())
    at = next(i for i, span in enumerate(spans) if span.type == "livekit:assistant_turn")
    result = {**spans[at].result, "latency": LATENCY, **({"gaps": gaps} if gaps else {})}
    spans[at] = replace(spans[at], result=result)
    return spans


def test_every_view_gives_the_longest_silence_inside_an_answer():
    spans = call(GAPS)
    assert [gap.ms for gap in longest_gaps(build(spans))] == [2_200.0]
    assert summarize(build(spans)).worst_gap_ms == 2_200.0
    gaps = [turn["gap"] for turn in outline(spans)["turns"] if turn["gap"]]
    assert gaps == [{"ms": 2_200.0, "cause": "tool:look"}]
    assert outline(spans)["gap_worst_ms"] == 2_200.0
    stats = collect(latencies_of(spans))
    assert stats.gaps is not None
    assert (stats.gaps.count, stats.gaps.worst_ms) == (1, 2_200.0)
    drawn = "\n".join(line.plain for line in waterfall(spans, 100))
    assert "silent for 2.20 s, waiting for tool look" in drawn
    assert "silent for 300 ms, waiting for the voice" in drawn


def test_an_answer_without_a_silence_inside_has_none():
    spans = call([])
    assert summarize(build(spans)).worst_gap_ms is None
    assert collect(latencies_of(spans)).gaps is None
    assert "silent for" not in "\n".join(line.plain for line in waterfall(spans, 100))
