"""Attributes of OpenTelemetry: plain values as protobuf, and the forms that several spans share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from pydantic_core import to_json

from ...core.json import JSON
from ...core.values import number

TEXT = "text/plain"
JSON_TYPE = "application/json"
_INT64 = 2**63


def key_values(attributes: Mapping[str, Any]) -> Iterator[KeyValue]:
    """Attributes as they are sent. What is ``None``, or a number that JSON cannot hold, is left
    out."""
    for key, value in attributes.items():
        if (found := _any_value(value)) is not None:
            yield KeyValue(key=key, value=found)


def _any_value(value: Any) -> AnyValue | None:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        if -_INT64 <= value < _INT64:
            return AnyValue(int_value=value)
        return AnyValue(string_value=str(value))
    if isinstance(value, float):
        return AnyValue(double_value=value) if math.isfinite(value) else None
    if isinstance(value, Sequence):
        parts = [part for one in value if (part := _any_value(one)) is not None]
        return AnyValue(array_value=ArrayValue(values=parts)) if parts else None
    return AnyValue(string_value=as_text(value)) if isinstance(value, Mapping) else None


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON text."""
    return value if isinstance(value, str) else to_json(value, inf_nan_mode="null").decode()


def seconds(ms: Any) -> float | None:
    """Seconds, of milliseconds; ``None`` where there is no number."""
    found = number(ms)
    return None if found is None else round(found / 1000, 6)


def shown(side: str, value: Any) -> JSON:
    """OpenInference's ``input.value`` or ``output.value``, with its type.

    Args:
        side: ``input`` or ``output``.
        value: ``None``: there is none.
    """
    if value is None:
        return {}
    mime = TEXT if isinstance(value, str) else JSON_TYPE
    return {f"{side}.value": as_text(value), f"{side}.mime_type": mime}
