"""Traces a session with a wrapper around it, as ``prefactor_livekit`` does: for plain ``Agent``s,
and for programs that were written for ``prefactor_livekit``.

The names, the signatures and their meaning are those of ``prefactor_livekit`` 0.1.5. What differs:

- Threads record, keep and deliver the spans, as with a ``TracedAgent``. So
  :meth:`PrefactorLiveKitSession.start` makes no request, and the agent starts at once, also when
  Prefactor is down (``prefactor_livekit`` raises then, after several attempts).
- :meth:`~PrefactorLiveKitSession.attach` and :meth:`~PrefactorLiveKitSession.ensure_initialized`
  return the handle of a registered instance, so they wait for Prefactor, but at most for
  :data:`ANSWER_S`. Without an answer they warn and return a handle that sends nothing; the journal
  has the trace, and it is delivered later.
- No failed request raises, also in :meth:`~PrefactorLiveKitSession.close`.
- With neither a client nor an instance, the settings say where the trace goes. Redaction, the
  journal and ``disabled`` always follow the settings.
- The token is sent over plain http to this machine only, unless ``configure(allow_http=True)``.
- ``agent_id`` has the documented default, which means no id, as ``None`` does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from prefactor_core import (  # type: ignore[import-untyped]
    AgentInstanceHandle,
    PrefactorCoreClient,
    PrefactorCoreConfig,
    SchemaRegistry,
)

from .. import config
from ..core.guard import guarded, listener, logger
from ..core.ids import Ids
from ..pipeline import Pipeline
from ..tracing import TraceOptions, tracer
from . import instances
from .schemas import ToolSchemas, compile_livekit_agent_schema, register_livekit_schemas

if TYPE_CHECKING:
    from livekit.agents import Agent, AgentSession

    from ..record.recorder import SessionRecorder

LIVEKIT_SDK_HEADER_ENTRY = instances.SDK_ENTRY
DEFAULT_AGENT_ID = "livekit-agent"
"""Means no id: Prefactor's ids look different, and its token knows the agent."""
ANSWER_S = 5.0
"""How long ``attach``, ``ensure_initialized`` and ``close`` wait for Prefactor, in seconds."""


