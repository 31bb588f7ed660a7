"""Audio out of a trace: its times and its loudness are all that there is of it."""

from __future__ import annotations

from ..journal.reader import StoredSpan
from .format import Audio


def audio_of(span: StoredSpan) -> Audio | None:
    """What passed through a span's stream of audio; ``None``: nothing was recorded."""
    data = span.stream("audio")
    if not data.get("sample_rate") or not data.get("dbfs"):
        return None
    columns = {key: tuple(data[key]) for key in ("offset_us", "size", "dbfs")}
    return Audio(sample_rate=data["sample_rate"], **columns)
