"""The messages of a conversation as plain data. Reads public attributes only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from livekit.agents import llm

from ...core.json import JSON
from . import media

OFF_THE_RECORD = "[off the record]"
MESSAGES_KEPT = 20
"""The latest messages of an LLM call's input that its span keeps; the others are counted."""


class Messages:
    """The input of an LLM call as plain data. Called off the event loop.

    Args:
        hides: Whether the words of an item are off the record.

    Most of a conversation is in every call again; what has been described is kept by item id.
    Images and audio are described (media.py), never copied."""

    def __init__(self, hides: Callable[[Any], bool] = lambda item: False) -> None:
        self._hides = hides
        self._described: dict[str, tuple[Any, JSON]] = {}

    def describe(self, items: Sequence[Any], total: int) -> JSON:
        described: dict[str, tuple[Any, JSON]] = {}
        for item in items:
            known = self._described.get(item.id)
            described[item.id] = known if known and known[0] is item else (item, _item(item))
        self._described = described
        messages = [
            _hidden(message) if self._hides(item) else message
            for item, message in described.values()
        ]
        inputs: JSON = {"messages": messages}
        if pictures := sum(_pictures(item) for item in items):
            inputs["images"] = pictures
        if total > len(items):
            inputs |= {"messages_total": total, "messages_omitted": total - len(items)}
        return inputs


def _hidden(message: JSON) -> JSON:
    """A message without its words."""
    kept = {key: OFF_THE_RECORD if key == "content" else part for key, part in message.items()}
    if isinstance(call := message.get("tool_call"), dict):
        kept["tool_call"] = {**call, "arguments": OFF_THE_RECORD}
    return kept


def describe_message(item: llm.ChatMessage) -> JSON:
    """A message of the history, with what LiveKit measured of it."""
    return {
        "id": item.id,
        "type": item.type,
        "role": item.role,
        "content": [_part(part) for part in item.content],
        "interrupted": item.interrupted,
        "metrics": dict(item.metrics or {}),
        "created_at": item.created_at,
    }


def _item(item: Any) -> JSON:
    match item:
        case llm.ChatMessage():
            return {"role": item.role, "content": _content(item.content)}
        case llm.FunctionCall():
            return {
                "role": "assistant",
                "tool_call": {
                    "call_id": item.call_id,
                    "name": item.name,
                    "arguments": item.arguments,
                },
            }
        case llm.FunctionCallOutput():
            return {
                "role": "tool",
                "call_id": item.call_id,
                "name": item.name,
                "content": item.output,
                "is_error": item.is_error,
            }
        case _:
            return {"role": "other", "type": getattr(item, "type", type(item).__name__)}


def _content(parts: Sequence[Any]) -> str | list[Any]:
    # A mark in newer versions, and nothing that was said.
    plain = [_part(part) for part in parts if type(part).__name__ != "CacheBreakpoint"]
    return plain[0] if len(plain) == 1 and isinstance(plain[0], str) else plain


def _part(part: Any) -> Any:
    return part if isinstance(part, str) else media.described(part)


def _pictures(item: Any) -> int:
    content = item.content if isinstance(item, llm.ChatMessage) else ()
    return sum(isinstance(part, llm.ImageContent) for part in content)