class PrefactorLiveKitSession:
    """Traces an ``AgentSession``, whatever its agents are.

    Args:
        client: An initialized client of prefactor-core. The wrapper uses its URL, token and
            schemas, and leaves it open.
        agent_id: The agent's id at Prefactor, for an account-scoped token.
        agent_name: The name to register the agent with; by default its class.
        instance: An instance to put the spans into. The wrapper neither starts nor finishes it.
        tool_schemas: By tool name, the type and the schema of a tool's spans.

    Raises:
        ValueError: ``client`` and ``instance`` are both given, or the client is not initialized, or
            the schema of a tool is not valid.
    """

    def __init__(
        self,
        client: PrefactorCoreClient | None = None,
        agent_id: str | None = DEFAULT_AGENT_ID,
        agent_name: str | None = None,
        instance: AgentInstanceHandle | None = None,
        tool_schemas: ToolSchemas | None = None,
    ) -> None:
        if instance is not None and client is not None:
            raise ValueError("Provide either 'client' or 'instance', not both.")
        if client is not None and not instances.is_ready(client):
            raise ValueError(
                "Client must be initialized before being passed to session wrapper"
                " - call await client.initialize() first"
            )
        self._set_up(client, agent_id, agent_name, instance)
        self._tool_types = self._register(tool_schemas)

    @classmethod
    def from_config(
        cls,
        api_url: str,
        api_token: str,
        agent_id: str | None = DEFAULT_AGENT_ID,
        agent_name: str | None = None,
        schema_registry: SchemaRegistry | None = None,
        include_livekit_schemas: bool = True,
        tool_schemas: ToolSchemas | None = None,
    ) -> PrefactorLiveKitSession:
        """Create a wrapper from raw configuration.

        Args:
            api_url: The URL of Prefactor.
            api_token: A token for it.
            agent_id: As in the class.
            agent_name: As in the class.
            schema_registry: The program's own schemas; the built-in ones are added to it.
            include_livekit_schemas: Whether to add them.
            tool_schemas: As in the class.

        Raises:
            ValueError: The URL or the token is empty, or the schema of a tool is not valid, or a
                type is registered twice.
        """
        registry = SchemaRegistry() if schema_registry is None else schema_registry
        types: dict[str, str] = {}
        if include_livekit_schemas or tool_schemas:
            types = register_livekit_schemas(registry, tool_schemas=tool_schemas)
        wrapper = cls.__new__(cls)
        wrapper._set_up(
            instances.make_client(api_url, api_token, registry), agent_id, agent_name, None
        )
        wrapper._owns_client = True
        wrapper._tool_types = types
        return wrapper

    @staticmethod
    def create_client(config: PrefactorCoreConfig) -> PrefactorCoreClient:
        """Create a client for programs that manage the client and their instances themselves. It is
        ready after ``await client.initialize()``."""
        return instances.with_sdk_entry(config)

    def _set_up(
        self,
        client: PrefactorCoreClient | None,
        agent_id: str | None,
        agent_name: str | None,
        instance: AgentInstanceHandle | None,
    ) -> None:
        self._client = instances.client_of(instance) if instance is not None else client
        self._owns_client = False
        self._agent_id = None if agent_id == DEFAULT_AGENT_ID else agent_id
        self._agent_name = agent_name
        self._supplied = instance
        self._opened: AgentInstanceHandle | None = None
        """An instance that was registered before its session began."""
        self._handle: AgentInstanceHandle | None = None
        """The handle of the present session."""
        self._session: AgentSession[Any] | None = None
        self._trace: SessionRecorder | None = None
        self._pipeline: Pipeline | None = None
        self._asking = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        if self._client is not None:
            instances.introduce(self._client)

    def _register(self, tool_schemas: ToolSchemas | None) -> dict[str, str]:
        """Add the schemas of the program's tools to those of its client."""
        if not tool_schemas:
            return {}
        if self._supplied is not None or self._client is None:
            return compile_livekit_agent_schema(tool_schemas)[1]
        registry = instances.own_registry(self._client)
        return register_livekit_schemas(registry, tool_schemas=tool_schemas)

    async def start(self, session: AgentSession[Any], agent: Agent, **kwargs: Any) -> Any:
        """Attach and delegate to ``AgentSession.start()``. Makes no request of its own.

        Args:
            session: A session that has not started.
            agent: Its first agent.
            **kwargs: For ``AgentSession.start()``, whose result this returns.
        """
        self._begin(session, agent)
        return await session.start(agent, **kwargs)

    async def attach(self, session: AgentSession[Any]) -> AgentInstanceHandle:
        """Attach to an existing LiveKit session, which may have started.

        Returns:
            As of :meth:`ensure_initialized`.
        """
        try:
            agent: Agent | None = session.current_agent
        except RuntimeError:  # it has not started
            agent = None
        self._begin(session, agent)
        return await self.ensure_initialized()

    async def ensure_initialized(self) -> AgentInstanceHandle:
        """Initialize and return the active Prefactor instance.

        Returns:
            The instance of the session's spans, or of the next session if there is none yet. If
            Prefactor does not answer in time, a handle that sends nothing.
        """
        if self._supplied is not None:
            return self._supplied
        async with self._asking:
            if self._handle is None:
                self._handle = await self._registered()
            return self._handle or instances.OfflineInstance(self._offline_id())

    async def close(self) -> None:
        """End the trace, if its session has not ended, and wait until the journal has it and,
        within the ``flush_timeout`` of the settings, Prefactor, too. Closes only what the wrapper
        made."""
        self._detach()
        if self._pipeline is not None:
            timeout = self._pipeline.settings.flush_timeout
            await asyncio.to_thread(self._pipeline.flush, timeout)
        await self._close_client()

    # The trace

    @guarded("wrapper.begin")
    def _begin(self, session: AgentSession[Any], agent: Agent | None) -> None:
        trace = self._trace
        if self._session is session and trace is not None and not trace.closed:
            tracer.trace(session, agent)
            return
        self._detach()
        sink = tracer.sink_for(self._settings())
        about = self._about()
        self._handle, self._opened = self._opened, None
        trace = tracer.trace(session, agent, TraceOptions(sink, about, self._tool_types))
        if trace is None:
            return
        self._trace, self._session = trace, session
        self._pipeline = sink if isinstance(sink, Pipeline) else None
        if trace.spans.sink is not sink:
            self._join(trace, about)
        session.on("close", listener(self._on_session_closed))

    def _about(self) -> dict[str, Any]:
        """What the program says itself of a session, for the payload of its span."""
        about: dict[str, Any] = {
            "name": self._agent_name or "livekit-session",
            "metadata": {"tool_span_types": dict(self._tool_types), "agent_id": self._agent_id},
        }
        if self._agent_name or self._agent_id:
            about["agent_name"] = self._agent_name or self._agent_id
        if (given := self._supplied or self._opened) is not None:
            about["instance"] = instances.given(given, supplied=given is self._supplied)
        return about

    def _join(self, trace: SessionRecorder, about: dict[str, Any]) -> None:
        """Go on with the trace that a traced agent has begun."""
        trace.add(about, self._tool_types)
        keeper, ours = trace.spans.sink, self._pipeline
        if not isinstance(keeper, Pipeline) or ours is None:
            return
        if keeper.settings.delivers or not ours.settings.delivers:
            self._pipeline = keeper
            return
        take_over = guarded("wrapper.take_over")(ours.take_over)
        asyncio.get_running_loop().run_in_executor(None, take_over, trace.spans.root.id, keeper)

    def _settings(self) -> config.Settings:
        chosen = config.settings()
        if self._client is None:
            return chosen
        return instances.settings_of(self._client, chosen, self._agent_id, self._agent_name)

    def _detach(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            tracer.detach(session)
        self._trace = self._handle = None

    def _on_session_closed(self, _event: Any) -> None:
        """Close what the wrapper made. A program need not call :meth:`close`."""
        if self._owns_client and self._client is not None and instances.is_ready(self._client):
            self._closing = asyncio.ensure_future(self._close_client())

    # The instance

    async def _registered(self) -> AgentInstanceHandle | None:
        """A handle to a registered instance; ``None``: Prefactor does not answer, or the settings
        forbid to ask it."""
        pipeline, trace = self._pipeline, self._trace
        if self._client is None or (trace is not None and pipeline is None):
            return None
        try:
            settings = self._settings()
            if settings.disabled:
                return None
            async with asyncio.timeout(ANSWER_S):
                if not instances.is_ready(self._client):
                    await self._client.initialize()
                if trace is None:
                    self._opened = await instances.register(self._client, settings)
                    return self._opened
                id_ = await asyncio.to_thread(
                    instances.wait_for_instance, settings.journal, trace.spans.root.id, ANSWER_S
                )
        except Exception as error:
            logger.warning(
                "Prefactor has not registered this call yet (%s): it is in the journal, and "
                "delivered once it can be",
                str(error) or type(error).__name__,
            )
            return None
        return AgentInstanceHandle(id_, self._client)

    def _offline_id(self) -> str:
        return self._trace.spans.root.id if self._trace is not None else Ids().new()

    async def _close_client(self) -> None:
        opened, self._opened = self._opened, None
        try:
            async with asyncio.timeout(ANSWER_S), self._asking:
                if opened is not None:
                    await opened.finish()  # no session came
                if self._owns_client and self._client is not None:
                    await self._client.close()
        except Exception as error:
            logger.warning("closing the connection to Prefactor: %s", error or type(error).__name__)
