"""A chat model with no network: from a request of OpenAI's chat completions to its answer.

Pure functions, but for the timing, which the server adds. The model knows a script: it finds the
rule for the caller's last words, asks for the rule's tools, and puts their results into its answer.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from .hearing import words
from .script import FALLBACK, GREETING, RULES, Call, Rule

Json = dict[str, Any]

_numbers = count(1)


@dataclass(frozen=True)
class Reply:
    """What the model answers: words, or tools to call."""

    text: str = ""
    calls: tuple[Call, ...] = ()

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.calls else "stop"

    def tokens(self) -> list[str]:
        """The text as it is streamed, a word at a time."""
        return [part if index == 0 else f" {part}" for index, part in enumerate(self.text.split())]


@dataclass
class Pace:
    """How long the model takes, in seconds, as a range for each wait."""

    first_token: tuple[float, float] = (0.20, 0.35)
    token: tuple[float, float] = (0.015, 0.030)
    seed: int = 1
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # the same waits each time

    def before_first(self) -> float:
        return self._random.uniform(*self.first_token)

    def before_next(self) -> float:
        return self._random.uniform(*self.token)

    @classmethod
    def none(cls) -> "Pace":
        """No waits at all, for tests."""
        return cls((0.0, 0.0), (0.0, 0.0))


def reply_to(request: Json, rules: Sequence[Rule] = RULES) -> Reply:
    """The model's answer to a chat completions request."""
    messages: list[Json] = request.get("messages", [])
    asked = last_user_message(messages)
    if asked is None:
        return Reply(GREETING)
    rule = find_rule(text_of(messages[asked]), rules)
    if rule is None:
        return Reply(FALLBACK)
    results = tool_results(messages[asked + 1 :])
    offered = {tool.get("function", {}).get("name") for tool in request.get("tools") or []}
    missing = tuple(call for call in rule.calls if call.name not in results)
    if missing and all(call.name in offered for call in missing):
        return Reply(calls=missing)
    if missing:
        return Reply(FALLBACK)
    return Reply(rule.says.format_map(results))


def last_user_message(messages: Sequence[Json]) -> int | None:
    """The index of the last message of the user."""
    indexes = [index for index, message in enumerate(messages) if message.get("role") == "user"]
    return indexes[-1] if indexes else None


def text_of(message: Json) -> str:
    """A message's text, whether its content is a string or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if part.get("type") == "text")


def tool_results(messages: Sequence[Json]) -> dict[str, str]:
    """What each tool gave back in these messages, by the tool's name."""
    names = {
        call["id"]: call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls") or []
    }
    return {
        names[message["tool_call_id"]]: text_of(message)
        for message in messages
        if message.get("role") == "tool" and message.get("tool_call_id") in names
    }


def find_rule(text: str, rules: Sequence[Rule]) -> Rule | None:
    """The rule for this question, word for word."""
    spoken = words(text)
    return next((rule for rule in rules if words(rule.question) == spoken), None)


def usage(request: Json, reply: Reply) -> Json:
    """Token counts, a word being a token."""
    prompt = sum(len(text_of(message).split()) for message in request.get("messages", []))
    completion = len(reply.tokens()) + sum(1 + 3 * len(call.arguments) for call in reply.calls)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def chunks(request: Json, reply: Reply) -> Iterator[Json]:
    """The reply as the objects of a streamed completion, in order."""
    head = _head(request, "chat.completion.chunk")

    def chunk(delta: Json, finish_reason: str | None = None) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": None if reply.calls else ""})
    for token in reply.tokens():
        yield chunk({"content": token})
    for index, call in enumerate(_tool_calls(reply)):
        arguments = call["function"]["arguments"]
        opening = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        yield chunk({"tool_calls": [opening]})
        half = len(arguments) // 2
        for part in (arguments[:half], arguments[half:]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield chunk({}, reply.finish_reason)
    if (request.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage(request, reply)}


def completion(request: Json, reply: Reply) -> Json:
    """The reply as one object, for a request that does not stream."""
    message: Json = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = _tool_calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    head = _head(request, "chat.completion")
    return {**head, "choices": [choice], "usage": usage(request, reply)}


def _head(request: Json, kind: str) -> Json:
    return {
        "id": f"chatcmpl-offline-{next(_numbers)}",
        "object": kind,
        "created": int(time.time()),
        "model": request.get("model", "offline"),
    }


def _tool_calls(reply: Reply) -> list[Json]:
    return [
        {
            "id": f"call_offline_{next(_numbers)}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for call in reply.calls
    ]
