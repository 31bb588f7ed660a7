"""The digest of a call: what lists and statistics over many calls need of it. It is worked out of
the call's spans once, when the call has ended, and kept beside them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from pydantic_core import to_json

from ...core.json import JSON
from ...core.values import mapping, mappings, text
from ...stored.source import Listed, Source
from ...stored.span import StoredSpan
from .calltree import CallTree, build
from .latencies import (
    CallLatencies,
    PickupLatency,
    TurnLatency,
    latencies,
    pickup_latency,
)
from .moments import about
from .silences import needs_streams
from .summary import Summary, summarize

VERSION = 4
"""Of what a digest holds. One of another version is not read: the call is worked out again. Raise
it with each change of what is computed here or below."""


class ToolUse(NamedTuple):
    """A tool call."""

    name: str
    ms: float | None
    """``None``: it has not ended, or nobody knows when it began."""
    status: str


class Failure(NamedTuple):
    """An error that was recorded."""

    source: str
    type: str


@dataclass(frozen=True)
class Digest:
    """One call among many. Reads its parts only when they are asked for."""

    data: Mapping[str, Any]

    @cached_property
    def summary(self) -> Summary:
        return Summary(**self.data["summary"])

    @property
    def id(self) -> str:
        id_: str = self.data["id"]
        return id_

    @property
    def agents(self) -> list[str]:
        """The names that a user may know the agent by."""
        names: list[str] = self.data["agents"]
        return names

    @property
    def version(self) -> str | None:
        """The agent's version."""
        version: str | None = self.data["agent_version"]
        return version

    @cached_property
    def turns(self) -> list[TurnLatency]:
        """Its answered turns."""
        id_ = self.id
        return [TurnLatency(id_, **turn) for turn in self.data["turns"]]

    @cached_property
    def latencies(self) -> CallLatencies:
        """Its silences."""
        pickup = self.data["pickup"]
        return CallLatencies(self.turns, PickupLatency(*pickup) if pickup is not None else None)

    @cached_property
    def tools(self) -> list[ToolUse]:
        return [ToolUse(*tool) for tool in self.data["tools"]]

    @cached_property
    def errors(self) -> list[Failure]:
        return [Failure(*error) for error in self.data["errors"]]

    @property
    def usage(self) -> list[JSON]:
        """What each model used."""
        usage: list[JSON] = self.data["usage"]
        return usage

    @property
    def rates(self) -> JSON:
        """The user's own rates, by model or provider/model."""
        rates: JSON = self.data["rates"]
        return rates


class Wanted(NamedTuple):
    """Which calls are asked for; by default all. Times are microseconds since the Unix epoch."""

    since_us: int | None = None
    """Those that began then or later."""
    until_us: int | None = None
    """Those that began before then."""
    at_us: int | None = None
    """Those that went on at about that time."""
    agent: str | None = None
    """Those of an agent that is known by this name."""
    version: str | None = None
    """Those of this version of the agent."""

    def may_include(self, listed: Listed) -> bool:
        """Whether a call can be among them, as far as its times say."""
        return (self.until_us is None or listed.started_us < self.until_us) and (
            self.at_us is None or about(self.at_us, listed.started_us, listed.finished_us)
        )

    def includes(self, digest: Digest) -> bool:
        """Whether a call is among them, of which :meth:`may_include` says that it can be."""
        return (
            (self.agent is None or self.agent in digest.agents)
            and (self.version is None or self.version == digest.version)
            and (
                self.at_us is None
                or about(self.at_us, digest.summary.started_us, digest.summary.ended_us)
            )
        )


ALL = Wanted()


def digests(source: Source, wanted: Wanted = ALL) -> Iterator[Digest]:
    """The digests of the calls that are wanted, newest first. Reads only as much as is taken.

    Raises:
        SourceError
    """
    missing: dict[str, str] = {}
    try:
        for listed in source.listing(wanted.since_us):
            if not wanted.may_include(listed):
                continue
            digest = kept(listed)
            if digest is None:
                digest = digest_of(source, listed.id)
                if listed.status != "active":
                    missing[listed.id] = as_text(digest)
            if wanted.includes(digest):
                yield digest
    finally:
        if missing:
            source.keep(missing)


def kept(listed: Listed) -> Digest | None:
    """The digest that is kept of a call, if this version can read it."""
    data = listed.digest
    return Digest(data) if data is not None and data.get("digest") == VERSION else None


def digest_of(source: Source, session_id: str, now_us: int | None = None) -> Digest:
    """Work out the digest of a call.

    Args:
        now_us: The present, in microseconds since the Unix epoch. Default: now.

    Raises:
        SourceError
    """
    _, spans = source.progress(session_id)  # read first: what ends later is noticed
    call = replace(read(source, session_id), last_us=source.last_sign(session_id))
    now = time.time_ns() // 1000 if now_us is None else now_us
    return digest(session_id, call, summarize(call, now, source.alive(session_id)), spans)


def summary_of(source: Source, session_id: str, now_us: int | None = None) -> Summary:
    """The summary of a call. Arguments as :func:`digest_of`."""
    return digest_of(source, session_id, now_us).summary


def read(source: Source, session_id: str) -> CallTree:
    """A call with all of its silences. What passed through its streams is read only if a silence
    has to be worked out of it."""
    call = build(source.outline(session_id))
    return build(source.call(session_id)) if needs_streams(call) else call


def digest(session_id: str, call: CallTree, summary: Summary, spans: int) -> Digest:
    """The digest of a call.

    Args:
        summary: Of the same call.
        spans: How many spans of it had ended when it was read.
    """
    payload = call.session.payload if call.session is not None else {}
    version = payload.get("agent_version")
    return Digest(
        {
            "digest": VERSION,
            "id": session_id,
            "spans": spans,
            "agents": sorted(names_of(payload)),
            "agent_version": str(version) if version is not None else None,
            "summary": asdict(summary),
            "turns": [_without_call(turn) for turn in latencies(call)],
            "pickup": pickup_latency(call),
            "tools": [_tool(span) for span in call.spans("tool")],
            "errors": [
                (text(span.payload.get("source")), text(span.payload.get("error_type")))
                for span in call.spans("error")
            ],
            "usage": usage_of(call.session) if call.session is not None else [],
            "rates": mapping(payload.get("rates")),
        }
    )


def as_text(digest: Digest) -> str:
    """The digest as JSON."""
    return to_json(digest.data).decode()


def digest_text(source: Source, session_id: str) -> str:
    """The digest of a call that has ended, as it is kept.

    Raises:
        SourceError
    """
    return as_text(digest_of(source, session_id))


def usage_of(session: StoredSpan) -> list[JSON]:
    """What each model used in a call that has ended: LiveKit's ``model_usage``, without zeros."""
    usage = mappings(mapping(session.result.get("usage")).get("model_usage"))
    return [{name: much for name, much in model.items() if much != 0} for model in usage]


def names_of(payload: JSON) -> set[str]:
    """The names that a user may know the agent of a session by."""
    job = mapping(payload.get("job"))
    names = (payload.get("agent_name"), payload.get("agent_class"), job.get("agent_name"))
    return {name for name in names if isinstance(name, str)}


def _without_call(turn: TurnLatency) -> JSON:
    named = turn._asdict()
    del named["session_id"]
    return named


def _tool(span: StoredSpan) -> ToolUse:
    took = span.duration_us
    return ToolUse(span.name, took / 1000 if took is not None else None, span.status)
