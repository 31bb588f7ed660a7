"""``PrefactorLiveKitSession`` as programs that were written for ``prefactor_livekit`` use it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sqlite3
import threading
from pathlib import Path
from typing import Any

import prefactor_livekit as theirs
import pytest
from livekit.agents import Agent, AgentSession
from prefactor_core import (
    AgentInstanceHandle,
    PrefactorCoreClient,
    PrefactorCoreConfig,
    SchemaRegistry,
)
from prefactor_http import HttpClientConfig

import prefactor_agent as ours
from compat.agents import Plain, Traced
from prefactor_agent import configure, pipeline
from prefactor_agent.compat import session as session_module
from support.memory_sink import MemorySink
from support.prefactor_server import PrefactorServer
from support.scripted import ScriptedLLM, Tokens, Use
from support.waiting import PATIENCE, until

JSON = dict[str, Any]
REPLIES: tuple[Any, ...] = (
    [Use("hours", {"day": "monday"})],
    ["It is ", "open.", Tokens(20, 4)],
)


def new_session(*replies: Any) -> AgentSession[None]:
    return AgentSession(llm=ScriptedLLM(*(replies or REPLIES)))


def wrapper(server: PrefactorServer, **more: Any) -> ours.PrefactorLiveKitSession:
    return ours.PrefactorLiveKitSession.from_config(server.url, server.token, **more)


async def converse(tracer: Any, agent: Agent | None = None) -> None:
    session = new_session()
    await tracer.start(session=session, agent=agent or Plain())
    await session.run(user_input="When are you open?")
    await session.aclose()
    await tracer.close()


def client_for(server: PrefactorServer, registry: SchemaRegistry | None = None) -> Any:
    http = HttpClientConfig(api_url=server.url, api_token=server.token)
    return PrefactorCoreClient(PrefactorCoreConfig(http_config=http, schema_registry=registry))


def types_of(server: PrefactorServer, instance: str | None = None) -> list[str]:
    return sorted(span.type for span in server.spans(instance))


# The names


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in found]


SEED = {"agent_id": "livekit-agent"}
"""The documented defaults; 0.1.5 itself has ``None``, which means the same here."""


@pytest.mark.parametrize(
    "name", ["__init__", "from_config", "attach", "start", "ensure_initialized", "close"]
)
def test_our_methods_take_what_theirs_take(name: str) -> None:
    wanted = parameters(getattr(theirs.PrefactorLiveKitSession, name))
    found = parameters(getattr(ours.PrefactorLiveKitSession, name))
    assert found == [(key, kind, SEED.get(key, default)) for key, kind, default in wanted]
    both = [getattr(package.PrefactorLiveKitSession, name) for package in (theirs, ours)]
    assert inspect.iscoroutinefunction(both[0]) == inspect.iscoroutinefunction(both[1])


@pytest.mark.parametrize(
    "name",
    ["LiveKitToolSchemaConfig", "compile_livekit_agent_schema", "register_livekit_schemas"],
)
def test_our_functions_take_what_theirs_take(name: str) -> None:
    wanted, found = parameters(getattr(theirs, name)), parameters(getattr(ours, name))
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    assert [one[2] is inspect.Parameter.empty for one in found] == [
        one[2] is inspect.Parameter.empty for one in wanted
    ]


def test_every_public_name_is_here() -> None:
    assert set(theirs.__all__) - {"__version__"} <= set(ours.__all__)
    for name in theirs.__all__:
        assert getattr(ours, name) is not None
    public = {name for name in dir(theirs.PrefactorLiveKitSession) if not name.startswith("_")}
    assert public <= set(dir(ours.PrefactorLiveKitSession))
    from prefactor_agent.compat.schemas import LiveKitToolSchemaConfig
    from prefactor_agent.compat.session import PrefactorLiveKitSession

    assert LiveKitToolSchemaConfig is ours.LiveKitToolSchemaConfig
    assert PrefactorLiveKitSession is ours.PrefactorLiveKitSession


async def test_we_refuse_what_they_refuse(server: PrefactorServer) -> None:
    client = client_for(server)
    instance = AgentInstanceHandle("x", client)
    wrong: list[JSON] = [{"client": client}, {"client": client, "instance": instance}]
    for arguments in wrong:
        with pytest.raises(ValueError) as wanted:
            theirs.PrefactorLiveKitSession(**arguments)
        with pytest.raises(ValueError) as found:
            ours.PrefactorLiveKitSession(**arguments)
        assert str(found.value) == str(wanted.value)
    for url, token in (("", "t"), ("http://localhost", "")):
        with pytest.raises(ValueError):
            ours.PrefactorLiveKitSession.from_config(url, token)


# What it does


async def test_a_plain_agent_is_traced(server: PrefactorServer) -> None:
    await converse(wrapper(server, agent_name="Clerk"))
    found = types_of(server)
    assert found.count("livekit:session") == 1
    assert {"livekit:session", "livekit:user_turn", "livekit:assistant_turn"} <= set(found)
    [instance] = server.instances()
    assert instance["status"] == "complete"
    assert instance["registration"]["agent_version"]["name"] == "Clerk"
    [root] = server.tree()
    assert root.payload["name"] == root.payload["agent_name"] == "Clerk"
    assert root.payload["agent_class"] == "Plain"
    assert server.violations() == []


async def test_a_wrapper_around_a_traced_agent_makes_one_trace(server: PrefactorServer) -> None:
    await converse(wrapper(server), Traced())
    found = types_of(server)
    assert found.count("livekit:session") == 1
    assert found.count("livekit:tool:hours") == 1
    assert found.count("livekit:llm") == 2
    assert found.count("livekit:user_turn") == 1
    assert len(server.instances()) == 1
    assert server.violations() == []


async def test_a_wrapper_attached_to_a_running_traced_agent_makes_one_trace(
    server: PrefactorServer,
) -> None:
    tracer, session = wrapper(server), new_session()
    await session.start(Traced())
    instance = await tracer.attach(session)
    await session.run(user_input="When are you open?")
    await session.aclose()
    await tracer.close()
    assert types_of(server, instance.id).count("livekit:session") == 1
    assert types_of(server).count("livekit:llm") == 2
    assert [one["id"] for one in server.instances()] == [instance.id]
    assert server.violations() == []


@pytest.mark.parametrize("agent", [Plain, Traced])
async def test_a_tool_has_the_type_that_was_chosen_for_it(
    server: PrefactorServer, agent: type[Agent]
) -> None:
    tools: JSON = {"hours": {"span_type": "tool:opening-hours", "input_schema": {"type": "object"}}}
    await converse(wrapper(server, tool_schemas=tools), agent())
    assert types_of(server).count("livekit:tool:opening-hours") == 1
    [root] = server.tree()
    assert root.payload["metadata"]["tool_span_types"] == {"hours": "livekit:tool:opening-hours"}
    assert server.violations() == []


async def test_attach_gives_the_instance_that_the_spans_go_into(server: PrefactorServer) -> None:
    tracer, session = wrapper(server), new_session()
    instance = await tracer.attach(session)
    assert isinstance(instance, AgentInstanceHandle)
    assert await tracer.attach(session) is instance
    assert await tracer.ensure_initialized() is instance
    await session.start(Plain())
    await session.run(user_input="When are you open?")
    async with instance.span("livekit:error") as span:  # a span of the program's own
        await span.start({"source": "program"})
    await session.aclose()
    await tracer.close()
    assert [one["id"] for one in server.instances()] == [instance.id]
    [root] = [span for span in server.tree(instance.id) if span.type == "livekit:session"]
    assert root.payload["session_class"] == "AgentSession"
    assert "livekit:error" in types_of(server, instance.id)
    assert server.violations() == []


async def test_an_agent_that_starts_after_attach_is_named_in_the_trace(sink: MemorySink) -> None:
    tracer, session = ours.PrefactorLiveKitSession(), new_session("Hello.")
    await tracer.attach(session)
    assert "agent_class" not in sink.one("livekit:session")["payload"]
    await session.start(Plain())
    await session.run(user_input="Hello?")
    await session.aclose()
    payload = sink.one("livekit:session")["payload"]
    assert (payload["agent_class"], payload["tools"]) == ("Plain", ["hours"])
    assert payload["name"] == "livekit-session"


async def test_the_session_uses_an_instance_made_before_it(
    server: PrefactorServer,
) -> None:
    tracer = wrapper(server)
    instance = await tracer.ensure_initialized()
    assert [one["status"] for one in server.instances()] == ["active"]
    await converse(tracer)
    [registered] = server.instances()
    assert (registered["id"], registered["status"]) == (instance.id, "complete")
    assert "livekit:session" in types_of(server, instance.id)
    assert server.violations() == []


async def test_an_instance_without_a_session_is_finished(server: PrefactorServer) -> None:
    tracer = wrapper(server)
    await tracer.ensure_initialized()
    await tracer.close()
    assert [one["status"] for one in server.instances()] == ["complete"]
    assert server.violations() == []


async def test_a_client_of_the_program_is_used_and_stays_open(server: PrefactorServer) -> None:
    registry = SchemaRegistry()
    registry.register_type("shop:order", {"type": "object"})
    async with client_for(server, registry) as client:
        tracer = ours.PrefactorLiveKitSession(client=client, agent_name="Clerk")
        instance = await tracer.ensure_initialized()
        await converse(tracer)
        assert client._initialized
        other = await client.create_agent_instance(
            agent_id=None,
            agent_version={"name": "other", "external_identifier": "1"},
            external_schema_version_id="other",
        )
        assert other.id != instance.id
    mine = next(one for one in server.instances() if one["id"] == instance.id)
    types = mine["registration"]["agent_schema_version"]["span_type_schemas"]
    assert {"shop:order", "livekit:session"} <= {entry["name"] for entry in types}
    assert "livekit:session" in types_of(server, instance.id)
    assert server.violations() == []


async def test_an_instance_of_the_program_is_used_and_not_finished(
    server: PrefactorServer,
) -> None:
    registry = SchemaRegistry()
    ours.register_livekit_schemas(registry)
    async with client_for(server, registry) as client:
        instance = await client.create_agent_instance(
            agent_id=None,
            agent_version={"name": "mine", "external_identifier": "1"},
            external_schema_version_id="mine",
        )
        await instance.start()
        while server.instances()[0]["status"] != "active":
            await asyncio.sleep(0.02)
        tracer = ours.PrefactorLiveKitSession(instance=instance)
        assert await tracer.ensure_initialized() is instance
        await converse(tracer)
        await converse(tracer)  # another session into the same instance
        [registered] = server.instances()
        assert registered["status"] == "active"
        assert types_of(server, instance.id).count("livekit:session") == 2
        await instance.finish()
    [registered] = server.instances()
    assert (registered["id"], registered["status"]) == (instance.id, "complete")
    assert server.violations() == []


async def test_two_wrappers_each_deliver_to_their_own_url(server: PrefactorServer) -> None:
    with PrefactorServer() as elsewhere:
        one, other = wrapper(server), wrapper(elsewhere)
        await asyncio.gather(converse(one), converse(other))
        assert types_of(server) == types_of(elsewhere)
        assert server.spans()[0].id != elsewhere.spans()[0].id
        assert types_of(server).count("livekit:session") == 1
        assert server.violations() == elsewhere.violations() == []


async def test_the_pipeline_of_a_call_is_known_until_the_call_is_delivered(
    server: PrefactorServer,
) -> None:
    before = set(pipeline._apart)
    with PrefactorServer() as elsewhere:
        configure(api_url=elsewhere.url, api_token=elsewhere.token, flush_timeout=1)
        server.fault("refuse")
        await converse(wrapper(server))
        [left] = set(pipeline._apart) - before
        await converse(ours.PrefactorLiveKitSession())  # as the settings say
        assert types_of(elsewhere).count("livekit:session") == 1
        assert left in pipeline._apart
        server.clear_faults()
        for _ in range(3):
            await converse(wrapper(server))
        async with asyncio.timeout(20):
            while set(pipeline._apart) != before:
                await asyncio.sleep(0.05)
        assert types_of(server).count("livekit:session") == 4
        assert types_of(elsewhere).count("livekit:session") == 1


async def test_wrappers_with_the_same_settings_share_their_threads(
    server: PrefactorServer,
) -> None:
    def threads() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name.startswith("prefactor-deliver")]

    before = len(threads())
    for _ in range(3):
        await converse(wrapper(server))
    assert len(threads()) <= before + 1
    assert types_of(server).count("livekit:session") == 3


async def test_close_ends_the_trace_of_a_session_that_goes_on(server: PrefactorServer) -> None:
    tracer, session = wrapper(server), new_session("One.", "Two.")
    await tracer.start(session, Traced())
    await session.run(user_input="First?")
    await tracer.close()
    before = types_of(server)
    await session.run(user_input="Second?")
    await session.aclose()
    await tracer.close()
    assert types_of(server) == before
    [root] = server.tree()
    assert root.result is not None
    assert (root.status, root.result["close_reason"]) == ("complete", "detached")


async def test_one_wrapper_traces_one_session_after_the_other(server: PrefactorServer) -> None:
    tracer, first, second = wrapper(server), new_session("One."), new_session("Two.")
    await tracer.start(first, Plain())
    await tracer.start(second, Plain())
    await first.aclose()
    await second.aclose()
    await tracer.close()
    roots = [span for span in server.tree() if span.type == "livekit:session"]
    reasons = sorted(root.result["close_reason"] for root in roots if root.result)
    assert reasons == ["detached", "user_initiated"]


async def test_start_takes_and_returns_what_the_session_does() -> None:
    class Session(AgentSession[None]):
        async def start(self, agent: Agent, **options: Any) -> Any:
            await super().start(agent)
            return options

    session = Session(llm=ScriptedLLM())
    tracer = ours.PrefactorLiveKitSession()
    assert await tracer.start(session, Plain(), room="lobby") == {"room": "lobby"}
    await session.aclose()
    refused = new_session()
    with pytest.raises(TypeError):
        await tracer.start(refused, Plain(), no_such_option=1)
    await tracer.close()


# Without Prefactor


async def test_without_a_client_the_settings_say_where_to_deliver(
    server: PrefactorServer, tmp_path: Path
) -> None:
    configure(api_url=server.url, api_token=server.token)
    await converse(ours.PrefactorLiveKitSession())
    assert "livekit:session" in types_of(server)


async def test_without_a_token_the_journal_has_the_call(
    tmp_path: Path, warnings: list[str]
) -> None:
    tracer = ours.PrefactorLiveKitSession()
    handle = await tracer.ensure_initialized()
    assert isinstance(handle, AgentInstanceHandle)
    await converse(tracer)
    with sqlite3.connect(tmp_path / "journal.db") as journal:
        found = [row[0] for row in journal.execute("SELECT type FROM spans")]
    assert "livekit:user_turn" in found
    assert warnings == []


async def test_a_disabled_wrapper_only_starts_the_session(
    server: PrefactorServer, tmp_path: Path
) -> None:
    configure(disabled=True)
    tracer = wrapper(server)
    await tracer.ensure_initialized()
    await converse(tracer)
    assert server.requests() == []
    assert not (tmp_path / "journal.db").exists()


async def test_an_agent_starts_while_prefactor_is_down(
    server: PrefactorServer, tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``prefactor_livekit`` raises in ``start`` then, after several attempts. Here the agent starts
    at once, and the call is delivered when Prefactor is back."""
    configure(flush_timeout=0.5)
    monkeypatch.setattr(session_module, "ANSWER_S", 0.5)
    server.fault("refuse")
    tracer, session = wrapper(server), new_session()
    requests = len(server.requests())
    await tracer.start(session, Plain())
    assert len(server.requests()) == requests
    handle = await tracer.attach(session)
    assert [line for line in warnings if "has not registered this call" in line] == warnings[-1:]
    async with handle.span("livekit:error") as span:
        await span.start({})
        await span.complete({"status": "completed"})
    await handle.finish()
    await session.run(user_input="When are you open?")
    await session.aclose()
    await tracer.close()

    def kept() -> list[tuple[str]]:
        with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
            return journal.execute("SELECT id FROM spans WHERE parent_id IS NULL").fetchall()

    until(kept)
    assert kept() == [(handle.id,)]
    server.clear_faults()
    configure(flush_timeout=PATIENCE)
    await converse(wrapper(server))
    assert types_of(server).count("livekit:session") >= 1


async def test_a_refused_token_is_a_warning(server: PrefactorServer, warnings: list[str]) -> None:
    tracer = ours.PrefactorLiveKitSession.from_config(server.url, "wrong")
    await tracer.ensure_initialized()
    await converse(tracer)
    assert server.spans() == []
    assert len([line for line in warnings if "wrong" in line]) == 0  # never the token
    assert warnings
