"""JSON Schema checks of payloads, fast enough not to be what a benchmark measures.

`jsonschema` is the judge. Because it walks schemas at some microseconds per keyword, the usual
keywords are also compiled to a predicate that may only ever say yes to what `jsonschema` accepts:
a no, or a schema with any other keyword, goes to `jsonschema`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import validator_for

from .errors import Json, invalid
from .rules import canonical

Predicate = Callable[[Any], bool]

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$schema", "$comment", "format"}
)
_KNOWN = _ANNOTATIONS | {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "minimum",
}
_TYPES: dict[str, Predicate] = {
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
    "string": lambda value: type(value) is str,
    "boolean": lambda value: type(value) is bool,
    "null": lambda value: value is None,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) is int or type(value) is float,
}


class Schema:
    """One registered schema, compiled once."""

    def __init__(self, schema: Json, field: str) -> None:
        cls = validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            cls.check_schema(schema)
        except SchemaError as error:
            raise invalid(field, f"is not a JSON schema: {error.message}", rule="schema") from None
        self._judge = cls(schema)
        # Older drafts give some of these keywords another form.
        modern = cls is jsonschema.Draft202012Validator
        self._quick = _compile(schema) if modern else None

    def check(self, value: Any, field: str) -> None:
        if self._quick is not None and self._quick(value):
            return
        error = best_match(self._judge.iter_errors(value))
        if error is not None:
            where = error.json_path.replace("$", field, 1)
            raise invalid(where, error.message[:300], rule="payload_schema")


_compiled: dict[str, Schema] = {}


def compiled(schema: Json, field: str) -> Schema:
    """Every call registers the same schemas again: compile them once."""
    text = canonical(schema)
    found = _compiled.get(text)
    if found is None:
        found = _compiled[text] = Schema(schema, field)
    return found


def _compile(schema: Any) -> Predicate | None:
    if schema is True:
        return lambda _value: True
    if not isinstance(schema, dict) or not schema.keys() <= _KNOWN:
        return None
    checks: list[Predicate] = []
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        checks.append(_one_of([_TYPES[name] for name in names]))
    if "enum" in schema:
        strings = frozenset(item for item in schema["enum"] if isinstance(item, str))
        checks.append(lambda value: type(value) is str and value in strings)
    if "minimum" in schema:
        least = schema["minimum"]
        checks.append(lambda value: type(value) not in (int, float) or value >= least)
    if schema.keys() & {"properties", "required", "additionalProperties"}:
        members = _compile_object(schema)
        if members is None:
            return None
        checks.append(members)
    if "items" in schema:
        each = _compile(schema["items"])
        if each is None:
            return None
        checks.append(lambda value: type(value) is not list or all(map(each, value)))
    return _all_of(checks)


def _one_of(checks: list[Predicate]) -> Predicate:
    if len(checks) == 1:
        return checks[0]
    return lambda value: any(check(value) for check in checks)


def _all_of(checks: list[Predicate]) -> Predicate:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) and second(value)
    return lambda value: all(check(value) for check in checks)


def _compile_object(schema: Json) -> Predicate | None:
    required = frozenset(schema.get("required", ()))
    properties: dict[str, Predicate] = {}
    for name, sub in schema.get("properties", {}).items():
        check = _compile(sub)
        if check is None:
            return None
        properties[name] = check
    extra = schema.get("additionalProperties", True)
    other: Predicate | None
    other = (lambda _value: False) if extra is False else _compile(extra)
    if other is None:
        return None
    fallback = other

    def members(value: Any) -> bool:
        if type(value) is not dict:
            return True
        if not required <= value.keys():
            return False
        # A plain loop: with `all` and a generator this is what a bulk call spends its time on.
        for key, item in value.items():  # noqa: SIM110
            if not properties.get(key, fallback)(item):
                return False
        return True

    return members
