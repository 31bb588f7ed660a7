"""Marks on sensitive values, in spans that are sent with ``sensitive_encoding``: in the place of a
value stands ``{"$sensitive": "string", "value": …, "labels": […]}``. Pure.

What is marked is what ``schemas/`` declares as content, on a side of a type (payload or result)
that its data risk classifies as confidential or higher; the labels are the categories of data that
are included there. Only texts and numbers are known to be marked, so truth values are not. What an
``error`` says is not: Prefactor's evals read it as it is.

Sources: Prefactor's open dashboard (``server/sync.mjs``: labels), its open evals (``source.py``:
values are read through their marks), its TypeScript SDK (``transport/http.ts``: the flag)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from ...core.json import JSON
from ...journal.todo import Todo
from ...schemas.content import Part
from ...schemas.types import type_of

_SENSITIVE = ("confidential", "restricted", "secret")

Labels = list[str] | None
"""Of what is marked on one side; ``None``: nothing is marked there."""


class Marks(NamedTuple):
    """How the values of one type of span are marked."""

    type: str
    payload_labels: Labels
    result_labels: Labels

    def on(self, todo: Todo) -> Todo:
        """A span with marks on its values.

        Raises:
            ValueError: The row is damaged.
        """
        return todo._replace(
            payload=to_json(self.payload(from_json(todo.payload))).decode(),
            result=None
            if todo.result is None
            else to_json(self.result(from_json(todo.result))).decode(),
        )

    def payload(self, value: Any) -> Any:
        """A payload with marks on its values."""
        return _marked(value, type_of(self.type).kept, self.payload_labels)

    def result(self, value: Any) -> Any:
        """A result, or a part of one below its own keys, with marks on its values."""
        return _marked(value, type_of(self.type).kept_result, self.result_labels)


def marks_of(type_: str, risk: Mapping[str, Any] | None = None) -> Marks:
    """The marks for a type of span.

    Args:
        risk: The ``data_risk`` that the type is registered with; without it, what is assumed of it.
    """
    declared = type_of(type_).risk if risk is None else risk
    return Marks(
        type_,
        _labels(declared.get("params_data_categories")),
        _labels(declared.get("result_data_categories")),
    )


def _labels(categories: Any) -> Labels:
    if not isinstance(categories, Mapping):
        return None
    classification = categories.get("classification")
    if classification not in _SENSITIVE:
        return None
    included = [name for name, has in categories.items() if has == "included"]
    return included or [classification]


def _marked(value: Any, part: Part, labels: Labels) -> Any:
    if labels is None or value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, dict):
        return {
            key: below if key == "error" else _marked(below, part.field(key), labels)
            for key, below in value.items()
        }
    if isinstance(value, list):
        return [_marked(one, part.item(), labels) for one in value]
    is_text = isinstance(value, str)
    if part.text if is_text else part.number:
        return value
    made: JSON = {"$sensitive": "string" if is_text else "number", "value": value, "labels": labels}
    return made
