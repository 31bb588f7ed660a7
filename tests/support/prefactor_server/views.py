"""The shapes of answers, as prefactor-http's models read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .errors import Json, invalid
from .state import State

PAGE_SIZE, PAGE_SIZE_MAX = 25, 100


def success(details: Json, state: State) -> Json:
    """A single action's answer; `control` rides on whatever belongs to a terminated instance."""
    answer: Json = {"status": "success", "details": details}
    if details["type"] == "agent_span":
        instance = state.instances[details["agent_instance_id"]]
        if instance["status"] == "terminated":
            answer["control"] = {"terminate": True, "reason": instance["termination_reason"]}
    return answer


def instance(details: Json, state: State) -> Json:
    counts = state.status_counts.get(details["id"], Counter[str]())
    finished = {name: counts.get(name, 0) for name in ("complete", "failed", "cancelled")}
    total = sum(counts.values())
    return {
        **details,
        "span_counts": {
            "total": total,
            "active": counts.get("active", 0),
            **finished,
            "finished": sum(finished.values()),
        },
    }


def page(rows: list[Json], query: Mapping[str, str]) -> Json:
    offset = _number(query, "pagination[offset]", 0, least=0)
    size = _number(query, "pagination[page_size]", PAGE_SIZE, least=1)
    if size > PAGE_SIZE_MAX:
        raise invalid("pagination[page_size]", f"is above {PAGE_SIZE_MAX}", rule="pagination")
    shown = rows[offset : offset + size]
    following = offset + size
    return {
        "status": "success",
        "summaries": shown,
        "pagination": {
            "item_count": len(rows),
            "item_start": offset + 1 if shown else 0,
            "item_end": offset + len(shown),
            "next_page_offset": following if following < len(rows) else None,
            "page_count": -(-len(rows) // size),
            "page_index": offset // size + 1,
            "page_offset": offset,
            "page_size": size,
            "previous_page_offset": max(0, offset - size) if offset else None,
        },
        "sorting": {"field": "inserted_at", "direction": "asc"},
    }


def _number(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text: Any = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise invalid(name, "is not a valid number", rule="pagination")
    return int(text)
