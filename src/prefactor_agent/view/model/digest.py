"""The digest of a call: what lists and statistics over many calls need of it. It is worked out of
the call's spans once, when the call has ended (:mod:`.digesting`), and kept beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from pydantic_core import to_json

from ...core.json import JSON
from ...stored.source import Listed, Source
from .latencies import CallLatencies, PickupLatency, TurnLatency
from .numbers import about
from .summary import Summary

VERSION = 6
"""Of what a digest holds. One of another version is not read, save those of :data:`_EARLIER`
(:func:`kept`): the call is worked out again. Raise it with each change of what is computed here or
below."""
_EARLIER = (4, 5)
"""Archives have them, and what is in an archive is never changed. 5 had nothing of unanswered
questions; 4 had besides an object for each turn in the place of the columns, and nothing of what a
call used that had not told its sum."""
_COLUMNS_SINCE = 5


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
    def started_us(self) -> int:
        """That of its summary, which need not be made for it."""
        started_us: int = self.data["summary"]["started_us"]
        return started_us

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

    @property
    def turns(self) -> list[TurnLatency]:
        """Its answered turns."""
        return self.latencies.turns

    @cached_property
    def latencies(self) -> CallLatencies:
        """Its silences."""
        pickup = self.data["pickup"]
        return CallLatencies(
            self.id,
            **self.data["turns"],
            pickup=PickupLatency(*pickup) if pickup is not None else None,
            unanswered=self.data["summary"].get("unanswered"),
        )

    @cached_property
    def tools(self) -> list[ToolUse]:
        return [ToolUse(*tool) for tool in self.data["tools"]]

    @cached_property
    def errors(self) -> list[Failure]:
        return [Failure(*error) for error in self.data["errors"]]

    @property
    def usage(self) -> list[JSON]:
        """What each model used: see :mod:`.usage`."""
        usage: list[JSON] = self.data["usage"]
        return usage

    @property
    def usage_so_far(self) -> bool:
        """There was, or may come, more."""
        so_far: bool = self.data["usage_so_far"]
        return so_far

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
    failed: bool = False
    """Only those in which something failed (:attr:`.summary.Summary.failed`)."""

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
            and (not self.failed or digest.summary.failed)
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
    if data is None or (version := data.get("digest")) not in (VERSION, *_EARLIER):
        return None
    if version >= _COLUMNS_SINCE:
        return Digest(data)  # what an earlier one did not have is absent
    from .digesting import renewed  # no call of today needs it

    found = renewed(data)
    return Digest({**found, "digest": VERSION}) if found is not None else None


def digest_of(source: Source, session_id: str, now_us: int | None = None) -> Digest:
    """Work out the digest of a call.

    Args:
        now_us: The present, in microseconds since the Unix epoch. Default: now.

    Raises:
        SourceError
    """
    from .digesting import work_out  # it knows all of a call, which a list of digests does without

    return Digest({"digest": VERSION, **work_out(source, session_id, now_us)})


def as_text(digest: Digest) -> str:
    """The digest as JSON."""
    return to_json(digest.data).decode()


def digest_text(source: Source, session_id: str) -> str:
    """The digest of a call that has ended, as it is kept.

    Raises:
        SourceError
    """
    return as_text(digest_of(source, session_id))
