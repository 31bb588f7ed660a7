"""Calls of which nothing is told but what their models used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prefactor_agent.stored.span import StoredSpan
from view.calls import session

LLM: dict[str, Any] = {
    "type": "llm_usage", "provider": "openai", "model": "gpt-4o", "input_tokens": 1000,
    "input_cached_tokens": 400, "output_tokens": 100, "session_duration": 0.0,
}  # fmt: skip
STT: dict[str, Any] = {
    "type": "stt_usage", "provider": "deepgram", "model": "nova-3", "audio_duration": 30.0,
}  # fmt: skip
TTS: dict[str, Any] = {
    "type": "tts_usage", "provider": "cartesia", "model": "sonic-3", "characters_count": 200,
    "audio_duration": 12.0,
}  # fmt: skip


def priced_session(
    usage: list[dict[str, Any]], rates: dict[str, dict[str, float]] | None = None
) -> StoredSpan:
    span = session(usage={"model_usage": usage})
    return replace(span, payload={**span.payload, **({"rates": rates} if rates else {})})


def priced_call(
    usage: list[dict[str, Any]], rates: dict[str, dict[str, float]] | None = None
) -> list[StoredSpan]:
    return [priced_session(usage, rates)]
