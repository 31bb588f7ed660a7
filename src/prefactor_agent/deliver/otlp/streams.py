"""The chunks of a span's streams, and the moments of a turn, for OpenTelemetry: sums as attributes,
and a few events; never one a chunk, of which a call has thousands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from ...core.json import JSON, without_none
from ...core.values import as_int, mapping, mappings, number, text
from ...journal import columns
from .attributes import seconds

MOST_EVENTS = 16
"""Of a span, besides exceptions."""
_GAP_US = 200_000
"""A pause between two chunks from which on it is an event."""
_SUMS = ("unit", "count", "total", "merged", "text_cut", "seconds", "loudest_dbfs")
_SECONDS = {"first_us": "first", "last_us": "last", "longest_gap_us": "longest_gap"}


class Event(NamedTuple):
    """Something that happened in a span."""

    at_us: int
    """Microseconds since the Unix epoch."""
    name: str
    attributes: JSON


def sums(streams: JSON) -> JSON:
    """The exact sums of each stream, by name; offsets and gaps in seconds."""
    found: JSON = {}
    for name, stream in streams.items():
        stream, prefix = mapping(stream), f"prefactor.stream.{name}"
        for key in _SUMS:
            found[f"{prefix}.{key}"] = stream.get(key)
        for key, short in _SECONDS.items():
            micros = number(stream.get(key))
            found[f"{prefix}.{short}"] = None if micros is None else round(micros / 1e6, 6)
    return without_none(found)


def chunk_events(started_us: int, streams: Mapping[str, Sequence[str]], most: int) -> list[Event]:
    """The first and the last chunk of each stream and, as far as there is room, its longest gaps.

    Args:
        started_us: Of the span.
        streams: Chunk columns (JSON) by stream.
        most: How many events there may be.

    Raises:
        ValueError: The columns are damaged.
    """
    found: list[Event] = []
    for name, parts in streams.items():
        room = most // len(streams)
        whole = columns.joined(map(columns.read, parts))
        offsets, sizes = whole.get("offset_us", []), whole.get("size", [])
        if not offsets or room < 2:
            continue
        ends = [(0, "first_chunk"), (len(offsets) - 1, "last_chunk")]
        for row, what in ends if len(offsets) > 1 else ends[:1]:
            size = {"prefactor.chunk.size": sizes[row]}
            found.append(Event(started_us + offsets[row], f"{name}.{what}", size))
        longest = sorted(_gaps(whole), reverse=True)[: room - 2]
        for gap_us, offset_us in longest:
            lasted = {"prefactor.gap": round(gap_us / 1e6, 6)}
            found.append(Event(started_us + offset_us, f"{name}.gap", lasted))
    return sorted(found, key=itemgetter(0))


def _gaps(whole: JSON) -> Iterator[tuple[int, int]]:
    """The pauses between chunks, in microseconds: how long, and at which offset they began. Inside
    rows that stand for several chunks nobody knows where those were."""
    offsets, counts = whole["offset_us"], whole.get("n")
    for row in range(1, len(offsets)):
        alone = counts is None or counts[row - 1] == 1
        gap = offsets[row] - offsets[row - 1]
        if alone and gap >= _GAP_US:
            yield gap, offsets[row - 1]


def turn_events(session_started_us: int | None, result: JSON) -> list[Event]:
    """The moments of a turn or a call, the silences inside an answer, and where it was paused.

    Args:
        session_started_us: From when moments count; without it there are none.
    """
    if session_started_us is None:
        return []
    # Those of the question that it answers are in the user's own turn.
    found: list[tuple[Any, str, JSON]] = [
        (at, name, {})
        for name, at in mapping(result.get("moments_us")).items()
        if not name.startswith("user_")
    ]
    for gap in mappings(result.get("gaps")):
        lasted = {"prefactor.gap": seconds(gap.get("ms")), "prefactor.cause": gap.get("cause")}
        found.append((gap.get("at_us"), "gap", without_none(lasted)))
    for moment in mappings(result.get("moments")):
        verdict = {f"prefactor.{key}": moment.get(key) for key in ("verdict", "probability")}
        found.append(
            (moment.get("at_us"), text(moment.get("kind")) or "moment", without_none(verdict))
        )
    pauses = mappings(result.get("pauses"))
    found += [(pause.get("at_us"), text(pause.get("state")) or "pause", {}) for pause in pauses]
    events = [
        Event(session_started_us + micros, name, attributes)
        for at, name, attributes in found
        if (micros := as_int(at)) is not None
    ]
    return sorted(events, key=itemgetter(0))[:MOST_EVENTS]
