"""A span as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..core.json import JSON
from ..core.values import mapping


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span as it is kept. Times are microseconds since the Unix epoch."""

    id: str
    session_id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    started_us: int
    finished_us: int | None
    payload: JSON
    result: JSON

    @property
    def at_provider(self) -> bool:
        """Whether the model's provider ran this tool itself, and reported it when it was over:
        nobody knows when it began."""
        ran = self.payload.get("run_by") == "provider" and self.finished_us is not None
        return ran and "duration_ms" not in self.result

    @property
    def duration_us(self) -> int | None:
        """``None``: the span is open, or nobody knows when it began."""
        if self.finished_us is None or self.at_provider:
            return None
        return self.finished_us - self.started_us

    def stream(self, name: str) -> JSON:
        """What passed through one of the span's streams; empty if it has no such stream."""
        return mapping(mapping(self.result.get("streams")).get(name))


def with_streams(result: JSON, columns: Mapping[str, JSON]) -> JSON:
    """A span's result with what passed through its streams.

    Args:
        columns: By the stream's name, its chunks as columns: see :mod:`..journal.columns`.
    """
    if not columns:
        return result
    streams = dict(mapping(result.get("streams")))
    for name, part in columns.items():
        streams[name] = {**mapping(streams.get(name)), **part}
    return {**result, "streams": streams}
