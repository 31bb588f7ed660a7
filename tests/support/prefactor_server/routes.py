"""From an HTTP call to an action: token, path, body, and what is written down about the call."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pfid

from . import bulk, rules, summaries, views
from .actions import Actions
from .errors import Json, RefusedError, conflict, invalid, not_found
from .faults import Faults
from .settings import ACCOUNT_ID, AGENT_ID, PARTITION, Settings
from .state import State

_SDK = re.compile(r"\S+@\S+( \S+@\S+)*")


@dataclass
class Call:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    record: Json
    parts: tuple[str, ...] = ()
    scope: str = ""
    body: Json = field(default_factory=dict)


@dataclass
class Api:
    """One call at a time, start to end: nothing in here awaits."""

    state: State
    settings: Settings
    faults: Faults
    _call: Call | None = None

    def __post_init__(self) -> None:
        self.actions = Actions(
            self.state,
            self.settings,
            self.note,
            refused_types=lambda name: self._faulty("reject_type", schema_name=name),
            refuse_ids=lambda: self._faulty("no_custom_ids"),
            refuse_marks=lambda: self._faulty("no_marks"),
        )
        ident = r"([^/]+)"
        self._routes: list[tuple[str, re.Pattern[str], Callable[[Call], Json], str]] = [
            (method, re.compile(f"/api/v1/{path}"), handler, access)
            for method, path, handler, access in (
                ("GET", "ping", self._ping, "any"),
                ("POST", "agent_instance/register", self._register, "ingest"),
                ("POST", f"agent_instance/{ident}/start", self._start, "ingest"),
                ("POST", f"agent_instance/{ident}/finish", self._finish, "ingest"),
                ("POST", f"agent_instance/{ident}/record_quality", self._quality, "any"),
                ("GET", f"agent_instance/{ident}", self._instance, "any"),
                ("GET", "agent_instance", self._instances, "admin"),
                ("POST", "agent_spans", self._create, "ingest"),
                ("POST", f"agent_spans/{ident}/finish", self._finish_span, "ingest"),
                ("GET", "agent_spans", self._spans, "admin"),
                ("POST", "bulk", self._bulk, "ingest"),
                ("POST", "pfid/generate", self._pfids, "any"),
            )
        ]

    def note(self, rule: str, message: str, status: int | None = None) -> None:
        """A violation: refused with `status`, or let pass."""
        call = self._call
        self.state.put(
            {
                "t": "violation",
                "v": {
                    "rule": rule,
                    "message": message,
                    "status": status,
                    "method": call.method if call else None,
                    "path": call.path if call else None,
                    "time": time.time(),
                },
            }
        )

    def handle(self, call: Call) -> tuple[int, Json]:
        """The status and the body of the answer; the state has taken its effect."""
        self._call = call
        try:
            return 200, self._route(call)
        except RefusedError as refused:
            if refused.rule is not None:
                self.note(refused.rule, refused.message, refused.status)
            return refused.status, refused.body()
        finally:
            self._call = None

    def _faulty(self, kind: str, **match: str) -> bool:
        path = self._call.path if self._call else ""
        return self.faults.take({kind}, path, **match) is not None

    def _route(self, call: Call) -> Json:
        matching = [
            (method, found, handler, access)
            for method, pattern, handler, access in self._routes
            if (found := pattern.fullmatch(call.path))
        ]
        if not matching:
            raise not_found(f"path {call.path}", rule="path")
        self._authorize(call)
        for method, found, handler, access in matching:
            if method == call.method:
                self._check_scope(call, access)
                call.parts = found.groups()
                if method == "POST":
                    self._read(call)
                return handler(call)
        raise RefusedError(405, "method_not_allowed", call.method, rule="method")

    def _authorize(self, call: Call) -> None:
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        scopes = {
            self.settings.deployment_token: "deployment",
            self.settings.account_token: "account",
            self.settings.admin_token: "admin",
        }
        call.scope = scopes.get(token, "") if scheme == "Bearer" else ""
        if not call.scope:
            raise RefusedError(401, "unauthorized", "the token is not valid", rule="token")
        if self._faulty("revoke"):
            raise RefusedError(401, "unauthorized", "the token was revoked", rule=None)
        if self._faulty("forbid"):
            raise RefusedError(403, "forbidden", "the token may not do this", rule=None)
        if call.scope != "admin" and not _SDK.fullmatch(call.headers.get("X-Prefactor-SDK", "")):
            self.note("sdk_header", "X-Prefactor-SDK is missing or not name@version …")

    def _check_scope(self, call: Call, access: str) -> None:
        if access == "admin" and call.scope != "admin":
            raise RefusedError(
                401, "unauthorized", "needs an account-wide token", rule="token_scope"
            )
        if access == "ingest" and call.scope == "admin":
            raise RefusedError(403, "forbidden", "needs an ingestion token", rule="token_scope")

    def _read(self, call: Call) -> None:
        if len(call.raw) > self.settings.max_body:
            raise RefusedError(
                413,
                "payload_too_large",
                f"{len(call.raw)} bytes, {self.settings.max_body} allowed",
                rule="body_size",
            )
        kind = call.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(415, "unsupported_media_type", "needs JSON", rule="content_type")
        call.body = rules.parse_body(call.raw)

    def _success(self, details: Json) -> Json:
        if details["type"] == "agent_instance":
            details = views.instance(details, self.state)
        return views.success(details, self.state)

    # Handlers

    def _ping(self, call: Call) -> Json:
        return {"status": "success", "account_id": ACCOUNT_ID}

    def _register(self, call: Call) -> Json:
        scoped = call.scope == "account"
        return self._success(self.actions.register(call.body, account_scoped=scoped))

    def _start(self, call: Call) -> Json:
        return self._success(self.actions.start_instance(call.parts[0], call.body))

    def _finish(self, call: Call) -> Json:
        return self._success(self.actions.finish_instance(call.parts[0], call.body))

    def _quality(self, call: Call) -> Json:
        return self._success(self.actions.record_quality(call.parts[0], call.body))

    def _instance(self, call: Call) -> Json:
        return self._success(self.actions.instance(call.parts[0]))

    def _create(self, call: Call) -> Json:
        details = rules.json_object(call.body.get("details"), "details")
        key = details.get("idempotency_key")
        if key is not None:
            rules.idempotency_key(key, minimum=1)
        return self._success(self.actions.create_span(details, key))

    def _finish_span(self, call: Call) -> Json:
        key = call.body.get("idempotency_key")
        if key is not None:
            rules.idempotency_key(key, minimum=1)
        return self._success(self.actions.finish_span(call.parts[0], call.body, key))

    def _bulk(self, call: Call) -> Json:
        refusal = self.faults.take({"no_bulk"}, call.path)
        if refusal is not None:
            status = refusal.option("status", 404)
            raise RefusedError(status, "not_available", "bulk is not available", rule=None)
        items = bulk.check(call.body, self.settings.max_items)
        call.record["items"] = len(items)
        # A server that dies in the middle: the first items took effect, nobody hears of it.
        cut = self.faults.take({"bulk_cut"}, call.path)
        if cut is not None:
            items = items[: cut.option("items", len(items) // 2)]
            call.record["fault"] = cut.kind
        outputs, refused = bulk.run(items, self.actions, account_scoped=call.scope == "account")
        if refused is not None and refused.rule is not None:
            self.note(refused.rule, refused.message, refused.status)
        return {"status": "success", "outputs": outputs}

    def _pfids(self, call: Call) -> Json:
        count = call.body.get("count", 1)
        if type(count) is not int or not 1 <= count <= 1000:
            raise invalid("count", "must be 1 to 1000", rule="pfid_count")
        if call.body.get("account_id") not in (None, ACCOUNT_ID):
            raise RefusedError(403, "forbidden", "not your account", rule="token_scope")
        made = [pfid.generate(pfid.Partition(PARTITION)) for _ in range(count)]
        # Clients disagree on where the list is: one reads `details`, a newer one the top level.
        return {
            "status": "success",
            "account_id": ACCOUNT_ID,
            "pfids": made,
            "details": {"pfids": made},
        }

    def _spans(self, call: Call) -> Json:
        instance = self.actions.instance(call.query.get("agent_instance_id", ""))
        idents = self.state.spans_of.get(instance["id"], [])
        page = views.page([self.state.spans[ident] for ident in idents], call.query)
        page["summaries"] = [{**row, "summary": self._summary(row)} for row in page["summaries"]]
        return page

    def _summary(self, span: Json) -> str | None:
        """The service renders summaries when it is asked for them."""
        schemas = self.state.instance_schema[span["agent_instance_id"]]
        template = self.state.schema_versions[schemas].types[span["schema_name"]].template
        return (
            summaries.render(template, span["payload"], span["result_payload"])
            if template
            else None
        )

    def _instances(self, call: Call) -> Json:
        if call.query.get("agent_id") != AGENT_ID:
            raise not_found("agent", rule="unknown_agent")
        return views.page(list(self.state.instances.values()), call.query)

    def terminate(self, ident: str | None, reason: str | None) -> list[str]:
        """One instance, or all that still run."""
        if ident is not None:
            self.actions.terminate(ident, reason)
            return [ident]
        running = [
            known["id"]
            for known in self.state.instances.values()
            if known["status"] not in rules.INSTANCE_TERMINAL
        ]
        if not running:
            raise conflict("no instance is running", rule=None)
        for known in running:
            self.actions.terminate(known, reason)
        return running
