"""What a request to the LLM is about, by which it is recognized also if the agent changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..core.json import JSON
from ..core.values import mapping, mappings
from .format import Asked


def asked_in(messages: Sequence[Any]) -> tuple[Asked, ...]:
    """What a request is about: the user's last message and what followed it, in the form of
    ``inputs.messages`` of the trace format.

    The agent's instructions and its earlier words are left out: a changed agent has other
    instructions, and its words depend on when the user cut in."""
    items = mappings(list(messages))
    users = [index for index, item in enumerate(items) if item.get("role") == "user"]
    tail = items[users[-1] :] if users else items
    found = [one for item in tail if (one := _asked(item)) is not None]
    # Tools that run at the same time end in any order.
    return tuple(sorted(found, key=lambda one: (one.kind != "user", one.kind, one.name, one.text)))


def _asked(item: JSON) -> Asked | None:
    role = item.get("role")
    if role == "user":
        content = item.get("content")
        parts = content if isinstance(content, list) else [content]
        return Asked(kind="user", text=" ".join(p for p in parts if isinstance(p, str)))
    if role == "tool":
        return Asked(kind="result", name=str(item.get("name")), text=str(item.get("content")))
    if call := mapping(item.get("tool_call")):
        arguments = canonical(str(call.get("arguments")))
        return Asked(kind="call", name=str(call.get("name")), text=arguments)
    return None


def canonical(arguments: str) -> str:
    """The JSON text of arguments in one spelling."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return arguments
