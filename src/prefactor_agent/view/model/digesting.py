"""Works out the digest of a call: see :mod:`.digest`, which is all that who reads digests loads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ...core.json import JSON
from ...core.values import mapping, text
from ...stored.source import Source
from ...stored.span import StoredSpan
from .call_latencies import call_latencies, in_columns
from .calltree import CallTree, build
from .latencies import TurnLatency
from .silences import needs_streams
from .summarize import summarize
from .summary import Summary
from .usage import usage_of


def work_out(source: Source, session_id: str, now_us: int | None = None) -> JSON:
    """The data of the digest of a call.

    Args:
        now_us: The present, in microseconds since the Unix epoch. Default: now.

    Raises:
        SourceError
    """
    _, spans = source.progress(session_id)  # read first: what ends later is noticed
    call = replace(read(source, session_id), last_us=source.last_sign(session_id))
    now = time.time_ns() // 1000 if now_us is None else now_us
    return digested(session_id, call, summarize(call, now, source.alive(session_id)), spans)


def read(source: Source, session_id: str) -> CallTree:
    """A call with all of its silences. What passed through its streams is read only if a silence
    has to be worked out of it."""
    call = build(source.outline(session_id))
    return build(source.call(session_id)) if needs_streams(call) else call


def digested(session_id: str, call: CallTree, summary: Summary, spans: int) -> JSON:
    """The data of the digest of a call.

    Args:
        summary: Of the same call.
        spans: How many spans of it had ended when it was read.
    """
    payload = call.session.payload if call.session is not None else {}
    version = payload.get("agent_version")
    silences, usage = call_latencies(session_id, call), usage_of(call)
    return {
        "id": session_id,
        "spans": spans,
        "agents": sorted(names_of(payload)),
        "agent_version": str(version) if version is not None else None,
        "summary": asdict(summary),
        "turns": silences.as_json(),
        "pickup": silences.pickup,
        "tools": [_tool(span) for span in call.spans("tool")],
        "errors": [
            (text(span.payload.get("source")), text(span.payload.get("error_type")))
            for span in call.spans("error")
        ],
        "usage": usage.models,
        "usage_so_far": usage.so_far,
        "rates": mapping(payload.get("rates")),
    }


def renewed(data: Mapping[str, Any]) -> JSON | None:
    """The data of a digest of version 4; ``None``: the call has to be worked out again, because it
    had not told what it used."""
    if not data["usage"]:
        return None
    turns = [TurnLatency(data["id"], **turn) for turn in data["turns"]]
    columns = in_columns(data["id"], turns, None).as_json()
    return {**data, "turns": columns, "usage_so_far": False}


def names_of(payload: JSON) -> set[str]:
    """The names that a user may know the agent of a session by."""
    job = mapping(payload.get("job"))
    names = (payload.get("agent_name"), payload.get("agent_class"), job.get("agent_name"))
    return {name for name in names if isinstance(name, str)}


def _tool(span: StoredSpan) -> tuple[str, float | None, str]:
    took = span.duration_us
    return span.name, took / 1000 if took is not None else None, span.status
