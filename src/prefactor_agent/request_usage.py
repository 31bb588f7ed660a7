"""What one request of a model used, in the terms of a call's sums: from LiveKit's metrics of a
request (metrics/base.py) to its ``model_usage``, as its ``ModelUsageCollector`` does it
(metrics/usage.py). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .core.json import JSON
from .core.values import mapping, text


def request_usage(metrics: JSON) -> JSON | None:
    """What a request used, with the ``type`` of the sum; without provider and model, which the
    metrics do not say everywhere.

    Returns:
        ``None``: these are no metrics of a model that is paid for.
    """
    kind = _KINDS.get(text(metrics.get("type")))
    if kind is None:
        return None
    type_, amounts = kind
    return {"type": type_, **amounts(metrics)}


def _llm(metrics: JSON) -> Mapping[str, Any]:
    return {
        "input_tokens": metrics.get("prompt_tokens"),
        "input_cached_tokens": metrics.get("prompt_cached_tokens"),
        "input_cache_creation_tokens": metrics.get("cache_creation_tokens"),
        "output_tokens": metrics.get("completion_tokens"),
        "output_reasoning_tokens": metrics.get("reasoning_tokens"),
    }


def _realtime(metrics: JSON) -> Mapping[str, Any]:
    into, out = (mapping(metrics.get(f"{way}_token_details")) for way in ("input", "output"))
    cached = mapping(into.get("cached_tokens_details"))
    return {
        "input_tokens": metrics.get("input_tokens"),
        "input_cached_tokens": into.get("cached_tokens"),
        "input_text_tokens": into.get("text_tokens"),
        "input_cached_text_tokens": cached.get("text_tokens"),
        "input_image_tokens": into.get("image_tokens"),
        "input_cached_image_tokens": cached.get("image_tokens"),
        "input_audio_tokens": into.get("audio_tokens"),
        "input_cached_audio_tokens": cached.get("audio_tokens"),
        "output_tokens": metrics.get("output_tokens"),
        "output_text_tokens": out.get("text_tokens"),
        "output_audio_tokens": out.get("audio_tokens"),
    }


def _tts(metrics: JSON) -> Mapping[str, Any]:
    names = ("input_tokens", "output_tokens", "characters_count", "audio_duration")
    return {name: metrics.get(name) for name in names}


def _stt(metrics: JSON) -> Mapping[str, Any]:
    """Nothing of one that streams: it is given the silence between the turns, too, of which no turn
    tells. It is named, and has no price until the call is over."""
    if metrics.get("streamed"):
        return {}
    names = ("input_tokens", "input_audio_tokens", "output_tokens", "audio_duration")
    return {name: metrics.get(name) for name in names}


_KINDS: Mapping[str, tuple[str, Callable[[JSON], Mapping[str, Any]]]] = {
    "llm_metrics": ("llm_usage", _llm),
    "realtime_model_metrics": ("llm_usage", _realtime),
    "tts_metrics": ("tts_usage", _tts),
    "stt_metrics": ("stt_usage", _stt),
}
