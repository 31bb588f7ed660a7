"""What the GenAI conventions say of a call of a model: messages, tokens, why it ended.

The names are those of the conventions' own repository, version 0.1.0 (the split by modality, and
``cache_write``, are new there). Where readers still know an older name, that one is sent, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json

from ...core.json import JSON, without_none
from ...core.values import as_int, as_list, mapping, mappings, text
from .attributes import as_text

FINISH_REASONS = {"stop": "stop", "tool-calls": "tool_call"}
"""Ours, and the conventions'."""


def user_message(words: str) -> JSON:
    """What the user said, as a message."""
    return {"role": "user", "parts": [_text_part(words)]}


def input_messages(messages: Iterable[JSON]) -> list[JSON]:
    """The messages of a request: ``inputs.messages`` of a ``livekit:llm``. What is no message (a
    change of the agent's configuration) is left out."""
    made: list[JSON] = []
    for message in messages:
        role = text(message.get("role"))
        if role == "other":
            continue
        if call := mapping(message.get("tool_call")):
            parts = [_call_part(call)]
            # Calls that were made together are one message of the assistant's.
            if made and made[-1]["role"] == role and made[-1]["parts"][-1]["type"] == "tool_call":
                made[-1]["parts"] += parts
                continue
        elif role == "tool":
            parts = [
                without_none(
                    {
                        "type": "tool_call_response",
                        "id": message.get("call_id"),
                        "name": message.get("name"),
                        "response": message.get("content"),
                    }
                )
            ]
        else:
            parts = _content_parts(message.get("content"))
        made.append({"role": role, "parts": parts})
    return made


def output_message(words: str, calls: Iterable[JSON], finish_reason: str) -> JSON | None:
    """The model's answer; ``None``: it gave none."""
    parts = [_text_part(words)] if words else []
    parts += [_call_part(call) for call in calls]
    if not parts:
        return None
    return {"role": "assistant", "parts": parts, "finish_reason": finish_reason}


def chat(messages: Iterable[JSON]) -> list[JSON]:
    """The same messages as chat completions have them, which Phoenix and Langfuse draw."""
    made: list[JSON] = []
    for message in messages:
        parts: list[JSON] = message["parts"]
        first = parts[0]["type"] if parts else ""
        if first == "tool_call_response":
            answer = {"tool_call_id": parts[0].get("id"), "content": parts[0].get("response")}
            made.append(without_none({"role": message["role"], **answer}))
            continue
        words = [part["content"] for part in parts if part["type"] == "text"]
        others = [part for part in parts if part["type"] not in ("text", "tool_call")]
        calls = [_chat_call(part) for part in parts if part["type"] == "tool_call"]
        content = [*words, *others] if others else "\n".join(map(as_text, words)) or None
        whole = {"role": message["role"], "content": content, "tool_calls": calls or None}
        made.append(without_none(whole))
    return made


def usage(reported: JSON, counted: JSON) -> JSON:
    """The tokens of a call of a model. Parts that are zero are left out: LiveKit reports zero, too,
    where the provider said nothing.

    Args:
        reported: ``usage`` of a ``livekit:llm`` or ``livekit:realtime``.
        counted: Its ``token_usage``.
    """
    into, out = as_int(counted.get("prompt_tokens")), as_int(counted.get("completion_tokens"))
    if into is None and out is None:
        return {}
    inputs = mapping(reported.get("input_token_details"))
    outputs = mapping(reported.get("output_token_details"))
    cached = mapping(inputs.get("cached_tokens_details"))
    cache_read = _first(reported, "cache_read_tokens", "prompt_cached_tokens")
    cache_read = cache_read or _first(inputs, "cached_tokens")
    cache_write = _first(reported, "cache_creation_tokens")
    reasoning = _first(reported, "reasoning_tokens")
    split: JSON = {}
    for modality in ("text", "audio", "image"):
        key, names = f"{modality}_tokens", f"gen_ai.usage.{modality}"
        split[f"{names}.input_tokens"] = _first(inputs, key)
        split[f"{names}.output_tokens"] = _first(outputs, key)
        split[f"{names}.cache_read.input_tokens"] = _first(cached, key)
    return without_none(
        {
            "gen_ai.usage.input_tokens": into,
            "gen_ai.usage.output_tokens": out,
            "gen_ai.usage.cache_read.input_tokens": cache_read,
            "gen_ai.usage.cache_write.input_tokens": cache_write,
            "gen_ai.usage.cache_creation.input_tokens": cache_write,
            "gen_ai.usage.reasoning.output_tokens": reasoning,
            **split,
            # OpenInference's, as far as Phoenix does not make them of those above.
            "llm.token_count.prompt": into,
            "llm.token_count.completion": out,
            "llm.token_count.total": as_int(counted.get("total_tokens")),
            "llm.token_count.prompt_details.audio": split["gen_ai.usage.audio.input_tokens"],
            "llm.token_count.completion_details.audio": split["gen_ai.usage.audio.output_tokens"],
            "llm.token_count.completion_details.reasoning": reasoning,
        }
    )


def _first(counts: Mapping[str, Any], *keys: str) -> int | None:
    """The first count that is more than zero."""
    return next((found for key in keys if (found := as_int(counts.get(key)))), None)


def _text_part(words: str) -> JSON:
    return {"type": "text", "content": words}


def _call_part(call: JSON) -> JSON:
    arguments = call.get("arguments")
    return without_none(
        {
            "type": "tool_call",
            "id": call.get("call_id"),
            "name": call.get("name"),
            "arguments": _parsed(arguments) if isinstance(arguments, str) else arguments,
        }
    )


def _chat_call(part: JSON) -> JSON:
    function = {"name": part.get("name"), "arguments": as_text(part.get("arguments", ""))}
    return without_none({"id": part.get("id"), "type": "function", "function": function})


def _content_parts(content: Any) -> list[JSON]:
    """The parts of a message: texts, and descriptions of pictures and sound."""
    if isinstance(content, str):
        return [_text_part(content)]
    parts = [_text_part(part) for part in as_list(content) if isinstance(part, str)]
    return parts + [{"type": "other", **part} for part in mappings(content)]


def _parsed(arguments: str) -> Any:
    """The model's own JSON text, parsed as the conventions want it."""
    try:
        return from_json(arguments)
    except ValueError:
        return arguments
