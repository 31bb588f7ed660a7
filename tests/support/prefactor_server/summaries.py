"""The one-line summaries that the service makes of spans and of quality payloads.

Its Liquid is not the one used here; what is known of it (Prefactor's TypeScript SDK, the skill
``write-span-summary-templates``): payload and result are one context in which the result wins, what
is missing prints nothing, an object or a list prints nothing, and what is no Liquid gives no
summary."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError

from .errors import Json

_ENVIRONMENT = Environment()


class _Object(dict[str, Any]):
    def __str__(self) -> str:
        return ""


class _List(Sequence[Any]):
    """No ``list``: that prints what is in it."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        return ""


def render(template: str, payload: Json, result: Json | None) -> str | None:
    """The summary; ``None`` if the template cannot be rendered."""
    try:
        context = {key: _seen(value) for key, value in {**payload, **(result or {})}.items()}
        return _compiled(template).render(**context)
    except LiquidError:
        return None


@functools.lru_cache(maxsize=1000)
def _compiled(template: str) -> BoundTemplate:
    return _ENVIRONMENT.from_string(template)


def _seen(value: Any) -> Any:
    if isinstance(value, dict):
        # Sensitive values are shown as what they are.
        if "$sensitive" in value:
            return _seen(value.get("value"))
        return _Object({key: _seen(one) for key, one in value.items()})
    return _List([*map(_seen, value)]) if isinstance(value, list) else value
