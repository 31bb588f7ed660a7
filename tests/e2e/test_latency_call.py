"""The latency of a real call against its waveform."""

from __future__ import annotations

from samples.offline.waveform import silences

from prefactor_agent.core.span import Span
from prefactor_agent.demo.call import run_call
from prefactor_agent.demo.recording import RATE, stereo
from prefactor_agent.tracing import tracer


class Kept:
    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}

    def put(self, span: Span) -> None:
        self.spans[span.id] = span

    def flush(self, timeout: float) -> bool:
        return True

    def results(self, type_: str) -> list[dict]:
        found = [span for span in self.spans.values() if span.type == type_]
        return [span.result() if callable(span.result) else span.result for span in found]


async def test_each_answer_is_as_late_as_the_waveform_says():
    kept = Kept()
    tracer.send_to(kept)
    try:
        call = await run_call()
    finally:
        tracer.send_to(None)
    both = stereo(call.caller, call.agent, call.started_at, call.ended_at)
    heard = silences(both[:, 0], both[:, 1], RATE)
    turns = [one for one in kept.results("livekit:assistant_turn") if "latency" in one]
    told = [one["latency"] for one in turns]
    print()
    for (at, seconds), latency in zip(heard, told, strict=False):
        stages = " ".join(f"{one['name']}={one['ms']:.0f}" for one in latency["stages"])
        error = latency["perceived_ms"] - seconds * 1000
        print(f"{at:7.3f} s  {seconds * 1000:7.1f} ms  {error:+6.1f}  {stages}")

    assert len(heard) == len(told) == 5
    for (_, seconds), latency in zip(heard, told, strict=True):
        assert latency["basis"] == {"from": "audio", "to": "audio"}
        assert abs(latency["perceived_ms"] - seconds * 1000) <= 40
        assert round(sum(one["ms"] for one in latency["stages"]), 3) == latency["perceived_ms"]
        stages = {one["name"]: one["ms"] for one in latency["stages"]}
        assert stages.get("unattributed", 0) <= 0.01 * latency["perceived_ms"]
    assert "barge_in_ms" in next(one for one in turns if one["interrupted"])
    session = kept.results("livekit:session")[0]["latency"]
    assert session["turns"] == 5
    assert session["worst_ms"] == max(one["perceived_ms"] for one in told)
