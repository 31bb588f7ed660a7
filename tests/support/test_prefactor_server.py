"""The contract server itself: every rule it has, and every way in which it can be told to fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pfid
import pytest
import pytest_asyncio
from prefactor_http import BulkItem, BulkRequest, HttpClientConfig, PrefactorHttpClient
from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorAuthError,
    PrefactorNotFoundError,
    PrefactorResponseContractError,
    PrefactorValidationError,
)

from support.prefactor_server import PrefactorServer
from support.prefactor_server.errors import RefusedError
from support.prefactor_server.schemas import Schema
from support.waiting import PATIENCE, until

Json = dict[str, Any]
T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
AT = T0.isoformat()
VERSION = {"name": "agent", "external_identifier": "v1"}
SCHEMAS: Json = {
    "external_identifier": "s1",
    "span_type_schemas": [
        {
            "name": "t:turn",
            "title": "Turn",
            "params_schema": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
            },
            "result_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
        },
        {"name": "t:free", "params_schema": {"type": "object"}},
    ],
    "quality_schemas": [
        {"name": "q", "schema": {"type": "object", "required": ["turns"]}},
    ],
}


@pytest.fixture(scope="module")
def shared() -> Iterator[PrefactorServer]:
    with PrefactorServer() as running:
        yield running


@pytest.fixture
def server(shared: PrefactorServer) -> PrefactorServer:
    return shared.reset()


@pytest_asyncio.fixture
async def client(server: PrefactorServer) -> AsyncIterator[PrefactorHttpClient]:
    async with connect(server) as connected:
        yield connected


def connect(server: PrefactorServer, **changed: Any) -> PrefactorHttpClient:
    settings: Json = {
        "api_url": server.url,
        "api_token": server.token,
        "max_retries": 0,
        "request_timeout": PATIENCE,
        **changed,
    }
    return PrefactorHttpClient(HttpClientConfig(**settings))


async def started(client: PrefactorHttpClient, **fields: Any) -> str:
    instance = await client.agent_instances.register(VERSION, SCHEMAS, **fields)
    await client.agent_instances.start(instance.id, T0)
    ident: str = instance.id
    return ident


def create(key: str, instance: str, **fields: Any) -> BulkItem:
    details = {
        "agent_instance_id": instance,
        "schema_name": "t:free",
        "status": "active",
        "started_at": AT,
        **fields,
    }
    return BulkItem.model_validate(
        {"_type": "agent_spans/create", "idempotency_key": key, "details": details}
    )


def finish(key: str, span: str, **fields: Any) -> BulkItem:
    return BulkItem.model_validate(
        {
            "_type": "agent_spans/finish",
            "idempotency_key": key,
            "agent_span_id": span,
            "status": "complete",
            "timestamp": AT,
            **fields,
        }
    )


async def raw(
    server: PrefactorServer,
    path: str,
    body: Any = None,
    *,
    token: str | None = None,
    method: str = "POST",
    data: bytes | None = None,
    content_type: str = "application/json",
    query: dict[str, str] | None = None,
) -> tuple[int, Json]:
    headers = {
        "Authorization": f"Bearer {token or server.token}",
        "X-Prefactor-SDK": "test@1",
        "Content-Type": content_type,
    }
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method,
            f"{server.url}/api/v1/{path}",
            data=data if data is not None else json.dumps(body),
            headers=headers,
            params=query,
        ) as response,
    ):
        return response.status, await response.json()


def rules(server: PrefactorServer) -> list[str]:
    return [violation["rule"] for violation in server.violations()]


# What a sound client does


async def test_a_whole_call_through_the_typed_clients(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    assert (await client.validate_token())["status"] == "success"
    instance = await started(client, external_identifier="room/1", purpose="smoke_test")
    root = await client.agent_spans.create(instance, "t:free", "active", started_at=T0)
    child = await client.agent_spans.create(
        instance,
        "t:turn",
        "complete",
        payload={"text": "hi"},
        result_payload={"n": 1},
        id=pfid.generate_related(pfid.Pfid(instance)),
        parent_span_id=root.id,
        started_at=T0,
        finished_at=T0 + timedelta(seconds=1),
    )
    assert (child.schema_title, child.started_at) == ("Turn", T0)
    done = await client.agent_spans.finish(root.id, "failed", {"x": 1}, T0)
    assert (done.status, done.result_payload) == ("failed", {"x": 1})
    await client.agent_instances.record_quality(instance, "q", {"turns": 1})
    await client.agent_instances.finish(instance, "complete", T0)
    seen = await client.agent_instances.get(instance)
    assert seen.status == "complete"
    assert seen.purpose == "smoke_test"
    assert seen.quality_payloads == {"q": {"turns": 1}}
    assert seen.span_counts is not None
    assert (seen.span_counts.total, seen.span_counts.failed) == (2, 1)

    [tree] = server.tree(instance)
    assert tree.status == "failed"
    assert [(span.id, span.payload, span.result) for span in tree.children] == [
        (child.id, {"text": "hi"}, {"n": 1})
    ]
    assert (tree.creates, tree.finishes) == (1, 1)
    assert server.quality() == [
        {"agent_instance_id": instance, "name": "q", "payload": {"turns": 1}}
    ]
    assert server.instances()[0]["registration"]["agent_version"] == VERSION
    assert [call["path"].rpartition("/")[2] for call in server.requests()][:3] == [
        "ping",
        "register",
        "start",
    ]
    assert server.violations() == []


async def test_bulk_takes_a_tree_in_one_request(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    root, leaf = (pfid.generate_related(pfid.Pfid(instance)) for _ in range(2))
    answer = await client.bulk.execute(
        BulkRequest(
            items=[
                create("create-1", instance, id=root),
                create("create-2", instance, id=leaf, parent_span_id=root),
                finish("finish-2", leaf, result_payload={"n": 1}),
            ]
        )
    )
    assert [output.status for output in answer.outputs.values()] == ["success"] * 3
    [tree] = server.tree()
    assert [(span.id, span.status, span.result) for span in tree.children] == [
        (leaf, "complete", {"n": 1})
    ]
    assert server.requests()[-1]["items"] == 3
    assert server.violations() == []


async def test_lists_need_the_admin_token_and_are_paged(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    for _ in range(3):
        await client.agent_spans.create(instance, "t:free", "active")
    query = {"agent_instance_id": instance, "pagination[page_size]": "2"}
    status, _ = await raw(server, "agent_spans", method="GET", query=query)
    assert status == 401
    admin = server.admin_token
    status, first = await raw(server, "agent_spans", method="GET", query=query, token=admin)
    assert (status, len(first["summaries"])) == (200, 2)
    assert first["pagination"]["next_page_offset"] == 2
    query["pagination[offset]"] = "2"
    _, last = await raw(server, "agent_spans", method="GET", query=query, token=admin)
    assert (len(last["summaries"]), last["pagination"]["next_page_offset"]) == (1, None)
    query = {"agent_id": server.agent_id}
    _, found = await raw(server, "agent_instance", method="GET", query=query, token=admin)
    assert [row["id"] for row in found["summaries"]] == [instance]
    status, _ = await raw(server, "bulk", {"items": []}, token=admin)
    assert status == 403


async def test_pfids_are_made_for_the_own_account_only(server: PrefactorServer) -> None:
    status, answer = await raw(server, "pfid/generate", {"count": 3})
    assert (status, len(answer["details"]["pfids"])) == (200, 3)
    assert all(map(pfid.is_pfid, answer["pfids"]))
    assert (await raw(server, "pfid/generate", {"count": 0}))[0] == 422
    other = {"count": 1, "account_id": pfid.generate_root()}
    assert (await raw(server, "pfid/generate", other))[0] == 403


# Rules


async def test_tokens_reach_no_further_than_their_scope(server: PrefactorServer) -> None:
    async with connect(server, api_token="wrong") as stranger:
        with pytest.raises(PrefactorAuthError) as refused:
            await stranger.validate_token()
    assert refused.value.status_code == 401
    async with connect(server) as deployment:
        with pytest.raises(PrefactorValidationError):
            await deployment.agent_instances.register(VERSION, SCHEMAS, agent_id=server.agent_id)
    async with connect(server, api_token=server.account_token) as account:
        with pytest.raises(PrefactorValidationError):
            await account.agent_instances.register(VERSION, SCHEMAS)
        with pytest.raises(PrefactorNotFoundError):
            await account.agent_instances.register(VERSION, SCHEMAS, agent_id="someone")
        await account.agent_instances.register(VERSION, SCHEMAS, agent_id=server.agent_id)
    assert rules(server) == ["token", "token_scope", "token_scope", "unknown_agent"]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"schema_name": "t:none"}, "schema_name"),
        ({"id": "not-a-pfid"}, "pfid"),
        ({"id": pfid.generate(pfid.Partition(7))}, "pfid_partition"),
        ({"parent_span_id": pfid.generate_root()}, "parent"),
        ({"started_at": "2026-01-02 03:04:05"}, "timestamp"),
        ({"started_at": "2026-01-02T03:04:05"}, "timestamp"),
        ({"started_at": 1}, "timestamp"),
        ({"started_at": "2026-02-30T03:04:05Z"}, "timestamp"),
        ({"status": "terminated"}, "status"),
        ({"status": "complete"}, "state"),
        ({"finished_at": AT}, "state"),
        ({"result_payload": {}}, "state"),
        ({"payload": []}, "type"),
        ({"schema_name": "t:turn", "payload": {"text": 1}}, "payload_schema"),
        ({"schema_name": "t:turn", "payload": {}}, "payload_schema"),
        (
            {
                "schema_name": "t:turn",
                "payload": {"text": ""},
                "status": "failed",
                "finished_at": AT,
                "result_payload": {"n": "1"},
            },
            "payload_schema",
        ),
        ({"agent_instance_id": pfid.generate_root()}, "unknown_id"),
        ({"sensitive_encoding": True, "payload": {"a": {"$sensitive": 1}}}, "sensitive"),
    ],
)
async def test_a_span_is_refused(
    server: PrefactorServer, client: PrefactorHttpClient, fields: Json, rule: str
) -> None:
    instance = await started(client)
    item = create("key-0001", instance, **fields)
    answer = await client.bulk.execute(BulkRequest(items=[item]))
    output = answer.outputs["key-0001"].model_dump()
    assert (output["status"], output["code"]) == ("error", "validation_errors")
    details = item.model_dump()["details"]
    assert (await raw(server, "agent_spans", {"details": details}))[0] == 422
    assert rules(server) == [rule, rule]
    assert server.spans() == []


async def test_a_parent_of_another_instance_is_refused(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    one, two = await started(client), await started(client)
    parent = await client.agent_spans.create(one, "t:free", "active")
    with pytest.raises(PrefactorValidationError) as refused:
        await client.agent_spans.create(two, "t:free", "active", parent_span_id=parent.id)
    assert list(refused.value.errors) == ["parent_span_id"]


async def test_an_id_is_given_once(server: PrefactorServer, client: PrefactorHttpClient) -> None:
    instance = await started(client)
    span = await client.agent_spans.create(instance, "t:free", "active")
    with pytest.raises(PrefactorValidationError):
        await client.agent_spans.create(instance, "t:free", "active", id=span.id)
    assert rules(server) == ["taken"]
    assert server.spans()[0].creates == 2


async def test_sensitive_values_are_checked_as_what_they_hold(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    wrapped = {"text": {"$sensitive": "string", "value": "secret", "labels": ["pii"]}}
    fields: Json = {"schema_name": "t:turn", "payload": wrapped, "sensitive_encoding": True}
    answer = await client.bulk.execute(BulkRequest(items=[create("key-0001", instance, **fields)]))
    assert answer.outputs["key-0001"].status == "success"
    assert server.spans()[0].payload == wrapped


async def test_states_of_an_instance(server: PrefactorServer, client: PrefactorHttpClient) -> None:
    async def conflicts(call: Any) -> None:
        with pytest.raises(PrefactorApiError) as refused:
            await call
        assert (refused.value.status_code, refused.value.code) == (409, "invalid_action")

    ident = (await client.agent_instances.register(VERSION, SCHEMAS)).id
    await conflicts(client.agent_spans.create(ident, "t:free", "active"))
    await conflicts(client.agent_instances.finish(ident, "complete"))
    await client.agent_instances.start(ident)
    await conflicts(client.agent_instances.start(ident))
    await client.agent_instances.finish(ident, "failed")
    assert rules(server) == ["instance_state"] * 3
    # The contract says of this one that it is no error.
    await conflicts(client.agent_instances.finish(ident, "failed"))
    assert len(rules(server)) == 3
    await conflicts(client.agent_spans.create(ident, "t:free", "active"))
    with pytest.raises(PrefactorNotFoundError):
        await client.agent_instances.start(pfid.generate_root())


async def test_states_of_a_span(server: PrefactorServer, client: PrefactorHttpClient) -> None:
    instance = await started(client)
    waiting = await client.agent_spans.create(instance, "t:free", "pending")
    with pytest.raises(PrefactorApiError) as refused:
        await client.agent_spans.finish(waiting.id, "complete")
    assert (refused.value.status_code, refused.value.code) == (409, "invalid_action")
    await client.agent_spans.finish(waiting.id, "cancelled")
    with pytest.raises(PrefactorApiError):
        await client.agent_spans.finish(waiting.id, "cancelled")
    with pytest.raises(PrefactorNotFoundError):
        await client.agent_spans.finish(pfid.generate_root())
    assert rules(server) == ["span_state", "span_state", "unknown_id"]


async def test_a_key_answers_the_first_answer_again_across_restarts(
    server: PrefactorServer,
) -> None:
    async with connect(server) as client:
        instance = await started(client, idempotency_key="register-1")
        span = await client.agent_spans.create(
            instance, "t:free", "active", started_at=T0, idempotency_key="create-01"
        )
        await client.agent_spans.finish(span.id, "complete", {"n": 1}, T0, "finish-01")
    for restart in (server.stop, server.kill):
        restart()
        server.start()
        async with connect(server) as client:
            again = await client.agent_instances.register(
                VERSION, SCHEMAS, idempotency_key="register-1"
            )
            assert (again.id, again.status) == (instance, "pending")
            # The same call as one item of a bulk call.
            bulk = BulkRequest(items=[create("create-01", instance, payload={})])
            outputs = (await client.bulk.execute(bulk)).outputs
            first = outputs["create-01"].model_dump()["details"]
            assert (first["id"], first["status"]) == (span.id, "active")
            done = await client.agent_spans.finish(span.id, "complete", {"n": 1}, T0, "finish-01")
            assert done.status == "complete"
            with pytest.raises(PrefactorValidationError):
                await client.agent_spans.finish(span.id, "failed", {"n": 1}, T0, "finish-01")
    assert len(server.instances()) == len(server.spans()) == 1
    assert (server.spans()[0].creates, server.spans()[0].finishes) == (3, 5)
    assert rules(server) == ["idempotency_reuse"] * 2


async def test_a_torn_last_line_of_the_state_is_dropped(tmp_path: Any) -> None:
    path = tmp_path / "state"
    with PrefactorServer(path) as server:
        async with connect(server) as client:
            instance = await started(client)
        server.kill()
        with path.open("ab") as file:
            file.write(b'{"t":"span","v":{"id')
        server.start()
        async with connect(server) as client:
            await client.agent_spans.create(instance, "t:free", "active")
        server.restart()
        assert len(server.spans()) == 1


async def test_bulk_stops_at_the_first_error(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    items = [
        create("item-one", instance),
        create("item-two", instance, schema_name="t:none"),
        create("item-three", instance),
    ]
    answer = await client.bulk.execute(BulkRequest(items=items))
    assert {key: output.status for key, output in answer.outputs.items()} == {
        "item-one": "success",
        "item-two": "error",
    }
    assert len(server.spans()) == 1


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ([], "bulk"),
        ([{"idempotency_key": "key-0001"}], "bulk"),
        ([{"_type": "agent_spans/create", "idempotency_key": "seven77"}], "idempotency_key"),
        ([{"_type": "agent_spans/create", "idempotency_key": "x" * 65}], "idempotency_key"),
        ([{"_type": "agent_spans/create", "idempotency_key": "key-0001"}] * 2, "bulk_keys"),
    ],
)
async def test_a_bulk_request_is_refused_as_a_whole(
    server: PrefactorServer, items: list[Json], rule: str
) -> None:
    assert (await raw(server, "bulk", {"items": items}))[0] == 422
    assert rules(server) == [rule]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"_type": "agent_spans/make"}, "bulk_type"),
        ({"_type": "agent_spans/create", "schema_name": "t:free"}, "bulk_create_shape"),
        ({"_type": "agent_spans/finish", "status": "complete"}, "bulk_finish_shape"),
    ],
)
async def test_a_bulk_item_is_refused(server: PrefactorServer, fields: Json, rule: str) -> None:
    item = {"idempotency_key": "key-0001", **fields}
    status, answer = await raw(server, "bulk", {"items": [item]})
    assert (status, answer["outputs"]["key-0001"]["status"]) == (200, "error")
    assert rules(server) == [rule]


async def test_a_bulk_finish_loses_what_is_inside_details(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    span = await client.agent_spans.create(instance, "t:free", "active", started_at=T0)
    item = finish("key-0001", span.id, details={"result_payload": {"n": 1}})
    await client.bulk.execute(BulkRequest(items=[item]))
    assert server.spans()[0].result is None
    assert rules(server) == ["bulk_finish_shape"]


async def test_what_is_too_large_is_refused(tmp_path: Any) -> None:
    with PrefactorServer(max_item=2000, max_body=5000, max_items=3) as server:
        async with connect(server) as client:
            instance = await started(client)
            big = {"payload": {"a": "x" * 2000}}
            answer = await client.bulk.execute(
                BulkRequest(items=[create("key-0001", instance, **big)])
            )
            assert answer.outputs["key-0001"].model_dump()["code"] == "payload_too_large"
            for items in (
                [create("key-0001", instance, payload={"a": "x" * 5000})],
                [create(f"key-000{n}", instance) for n in range(4)],
            ):
                with pytest.raises(PrefactorApiError) as refused:
                    await client.bulk.execute(BulkRequest(items=items))
                assert refused.value.status_code == 413
        assert rules(server) == ["item_size", "body_size", "bulk_items"]


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": Infinity}', b"{", b"[]", b"\xff"])
async def test_what_is_not_json_is_refused(server: PrefactorServer, body: bytes) -> None:
    assert (await raw(server, "agent_spans", data=body))[0] == 400
    assert rules(server) == ["json"]


async def test_paths_methods_and_headers(server: PrefactorServer) -> None:
    assert (await raw(server, "spans", {}))[0] == 404
    assert (await raw(server, "bulk", method="GET"))[0] == 405
    assert (await raw(server, "bulk", {}, content_type="text/plain"))[0] == 415
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        await session.get(f"{server.url}/api/v1/ping")
    assert rules(server) == ["path", "method", "content_type", "sdk_header"]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"span_type_schemas": [{"name": "a"}]}, "register"),
        ({"span_type_schemas": [{"name": "a", "params_schema": {"type": "x"}}]}, "schema"),
        ({"span_type_schemas": [{"name": "a", "params_schema": {}}] * 2}, "register"),
        (
            {"span_type_schemas": [{"name": "a", "params_schema": {}, "template": "{{ x"}]},
            "template",
        ),
        ({"span_type_schemas": [{"name": "a", "params_schema": {}, "data_risk": {}}]}, "register"),
    ],
)
async def test_a_registration_is_refused(
    server: PrefactorServer, client: PrefactorHttpClient, changed: Json, rule: str
) -> None:
    with pytest.raises(PrefactorValidationError):
        await client.agent_instances.register(VERSION, changed)
    assert rules(server) == [rule]


async def test_what_a_registration_may_not_repeat(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    ident = await started(client, external_identifier="room")
    register = client.agent_instances.register
    for fields in ({"external_identifier": "room"}, {"id": ident}, {"purpose": "fun"}):
        with pytest.raises(PrefactorValidationError):
            await register(VERSION, SCHEMAS, **fields)
    with pytest.raises(PrefactorValidationError):
        await register(VERSION, {**SCHEMAS, "quality_schemas": []})
    assert rules(server) == ["taken", "taken", "register", "schema_version"]


async def test_quality_needs_its_schema(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    ident = await started(client)
    record = client.agent_instances.record_quality
    for name in ("none", "q"):
        with pytest.raises(PrefactorValidationError):
            await record(ident, name, {})
    await record(ident, "q", {"turns": 1}, "quality-1")
    await record(ident, "q", {"turns": 1}, "quality-1")
    assert len(server.quality()) == 1
    assert (await record(ident, "q", None)).quality_payloads == {}
    assert rules(server) == ["quality_name", "payload_schema"]


async def test_what_is_let_pass_but_noted(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    span = await client.agent_spans.create(instance, "t:free", "active", started_at=T0)
    await client.agent_spans.finish(span.id, timestamp=T0 - timedelta(hours=1))
    body: Json = {
        "details": {"agent_instance_id": instance, "schema_name": "t:free", "status": "active"}
    }
    body["details"]["colour"] = "red"
    assert (await raw(server, "agent_spans", body))[0] == 200
    assert rules(server) == ["time_order", "unknown_field"]


@pytest.mark.parametrize(
    ("value", "sound"),
    [
        ({"a": 1, "b": ["x"]}, True),
        ({"a": 1.0}, True),
        ({"a": True}, False),
        ({"a": -1}, False),
        ({"b": [1]}, False),
        ({"c": 1}, False),
        ({"e": "y"}, False),
        ({"e": "x"}, True),
        ([], False),
    ],
)
def test_the_quick_check_judges_as_jsonschema_does(value: Any, sound: bool) -> None:
    plain: Json = {
        "type": "object",
        "properties": {
            "a": {"type": ["integer", "null"], "minimum": 0},
            "b": {"type": "array", "items": {"type": "string"}},
            "e": {"enum": ["x"]},
        },
        "additionalProperties": False,
    }
    for schema in (plain, {"allOf": [plain]}):
        judge = Schema(schema, "schema")
        if sound:
            judge.check(value, "payload")
        else:
            with pytest.raises(RefusedError):
                judge.check(value, "payload")


# Fault plans


async def comes_back(client: PrefactorHttpClient) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectorError, PrefactorApiError):
                await client.validate_token()
                return
            await asyncio.sleep(0.1)


async def test_connections_can_be_refused(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    await client.validate_token()
    server.fault("refuse", seconds=3600)
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.validate_token()
    server.clear_faults()
    await client.validate_token()
    server.fault("refuse", seconds=0.3)
    await comes_back(client)


async def test_a_stopped_server_refuses_and_keeps_its_port(server: PrefactorServer) -> None:
    url = server.url
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1)
    server.start()
    assert server.url == url
    assert (await raw(server, "ping", method="GET"))[0] == 200


async def test_hanging_before_and_after_the_effect(server: PrefactorServer) -> None:
    async with connect(server) as client:
        instance = await started(client)
    for kind, spans in (("hang", 0), ("hang_after", 1)):
        plan = server.fault(kind, path="agent_spans")
        async with connect(server) as client:
            asking = asyncio.create_task(client.agent_spans.create(instance, "t:free", "active"))
            await asyncio.to_thread(until, plan.hits)
            done, _ = await asyncio.wait([asking], timeout=0.3)
            assert not done
            asking.cancel()
            await asyncio.wait([asking])
        assert (plan.hits(), len(server.spans())) == (1, spans)
        assert server.requests()[-1]["fault"] == kind
        plan.clear()


async def test_errors_for_some_calls_and_for_a_time(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    async def status() -> int:
        try:
            await client.validate_token()
        except PrefactorApiError as error:
            return int(error.status_code)
        return 200

    server.fault("status", times=2, skip=1)
    assert [await status() for _ in range(4)] == [200, 500, 500, 200]
    plan = server.fault("status", status=503, seconds=3600)
    assert await status() == 503
    plan.clear()
    server.fault("status", status=503, seconds=0.3)
    await comes_back(client)
    server.fault("status", path="bulk")
    assert await status() == 200


async def test_too_many_requests_say_when_to_come_back(server: PrefactorServer) -> None:
    server.fault("rate_limit", retry_after=3, times=1)
    headers = {"Authorization": f"Bearer {server.token}", "X-Prefactor-SDK": "test@1"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{server.url}/api/v1/ping") as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "3")
        await session.get(f"{server.url}/api/v1/ping")
        assert rules(server) == ["retry_after"]
        await asyncio.sleep(3)
        await session.get(f"{server.url}/api/v1/ping")
    assert rules(server) == ["retry_after"]


async def test_resets_before_and_after_the_effect(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    for kind, spans in (("reset", 0), ("reset_after", 1)):
        server.fault(kind, times=1)
        with pytest.raises(aiohttp.ClientError):
            await client.agent_spans.create(instance, "t:free", "active")
        assert len(server.spans()) == spans


async def test_a_bulk_call_that_dies_half_way(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    request = BulkRequest(items=[create(f"key-000{n}", instance) for n in range(4)])
    server.fault("bulk_cut", items=3, times=1)
    with pytest.raises(aiohttp.ClientError):
        await client.bulk.execute(request)
    assert len(server.spans()) == 3
    assert len((await client.bulk.execute(request)).outputs) == 4
    assert [span.creates for span in server.spans()] == [2, 2, 2, 1]


@pytest.mark.parametrize(("kind", "spans"), [("html", 0), ("html_after", 1)])
@pytest.mark.parametrize("status", [200, 502])
async def test_the_page_of_a_proxy_can_stand_for_an_answer(
    server: PrefactorServer, client: PrefactorHttpClient, kind: str, spans: int, status: int
) -> None:
    instance = await started(client)
    server.fault(kind, status=status, times=1)
    with pytest.raises(PrefactorResponseContractError) as refused:
        await client.agent_spans.create(instance, "t:free", "active")
    assert refused.value.status_code == status
    assert len(server.spans()) == spans


async def test_an_answer_can_be_cut_off_after_its_effect(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    server.fault("truncated", times=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.agent_spans.create(instance, "t:free", "active")
    assert len(server.spans()) == 1


async def test_answers_can_be_slow(server: PrefactorServer, client: PrefactorHttpClient) -> None:
    for kind, options in (("drip", {"chunk": 16, "interval": 0.1}), ("delay", {"delay": 0.3})):
        server.fault(kind, times=1, **options)
        before = time.monotonic()
        assert (await client.validate_token())["status"] == "success"
        assert time.monotonic() - before > 0.2


async def test_one_type_is_refused(server: PrefactorServer, client: PrefactorHttpClient) -> None:
    instance = await started(client)
    server.fault("reject_type", schema_name="t:turn")
    with pytest.raises(PrefactorValidationError) as refused:
        await client.agent_spans.create(instance, "t:turn", "active", {"text": ""})
    assert refused.value.status_code == 422
    await client.agent_spans.create(instance, "t:free", "active")
    assert server.violations() == []


async def test_a_token_is_revoked(server: PrefactorServer, client: PrefactorHttpClient) -> None:
    for kind, status in (("revoke", 401), ("forbid", 403)):
        plan = server.fault(kind)
        for _ in range(2):
            with pytest.raises(PrefactorAuthError) as refused:
                await client.validate_token()
            assert refused.value.status_code == status
        plan.clear()
        await client.validate_token()
    assert server.violations() == []


async def test_custom_ids_are_refused(server: PrefactorServer, client: PrefactorHttpClient) -> None:
    instance = await started(client)
    server.fault("no_custom_ids")
    ident = pfid.generate_related(pfid.Pfid(instance))
    with pytest.raises(PrefactorValidationError) as refused:
        await client.agent_spans.create(instance, "t:free", "active", id=ident)
    assert list(refused.value.errors) == ["id"]
    await client.agent_spans.create(instance, "t:free", "active")
    assert server.violations() == []


@pytest.mark.parametrize("status", [404, 403, 400])
async def test_bulk_is_refused(
    server: PrefactorServer, client: PrefactorHttpClient, status: int
) -> None:
    instance = await started(client)
    server.fault("no_bulk", status=status)
    with pytest.raises(PrefactorApiError) as refused:
        await client.bulk.execute(BulkRequest(items=[create("key-0001", instance)]))
    assert refused.value.status_code == status
    await client.agent_spans.create(instance, "t:free", "active")
    assert server.violations() == []


async def test_the_kill_switch_is_in_each_answer(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    reasons: list[str | None] = []
    hear: Callable[[str | None], None] = reasons.append
    span = await client.agent_spans.create(
        instance, "t:free", "active", control_signal_callback=hear
    )
    assert reasons == []
    assert server.terminate(reason="policy") == [instance]
    await client.agent_spans.create(instance, "t:free", "active", control_signal_callback=hear)
    await client.agent_spans.finish(span.id, control_signal_callback=hear)
    assert reasons == ["policy", "policy"]
    answer = await client.bulk.execute(BulkRequest(items=[create("key-0001", instance)]))
    output = answer.outputs["key-0001"].model_dump()
    assert output["control"] == {"terminate": True, "reason": "policy"}
    seen = await client.agent_instances.get(instance)
    assert (seen.status, seen.termination_reason) == ("terminated", "policy")
    with pytest.raises(PrefactorApiError) as refused:
        await client.agent_instances.finish(instance, "cancelled")
    assert refused.value.status_code == 409
    assert server.violations() == []


async def test_500_spans_in_one_bulk_call(
    server: PrefactorServer, client: PrefactorHttpClient
) -> None:
    instance = await started(client)
    for turn in range(3):
        items = [
            create(
                f"key-{turn}-{n:06}", instance, schema_name="t:turn", payload={"text": "x" * 500}
            )
            for n in range(500)
        ]
        assert len((await client.bulk.execute(BulkRequest(items=items))).outputs) == 500
    assert server.wait_for_spans(1500) == 1500


async def test_a_reset_forgets_everything(server: PrefactorServer) -> None:
    async with connect(server) as client:
        await client.agent_spans.create(await started(client), "t:free", "active")
    server.fault("status")
    server.kill()
    server.start()
    assert len(server.spans()) == 1
    server.reset()
    server.restart()
    assert (server.spans(), server.instances(), server.requests()) == ([], [], [])
