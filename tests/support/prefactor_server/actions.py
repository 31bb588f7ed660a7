"""What each call does: checked first, then one change of the state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from prefactor_http.models.agent_instance import RegisterAgentInstanceRequest
from pydantic import ValidationError

from . import rules
from .errors import Json, RefusedError, conflict, invalid, not_found
from .settings import ACCOUNT_ID, AGENT_ID, DEPLOYMENT_ID, ENVIRONMENT_ID, Settings
from .state import SchemaVersion, State

_CREATE_FIELDS = frozenset(
    {
        "agent_instance_id",
        "schema_name",
        "status",
        "payload",
        "result_payload",
        "id",
        "parent_span_id",
        "started_at",
        "finished_at",
        "idempotency_key",
        "sensitive_encoding",
    }
)
_FINISH_FIELDS = frozenset(
    {"status", "result_payload", "timestamp", "idempotency_key", "sensitive_encoding"}
)


@dataclass
class Actions:
    """The API behind its transport. `note` records a violation that is not refused."""

    state: State
    settings: Settings
    note: Callable[[str, str], None]
    # Set by fault plans.
    refused_types: Callable[[str], bool] = field(default=lambda _name: False)
    refuse_ids: Callable[[], bool] = field(default=lambda: False)
    refuse_marks: Callable[[], bool] = field(default=lambda: False)

    # Idempotency

    def _once(
        self,
        action: str,
        key: str | None,
        call: Json,
        effect: Callable[[], tuple[str, Json]],
        *,
        limit: int,
    ) -> Json:
        """The effect, or the first answer again. Only what succeeded is remembered."""
        # The order of the fields does not matter; inside a payload it does, as long as sorting
        # there is what takes most of the time.
        text = rules.to_text({name: call[name] for name in sorted(call) if call[name] is not None})
        size = len(text)
        if size > limit:
            raise RefusedError(
                413, "payload_too_large", f"{size} bytes, {limit} allowed", rule="item_size"
            )
        print_ = hashlib.blake2b(text, digest_size=16, person=action.encode()[:16]).hexdigest()
        if key is None:
            kind, details = effect()
            self.state.put({"t": kind, "v": details})
            return details
        known = self.state.answers.get(key)
        if known is not None:
            if known[0] != print_:
                raise invalid(
                    "idempotency_key",
                    "was already used for another call",
                    rule="idempotency_reuse",
                )
            return known[1]
        kind, details = effect()
        self.state.put({"t": kind, "v": details, "key": key, "print": print_})
        return details

    # Instances

    def register(self, body: Json, *, account_scoped: bool) -> Json:
        key = _optional_key(body)
        try:
            RegisterAgentInstanceRequest.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise invalid(where, first["msg"], rule="register") from None
        if account_scoped:
            if body.get("agent_id") is None:
                raise invalid("agent_id", "can't be blank", rule="token_scope")
            if body["agent_id"] != AGENT_ID:
                raise not_found("agent", rule="unknown_agent")
            if body.get("environment_id") not in (None, ENVIRONMENT_ID):
                raise not_found("environment", rule="unknown_environment")
        else:
            for name in ("agent_id", "environment_id"):
                if body.get(name) is not None:
                    raise invalid(name, "must be omitted with this token", rule="token_scope")

        def effect() -> tuple[str, Json]:
            ident = self._new_instance_id(body)
            schema_id = self._schema_version(body["agent_schema_version"])
            version_id = self._agent_version(body["agent_version"])
            moment = rules.now()
            self.state.put({"t": "registered", "id": ident, "schema": schema_id, "v": body})
            return "instance", {
                "type": "agent_instance",
                "id": ident,
                "account_id": ACCOUNT_ID,
                "agent_id": AGENT_ID,
                "agent_version_id": version_id,
                "environment_id": ENVIRONMENT_ID,
                "agent_deployment_id": DEPLOYMENT_ID,
                "status": "pending",
                "inserted_at": moment,
                "updated_at": moment,
                "started_at": None,
                "finished_at": None,
                "termination_reason": None,
                "external_identifier": body.get("external_identifier"),
                "purpose": body.get("purpose") or "live",
                "quality_payloads": {},
                "quality_summaries": {},
            }

        return self._once("register", key, _bare(body), effect, limit=self.settings.max_body)

    def _new_instance_id(self, body: Json) -> str:
        external = body.get("external_identifier")
        if external is not None and any(
            known["external_identifier"] == external for known in self.state.instances.values()
        ):
            raise invalid("external_identifier", "has already been taken", rule="taken")
        if body.get("id") is None:
            return rules.new_id()
        if self.refuse_ids():
            raise invalid("id", "custom ids are not allowed", rule=None)
        ident = rules.custom_id(body["id"], "id", check_partition=self.settings.check_partition)
        if ident in self.state.instances or ident in self.state.spans:
            raise invalid("id", "has already been taken", rule="taken")
        return ident

    def _schema_version(self, source: Json) -> str:
        """Versions are fixed: an external identifier always means the same schemas."""
        for field_name in ("span_type_schemas", "quality_schemas"):
            names = [entry["name"] for entry in source.get(field_name) or ()]
            if not all(names) or len(names) != len(set(names)):
                raise invalid(field_name, "names must be unique and not empty", rule="register")
            for entry in source.get(field_name) or ():
                template = entry.get("template") or ""
                if template.count("{{") != template.count("}}"):
                    raise invalid(f"{field_name}.template", "is not Liquid", rule="template")
        external = source.get("external_identifier")
        for ident, known in self.state.schema_versions.items():
            if external is not None and known.source.get("external_identifier") == external:
                if rules.canonical(known.source) != rules.canonical(source):
                    raise invalid(
                        "agent_schema_version.external_identifier",
                        "was already used for other schemas",
                        rule="schema_version",
                    )
                return ident
        SchemaVersion.compile(source)
        ident = rules.new_id()
        self.state.put({"t": "schema", "id": ident, "v": source})
        return ident

    def _agent_version(self, source: Json) -> str:
        external = source.get("external_identifier")
        for ident, known in self.state.agent_versions.items():
            if external is not None and known.get("external_identifier") == external:
                return ident
        ident = rules.new_id()
        self.state.put({"t": "version", "id": ident, "v": source})
        return ident

    def instance(self, ident: str) -> Json:
        found = self.state.instances.get(ident)
        if found is None:
            raise not_found("agent instance")
        return found

    def start_instance(self, ident: str, body: Json) -> Json:
        def effect() -> tuple[str, Json]:
            instance = self.instance(ident)
            moment = rules.timestamp(body.get("timestamp"), "timestamp") or rules.now()
            if instance["status"] != "pending":
                by_server = instance["status"] == "terminated"
                raise conflict(
                    f"a {instance['status']} instance cannot start",
                    rule=None if by_server else "instance_state",
                )
            return "instance", {
                **instance,
                "status": "active",
                "started_at": moment,
                "updated_at": rules.now(),
            }

        self._fields(body, {"timestamp", "idempotency_key"})
        call = {**_bare(body), "id": ident}
        return self._once("start", _optional_key(body), call, effect, limit=self.settings.max_item)

    def finish_instance(self, ident: str, body: Json) -> Json:
        def effect() -> tuple[str, Json]:
            instance = self.instance(ident)
            status = _terminal_status(body.get("status"))
            moment = rules.timestamp(body.get("timestamp"), "timestamp") or rules.now()
            before = instance["status"]
            if before != "active" and (before, status) != ("pending", "cancelled"):
                # The contract calls a 409 on a terminal instance no error.
                rule = "instance_state" if before == "pending" else None
                raise conflict(f"a {before} instance cannot become {status}", rule=rule)
            self._time_order(instance["started_at"], moment)
            return "instance", {
                **instance,
                "status": status,
                "finished_at": moment,
                "updated_at": rules.now(),
            }

        self._fields(body, {"status", "timestamp", "idempotency_key"})
        call = {**_bare(body), "id": ident}
        return self._once(
            "finish_instance", _optional_key(body), call, effect, limit=self.settings.max_item
        )

    def record_quality(self, ident: str, body: Json) -> Json:
        name, payload = body.get("name"), body.get("payload")

        def effect() -> tuple[str, Json]:
            instance = self.instance(ident)
            schemas = self.state.schema_versions[self.state.instance_schema[ident]].quality
            if not isinstance(name, str) or name not in schemas:
                raise invalid("name", "is not a registered quality schema", rule="quality_name")
            payloads = dict(instance["quality_payloads"])
            if payload is None:
                payloads.pop(name, None)
            else:
                schemas[name].check(rules.json_object(payload, "payload"), "payload")
                payloads[name] = payload
            record = {"agent_instance_id": ident, "name": name, "payload": payload}
            self.state.put({"t": "quality", "v": record})
            return "instance", {
                **instance,
                "quality_payloads": payloads,
                "updated_at": rules.now(),
            }

        self._fields(body, {"name", "payload", "idempotency_key"})
        call = {**_bare(body), "id": ident}
        return self._once(
            "record_quality", _optional_key(body), call, effect, limit=self.settings.max_item
        )

    def terminate(self, ident: str, reason: str | None) -> None:
        """The service's own act: nobody calls it through the API."""
        instance = self.instance(ident)
        if instance["status"] in rules.INSTANCE_TERMINAL:
            raise conflict(f"the instance is {instance['status']}", rule=None)
        moment = rules.now()
        after = {
            **instance,
            "status": "terminated",
            "termination_reason": reason,
            "finished_at": moment,
            "updated_at": moment,
        }
        self.state.put({"t": "instance", "v": after})

    # Spans

    def create_span(self, details: Json, key: str | None) -> Json:
        self._fields(details, _CREATE_FIELDS)
        try:
            span = self._once(
                "create_span",
                key,
                _bare(details),
                lambda: ("span", self._new_span(details)),
                limit=self.settings.max_item,
            )
        except RefusedError:
            if isinstance(details.get("id"), str):
                self.state.put({"t": "attempt", "of": "create", "id": details["id"]})
            raise
        self.state.put({"t": "attempt", "of": "create", "id": span["id"]})
        return span

    def _new_span(self, details: Json) -> Json:
        instance_id = details.get("agent_instance_id")
        instance = self.state.instances.get(instance_id) if _is_text(instance_id) else None
        if instance is None:
            raise invalid("agent_instance_id", "does not exist", rule="unknown_id")
        schemas = self.state.schema_versions[self.state.instance_schema[instance["id"]]].types
        schema_name = details.get("schema_name")
        kind = schemas.get(schema_name) if _is_text(schema_name) else None
        if kind is None:
            raise invalid("schema_name", "is not registered", rule="schema_name")
        if self.refused_types(str(schema_name)):
            raise invalid("schema_name", "is refused", rule=None)
        ident = self._new_span_id(details)
        parent = details.get("parent_span_id")
        if parent is not None:
            known = self.state.spans.get(parent) if _is_text(parent) else None
            if known is None:
                raise invalid("parent_span_id", "does not exist", rule="parent")
            if known["agent_instance_id"] != instance["id"]:
                raise invalid("parent_span_id", "is of another instance", rule="parent")
        status, started, finished = self._span_times(details)
        sensitive = self._sensitive(details)
        payload = rules.json_object(details.get("payload", {}), "payload")
        if kind.params is not None and self.settings.check_payloads:
            plain = rules.unwrapped(payload, "payload") if sensitive else payload
            kind.params.check(plain, "payload")
        result = details.get("result_payload")
        if result is not None:
            if status not in rules.SPAN_TERMINAL:
                raise invalid("result_payload", "needs a terminal status", rule="state")
            self._check_result(kind.result, result, sensitive)
        self._accepting(instance)
        moment = rules.now()
        return {
            "type": "agent_span",
            "id": ident,
            "account_id": ACCOUNT_ID,
            "agent_id": AGENT_ID,
            "agent_instance_id": instance["id"],
            "parent_span_id": parent,
            "schema_name": schema_name,
            "schema_title": kind.title or schema_name,
            "status": status,
            "payload": payload,
            "result_payload": result,
            "sensitive_encoding": sensitive,
            "summary": None,
            "started_at": started,
            "finished_at": finished,
            "inserted_at": moment,
            "updated_at": moment,
        }

    def _accepting(self, instance: Json) -> None:
        status = instance["status"]
        if status == "pending" and not self.settings.early_spans:
            raise conflict("the instance has not started", rule="instance_state")
        if status in rules.SPAN_TERMINAL and not self.settings.late_spans:
            raise conflict(f"the instance is {status}", rule="instance_state")

    def _new_span_id(self, details: Json) -> str:
        if details.get("id") is None:
            return rules.new_id()
        if self.refuse_ids():
            raise invalid("id", "custom ids are not allowed", rule=None)
        ident = rules.custom_id(details["id"], "id", check_partition=self.settings.check_partition)
        if ident in self.state.spans or ident in self.state.instances:
            raise invalid("id", "has already been taken", rule="taken")
        return ident

    def _span_times(self, details: Json) -> tuple[str, str | None, str | None]:
        status = details.get("status")
        if status not in rules.SPAN_TERMINAL and status not in ("pending", "active"):
            raise invalid("status", "is not a status a span can be made with", rule="status")
        started = rules.timestamp(details.get("started_at"), "started_at")
        finished = rules.timestamp(details.get("finished_at"), "finished_at")
        if status in rules.SPAN_TERMINAL:
            for name, moment in (("started_at", started), ("finished_at", finished)):
                if moment is None:
                    raise invalid(name, f"can't be blank for a {status} span", rule="state")
            self._time_order(started, finished)
        elif finished is not None:
            raise invalid("finished_at", f"must be blank for a {status} span", rule="state")
        return str(status), started or rules.now(), finished

    def _sensitive(self, fields: Json) -> bool:
        sensitive = fields.get("sensitive_encoding", False)
        if sensitive and self.refuse_marks():
            raise invalid("sensitive_encoding", "is not allowed", rule=None)
        return bool(sensitive)

    def _check_result(self, schema: Any, result: Any, sensitive: bool) -> None:
        rules.json_object(result, "result_payload")
        if schema is not None and self.settings.check_payloads:
            plain = rules.unwrapped(result, "result_payload") if sensitive else result
            schema.check(plain, "result_payload")

    def finish_span(self, ident: object, body: Json, key: str | None) -> Json:
        if isinstance(ident, str):
            self.state.put({"t": "attempt", "of": "finish", "id": ident})

        def effect() -> tuple[str, Json]:
            span = self.state.spans.get(ident) if isinstance(ident, str) else None
            if span is None:
                raise not_found("agent span")
            status = _terminal_status(body.get("status"))
            moment = rules.timestamp(body.get("timestamp"), "timestamp") or rules.now()
            before = span["status"]
            if before != "active" and (before, status) != ("pending", "cancelled"):
                raise conflict(f"a {before} span cannot become {status}", rule="span_state")
            result = body.get("result_payload")
            sensitive = self._sensitive(body)
            if result is not None:
                schema_id = self.state.instance_schema[span["agent_instance_id"]]
                kind = self.state.schema_versions[schema_id].types[span["schema_name"]]
                self._check_result(kind.result, result, sensitive)
            self._accepting(self.state.instances[span["agent_instance_id"]])
            self._time_order(span["started_at"], moment)
            return "span", {
                **span,
                "status": status,
                "result_payload": result,
                "sensitive_encoding": span["sensitive_encoding"] or sensitive,
                "finished_at": moment,
                "updated_at": rules.now(),
            }

        self._fields(body, _FINISH_FIELDS)
        call = {**_bare(body), "agent_span_id": ident}
        return self._once("finish_span", key, call, effect, limit=self.settings.max_item)

    # What the contract does not forbid, but a sound client does not do

    def _fields(self, body: Json, known: frozenset[str] | set[str]) -> None:
        if not body.keys() <= known:
            self.note("unknown_field", ", ".join(sorted(body.keys() - known)))

    def _time_order(self, started: str | None, finished: str | None) -> None:
        if started is not None and finished is not None and finished < started:
            self.note("time_order", f"finished {finished}, started {started}")


def _bare(body: Json) -> Json:
    return {name: item for name, item in body.items() if name != "idempotency_key"}


def _optional_key(body: Json) -> str | None:
    key = body.get("idempotency_key")
    return None if key is None else rules.idempotency_key(key, minimum=1)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def _terminal_status(value: object) -> str:
    if value is None:
        return "complete"
    if not isinstance(value, str) or value not in rules.SPAN_TERMINAL:
        raise invalid("status", "is not a finish status", rule="status")
    return value
