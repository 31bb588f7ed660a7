"""Payloads within a size, which say when they were cut."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from .text import cut_text

PAYLOAD_LIMIT = 262_144
"""Characters of JSON that a payload or a result may have in the journal and at Prefactor."""
STRING_LIMIT = 65_536
"""Characters that any one text in it may have."""
_STEPS = (16_384, 4_096, 1_024, 256)
_ITEMS = 200


def bounded(text: str, limit: int = PAYLOAD_LIMIT) -> str:
    """JSON text of an object, cut to ``limit`` characters: long texts first, then long lists, then
    whatever is large. A cut object has ``"truncated": true`` and its true size."""
    return text if _is_short(text, limit) else _cut(from_json(text), text, limit)


def bounded_object(value: dict[str, Any], limit: int = PAYLOAD_LIMIT) -> str:
    """The JSON text of an object of plain values, cut as :func:`bounded` cuts it."""
    text = to_json(value).decode()
    return text if _is_short(text, limit) else _cut(value, text, limit)


def _is_short(text: str, limit: int) -> bool:
    # A text within the limit can still hold one string that is too long.
    return len(text) <= min(limit, STRING_LIMIT)


def _cut(value: Any, text: str, limit: int) -> str:
    size = len(text)
    trimmed, cut = _trim(value, STRING_LIMIT, None)
    if not cut and size <= limit:
        return text
    for step in (STRING_LIMIT, *_STEPS):
        trimmed, _ = _trim(value, step, None if step == STRING_LIMIT else _ITEMS)
        shorter = _marked(trimmed, size)
        if len(shorter) <= limit:
            return shorter
    kept: dict[str, Any] = {}
    for key, part in value.items() if isinstance(value, dict) else ():
        small, _ = _trim(part, 64, 4)
        if len(to_json(small)) <= 256 and len(kept) < 32:
            kept[key[:64]] = small
    shorter = _marked(kept, size)
    return shorter if len(shorter) <= limit else _marked({}, size)


def _marked(value: Any, size: int) -> str:
    whole = value if isinstance(value, dict) else {"value": value}
    before = whole.get("original_size") if whole.get("truncated") is True else None
    true_size = max(size, before) if isinstance(before, int) else size
    return to_json({**whole, "truncated": True, "original_size": true_size}).decode()


def _trim(value: Any, characters: int, items: int | None) -> tuple[Any, bool]:
    if isinstance(value, str):
        shorter = cut_text(value, characters)
        return shorter, shorter != value
    if isinstance(value, dict):
        pairs = {key: _trim(part, characters, items) for key, part in value.items()}
        cut = any(was_cut for _, was_cut in pairs.values())
        return {key: part for key, (part, _) in pairs.items()}, cut
    if isinstance(value, list):
        kept = value if items is None or len(value) <= items else value[:items]
        parts = [_trim(part, characters, items) for part in kept]
        trimmed = [part for part, _ in parts]
        if len(kept) < len(value):
            trimmed.append(f"… [{len(value) - len(kept)} more items]")
            return trimmed, True
        return trimmed, any(was_cut for _, was_cut in parts)
    return value, False
