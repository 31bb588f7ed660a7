"""Breaks our own side on purpose, where it meets the agent's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def _boom(*_arguments: Any, **_options: Any) -> Any:
    raise LookupError("a defect of ours")


@contextmanager
def broken(guarded: Any) -> Iterator[None]:
    """Replace the inside of a function that ``guard.guarded`` made, for as long as this lasts."""
    inside = guarded.__closure__[guarded.__code__.co_freevars.index("function")]
    whole = inside.cell_contents
    inside.cell_contents = _boom
    try:
        yield
    finally:
        inside.cell_contents = whole
