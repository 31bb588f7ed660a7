"""JSON objects: their type, and how one is made without what is not known."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]
"""A JSON object."""


def without_none(values: JSON) -> JSON:
    """``values`` without the keys whose value is ``None``: what was not measured is absent."""
    return {key: value for key, value in values.items() if value is not None}
