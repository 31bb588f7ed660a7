"""Calls of versions of an agent, of which nothing is told but figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prefactor_agent.stored.span import StoredSpan
from view.calls import ZERO_US, us
from view.pickups import picked_up


def call(
    id_: str,
    version: str,
    turns_ms: list[float],
    *,
    day: int = 0,
    tool_ms: float | None = None,
    failed: bool = False,
    cut: bool = False,
) -> list[StoredSpan]:
    """A call of a turn every ten seconds.

    Args:
        turns_ms: The dead air of each; half of it is ``vad``, half ``llm_ttft``.
        day: On which day it began.
        tool_ms: How long a tool took that was called in the first.
        failed: That it failed.
        cut: Whether the last answer was interrupted.
    """

    def span(
        own: str, type_: str, begun: float, ended: float, status: str = "complete", **result: Any
    ) -> StoredSpan:
        parent = None if own == id_ else id_
        payload = {"agent_class": "Shop", "agent_version": version} if parent is None else {}
        return StoredSpan(
            own, id_, parent, f"livekit:{type_}", type_.split(":")[-1], status,
            us(begun), us(ended), payload, result,
        )  # fmt: skip

    spans = [span(id_, "session", 0, 100_000, pickup=picked_up())]
    for index, ms in enumerate(turns_ms):
        begun = 10_000.0 * (index + 1)
        user, answer = f"{id_}-u{index}", f"{id_}-a{index}"
        spans.append(span(user, "user_turn", begun, begun + 1000, transcript="Where is it?"))
        stages = [{"name": name, "ms": ms / 2} for name in ("vad", "llm_ttft")]
        latency = {"perceived_ms": ms, "stages": stages, "basis": {"from": "audio", "to": "audio"}}
        last = cut and index == len(turns_ms) - 1
        spans.append(
            span(
                answer, "assistant_turn", begun + 1000, begun + 4000,
                latency=latency, user_turn_id=user, interrupted=last, spoken_text="There.",
                generated_text="There. Or not." if last else "There.",
            )
        )  # fmt: skip
        if index == 0 and tool_ms is not None:
            status = "failed" if failed else "complete"
            tool = span(f"{id_}-t", "tool:look_up", begun + 1100, begun + 1100 + tool_ms, status)
            spans.append(replace(tool, parent_id=answer))
    later = day * 86_400_000_000
    return [
        replace(
            one,
            started_us=one.started_us + later,
            finished_us=(one.finished_us or ZERO_US) + later,
        )
        for one in spans
    ]
