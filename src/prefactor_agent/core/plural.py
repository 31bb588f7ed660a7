"""Numbers of things, in words that agree with them."""

from __future__ import annotations


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 call``, ``2 calls``; ``many`` where an ``s`` does not make the plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
