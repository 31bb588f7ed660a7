"""The bulk call: items in order, each for itself, until the first error."""

from __future__ import annotations

from . import rules, views
from .actions import Actions
from .errors import Json, RefusedError, invalid


def check(body: Json, max_items: int | None) -> list[Json]:
    """What is wrong with the request as a whole refuses all of it, before any item runs."""
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise invalid("items", "must be a list of at least one item", rule="bulk")
    if max_items is not None and len(items) > max_items:
        raise RefusedError(
            413, "payload_too_large", f"at most {max_items} items", rule="bulk_items"
        )
    seen: set[str] = set()
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("_type"), str):
            raise invalid("items", "every item needs a _type", rule="bulk")
        key = rules.idempotency_key(item.get("idempotency_key"), minimum=rules.KEY_MIN)
        if key in seen:
            raise invalid("items", f"idempotency_key {key} is not unique", rule="bulk_keys")
        seen.add(key)
    return items


def run(
    items: list[Json], actions: Actions, *, account_scoped: bool
) -> tuple[Json, RefusedError | None]:
    """The outputs, and the refusal that stopped the run if one did."""
    outputs: Json = {}
    for item in items:
        key: str = item["idempotency_key"]
        try:
            details = _one(item, key, actions, account_scoped=account_scoped)
        except RefusedError as refused:
            outputs[key] = refused.body()
            return outputs, refused
        outputs[key] = views.success(details, actions.state)
    return outputs, None


def _one(item: Json, key: str, actions: Actions, *, account_scoped: bool) -> Json:
    kind = item["_type"]
    if kind == "agent_spans/create":
        details = item.get("details")
        if not isinstance(details, dict):
            raise invalid("details", "can't be blank", rule="bulk_create_shape")
        if details.get("idempotency_key", key) != key:
            raise invalid("idempotency_key", "differs inside details", rule="bulk_create_shape")
        return actions.create_span(details, key)
    if kind == "agent_spans/finish":
        # Seen on the live service: fields inside `details` are accepted and lost.
        if "details" in item:
            actions.note("bulk_finish_shape", "fields of a finish inside details are lost")
        ident = item.get("agent_span_id")
        if ident is None:
            raise invalid("agent_span_id", "can't be blank", rule="bulk_finish_shape")
        left_out = ("_type", "agent_span_id", "details", "method", "path")
        body = {name: value for name, value in item.items() if name not in left_out}
        return actions.finish_span(ident, body, key)
    if kind == "agent_instances/register":
        body = {name: value for name, value in item.items() if name != "_type"}
        return actions.register(body, account_scoped=account_scoped)
    raise invalid("_type", f"{kind} is not an action", rule="bulk_type")
