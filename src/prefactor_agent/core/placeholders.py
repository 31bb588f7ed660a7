"""What stands in a trace for a value that is not kept. Redaction puts it there (redact.py), and
readers of a trace know it by this. Stored traces have these texts: they never change."""

from __future__ import annotations

import re

REDACTED = "[redacted]"
"""A value of a key that is not kept, or what a pattern found."""
HIDDEN = "[hidden: the redact function failed]"
"""What the user's function was asked about when it raised."""


def of_size(size: int, unit: str) -> str:
    """``<5 characters>``: how much there was."""
    return f"<{size} {unit}>"


def of_type(value: object) -> str:
    """``<int>``: what kind of value there was."""
    return f"<{type(value).__name__}>"


EMPTY_TEXT = of_size(0, "characters")
SIZE_OF_TEXT = re.compile(r"<\d+ characters>")
TYPE_OF_VALUE = re.compile(r"<(?:int|float|bool)>")
ANY_IN_TEXT = re.compile(
    rf"<\d+ (?:characters|bytes|keys)(?: of base64)?>|{re.escape(REDACTED)}|{re.escape(HIDDEN)}"
)
"""All that can stand for a text, or in one for a part of it."""
