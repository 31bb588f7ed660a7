"""The objects that programs written for ``prefactor_livekit`` use: prefactor-core's client and its
handle to an agent instance."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefactor_core import (  # type: ignore[import-untyped]
    AgentInstanceHandle,
    PrefactorCoreClient,
    PrefactorCoreConfig,
    SchemaRegistry,
    SpanContext,
)
from prefactor_http import HttpClientConfig
from pydantic import SecretStr

from ..config import Settings
from ..core.json import JSON
from ..deliver.prefactor.registration import registration
from ..deliver.prefactor.target import sdk_entry
from ..journal.errors import StorageError
from ..journal.outbox import Outbox
from .schemas import opened

SDK_ENTRY = sdk_entry().partition(" ")[0]
"""How this package names itself to Prefactor."""
_LOOK_S = 0.05
"""Between two looks for the answer in the journal, in seconds."""


class RefusedInstanceError(Exception):
    """Prefactor refuses the call; the delivering thread has logged why."""


def make_client(api_url: str, api_token: str, registry: SchemaRegistry) -> PrefactorCoreClient:
    """A client that has made no request yet.

    Raises:
        ValueError: The URL or the token is empty.
    """
    http = HttpClientConfig(api_url=api_url, api_token=api_token)
    return with_sdk_entry(PrefactorCoreConfig(http_config=http, schema_registry=registry))


def with_sdk_entry(config: PrefactorCoreConfig) -> PrefactorCoreClient:
    return PrefactorCoreClient(config, sdk_header_entry=SDK_ENTRY)


def introduce(client: PrefactorCoreClient) -> None:
    """Name this package in the requests of a client that the program made."""
    client._set_sdk_header_entry(SDK_ENTRY)


def is_ready(client: PrefactorCoreClient) -> bool:
    return bool(getattr(client, "_initialized", False))


def registry_of(client: PrefactorCoreClient) -> SchemaRegistry | None:
    return client._config.schema_registry


def own_registry(client: PrefactorCoreClient) -> SchemaRegistry:
    """The schemas of a client, which gets an empty registry if it has none."""
    registry = registry_of(client)
    if registry is None:
        registry = client._config.schema_registry = SchemaRegistry()
    return registry


def client_of(instance: AgentInstanceHandle) -> PrefactorCoreClient | None:
    return getattr(instance, "_client", None)


def settings_of(
    client: PrefactorCoreClient, chosen: Settings, agent_id: str | None, agent_name: str | None
) -> Settings:
    """The settings in force, with the URL, the token and the schemas of a client."""
    http, registry = client._config.http_config, registry_of(client)
    return replace(
        chosen,
        api_url=http.api_url,
        api_token=SecretStr(http.api_token),
        agent_id=agent_id or chosen.agent_id,
        agent_name=agent_name,
        schemas=opened(registry.to_agent_schema_version("")) if registry is not None else None,
    )


async def register(client: PrefactorCoreClient, settings: Settings) -> AgentInstanceHandle:
    """Register and start an instance through a client that is ready.

    Raises:
        Exception: Whatever prefactor-core raises.
    """
    body = registration("", {"agent_class": "livekit-agent"}, (), settings, SDK_ENTRY)
    instance = await client.create_agent_instance(
        agent_id=body.get("agent_id"),
        agent_version=body["agent_version"],
        agent_schema_version=body["agent_schema_version"],
        environment_id=body.get("environment_id"),
        purpose=body.get("purpose"),
    )
    # instance.start() would only queue the request, and the first spans may be faster.
    await client._http.agent_instances.start(
        instance.id, timestamp=datetime.now(UTC), idempotency_key=f"{instance.id}-start"
    )
    return instance


def wait_for_instance(journal: Path, session_id: str, timeout: float) -> str:
    """The id under which a call of this process was registered. Waits, so never call it on the
    event loop.

    Args:
        timeout: In seconds.

    Raises:
        TimeoutError: The call is not registered yet.
        RefusedInstanceError: Prefactor refuses the call.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(StorageError):  # it may be locked
            if (found := _registered_id(journal, session_id)) is not None:
                return found
        time.sleep(_LOOK_S)
    raise TimeoutError("Prefactor has not answered yet")


def _registered_id(journal: Path, session_id: str) -> str | None:
    """The id under which a call was registered; ``None``: it is not, so far."""
    if not journal.exists():  # opening it would create it
        return None
    with contextlib.closing(Outbox(journal)) as outbox:
        row = outbox.call(session_id)
    if row is None:
        return None
    if row.error is not None:
        raise RefusedInstanceError(row.error)
    return row.instance_id


class OfflineInstance(AgentInstanceHandle):  # type: ignore[misc]  # it has no types of its own
    """Stands in for an instance that is not registered (yet): it has the methods of a handle, and
    sends nothing. Its id is the id of the call in the journal, if there is a call."""

    def __init__(self, id_: str) -> None:
        super().__init__(id_, None)

    async def start(self, timestamp: datetime | None = None) -> None: ...

    async def finish(self, status: str = "complete", timestamp: datetime | None = None) -> None: ...

    async def record_quality(self, name: str, payload: JSON | None = None) -> None: ...

    async def create_span(self, schema_name: str, *_rest: Any, **_options: Any) -> str:
        return ""

    async def finish_span(self, span_id: str, *_rest: Any, **_options: Any) -> None: ...

    @contextlib.asynccontextmanager
    async def span(
        self, schema_name: str, parent_span_id: str | None = None, payload: JSON | None = None
    ) -> AsyncIterator[SpanContext]:
        yield SpanContext("", _Nowhere())


class _Nowhere:
    """A span manager that sends nothing."""

    async def start(self, temp_id: str, **_options: Any) -> str:
        return temp_id

    async def finish(self, *_rest: Any, **_options: Any) -> None: ...

    async def cancel_unstarted(self, *_rest: Any, **_options: Any) -> None: ...


def given(instance: AgentInstanceHandle, *, supplied: bool) -> Mapping[str, Any]:
    """What a call records of the instance that it belongs to: see
    :func:`.registration.given_instance`."""
    return {"id": instance.id, "supplied": supplied}
