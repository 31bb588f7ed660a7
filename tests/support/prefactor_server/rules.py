"""The form of single values: ids, keys, timestamps, numbers, marks for sensitive values."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pfid
from pydantic_core import from_json, to_json

from .errors import Json, RefusedError, invalid
from .settings import PARTITION

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_PARTITION_CHARS = pfid.generate(pfid.Partition(PARTITION))[10:16]
KEY_MIN, KEY_MAX = 8, 64
SPAN_TERMINAL = frozenset({"complete", "failed", "cancelled"})
INSTANCE_TERMINAL = SPAN_TERMINAL | {"terminated"}


def now() -> str:
    return _canonical(datetime.now(UTC))


def _canonical(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def timestamp(value: object, field: str) -> str | None:
    """The canonical form of an RFC 3339 time; None stays None."""
    if value is None:
        return None
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise invalid(field, "is not an RFC 3339 timestamp with an offset", rule="timestamp")
    try:
        return _canonical(datetime.fromisoformat(value.upper()))
    except (ValueError, OverflowError):
        raise invalid(field, "is not a valid time", rule="timestamp") from None


def new_id() -> str:
    return str(pfid.generate(pfid.Partition(PARTITION)))


def custom_id(value: object, field: str, *, check_partition: bool) -> str:
    if not isinstance(value, str) or not pfid.is_pfid(value):
        raise invalid(field, "is not a PFID", rule="pfid")
    if check_partition and value[10:16] != _PARTITION_CHARS:
        raise invalid(field, "is not in the account's partition", rule="pfid_partition")
    return value


def idempotency_key(value: object, *, minimum: int) -> str:
    if not isinstance(value, str) or not minimum <= len(value) <= KEY_MAX:
        raise invalid(
            "idempotency_key",
            f"must be a string of {minimum} to {KEY_MAX} characters",
            rule="idempotency_key",
        )
    return value


def json_object(value: object, field: str) -> Json:
    if not isinstance(value, dict):
        raise invalid(field, "must be an object", rule="type")
    return value


def parse_body(raw: bytes) -> Json:
    """A JSON object, by the standard: no NaN, no Infinity."""
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise RefusedError(400, "bad_request", f"not JSON: {error}", rule="json") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "bad_request", "the body must be a JSON object", rule="json")
    return body


def to_text(value: object) -> bytes:
    return to_json(value)


def canonical(value: object) -> str:
    """One text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def unwrapped(value: Any, path: str) -> Any:
    """A payload sent with sensitive_encoding, without its marks: what the schema describes."""
    if isinstance(value, dict):
        if "$sensitive" not in value:
            return {key: unwrapped(item, f"{path}.{key}") for key, item in value.items()}
        labels = value.get("labels", [])
        sound = (
            isinstance(value["$sensitive"], str)
            and "value" in value
            and isinstance(labels, list)
            and all(isinstance(label, str) for label in labels)
            and value.keys() <= {"$sensitive", "value", "labels"}
        )
        if not sound:
            raise invalid(path, "is not a sound $sensitive wrapper", rule="sensitive")
        return unwrapped(value["value"], path)
    if isinstance(value, list):
        return [unwrapped(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return value
