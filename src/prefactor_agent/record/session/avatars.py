"""Avatars that speak for the agent (``livekit.agents.voice.avatar``): how long each took to come
into the room, and how much later than the agent's audio its own is heard.

LiveKit measures both (``AvatarMetrics``, from 1.6 on)."""

from __future__ import annotations

from typing import Any

from ...conversation import median
from ...core.clock import from_wall
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..turns.state import Scope

KEPT = 500
"""Latencies that are kept of each avatar."""


class Avatars:
    """Keeps what LiveKit measures of the avatars of one session, by their provider."""

    def __init__(self, scope: Scope) -> None:
        self._spans = scope.spans
        self._avatars: dict[str, JSON] = {}
        self._latencies: dict[str, list[float]] = {}

    @guarded("avatars.measured")
    def on_measured(self, measured: Any) -> None:
        """LiveKit measured something that is no model's."""
        if getattr(measured, "type", None) != "avatar_metrics":
            return
        provider = getattr(measured.metadata, "model_provider", None) or "unknown"
        avatar = self._avatars.setdefault(provider, {"provider": provider})
        started, joined = measured.session_started_time, measured.avatar_joined_time
        if joined is not None:
            avatar["joined_us"] = self._spans.offset_us(from_wall(joined))
        if joined is not None and started is not None:
            avatar["join_ms"] = round((joined - started) * 1000, 3)
        if measured.playback_latency:
            known = self._latencies.setdefault(provider, [])
            if len(known) < KEPT:
                known.append(measured.playback_latency * 1000)

    def result(self) -> JSON:
        """What the session's span says of them."""
        return {"avatars": [self._told(one) for one in self._avatars.values()] or None}

    def _told(self, avatar: JSON) -> JSON:
        latencies = self._latencies.get(avatar["provider"])
        if not latencies:
            return {**avatar}
        return without_none(
            {
                **avatar,
                "spoke": len(latencies),
                "playback_latency_median_ms": round(median(latencies), 3),
                "playback_latency_worst_ms": round(max(latencies), 3),
            }
        )
