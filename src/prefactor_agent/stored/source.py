"""How a view asks for calls. The journal of one machine and the archive of many answer alike, and
no view knows which of them it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from ..core.json import JSON
from .recording import Recording
from .span import StoredSpan


class SourceError(Exception):
    """The calls cannot be read, or there is no such call. The message is one line that says what to
    do."""


class Listed(NamedTuple):
    """A call as it stands in the list of calls."""

    id: str
    status: str
    """Of the session's own span."""
    started_us: int
    """Microseconds since the Unix epoch."""
    finished_us: int | None
    digest: JSON | None
    """What was worked out of the call when it had ended (:mod:`..view.model.digest`), as it was
    kept, maybe by another version; ``None``: nothing yet."""


class Source(Protocol):
    """Calls that are kept somewhere, opened for reading. Used by one thread.

    Raises:
        SourceError: From every method.
    """

    def close(self) -> None: ...

    def listing(self, since_us: int | None = None) -> Iterator[Listed]:
        """The calls that began at ``since_us`` or later, newest first. Reads only as much as is
        taken from it."""

    def ids_around(self) -> list[str]:
        """The ids among which the beginning of an id must be the only one to name a call that was
        listed."""

    def find(self, name: str = "last") -> str:
        """The id of the call that ``name`` means: an id, any unique beginning of one, or
        ``last``."""

    def call(self, session_id: str) -> list[StoredSpan]:
        """All spans of a call in the order in which they began, with what passed through their
        streams; empty: there is no such call."""

    def outline(self, session_id: str) -> list[StoredSpan]:
        """The turns, tools, voices and errors of a call, without what passed through their
        streams."""

    def last_sign(self, session_id: str) -> int:
        """When a call last recorded something, in microseconds since the epoch."""

    def alive(self, session_id: str) -> bool | None:
        """Whether the process that records a call still runs; ``None``: nobody here can say."""

    def progress(self, session_id: str) -> tuple[int, int]:
        """How many spans of a call there are, and how many of them have ended."""

    def saying(self, words: str) -> set[str]:
        """The calls in which somebody said this, or a part of it; ASCII letters of either case."""

    def recording(self, session_id: str) -> Recording | None:
        """The sound of a call; ``None``: it was not recorded, or the recording is not kept here."""

    def keep(self, digests: Mapping[str, str]) -> None:
        """Keep the digests (JSON) of calls that have ended, if that is possible here, so that the
        next listing has them."""


class ChangeSign(Protocol):
    """Tells whether anything has changed. Used by one thread; raises nothing."""

    def look(self) -> object:
        """What is another value after each change."""

    def close(self) -> None: ...


class Place(Protocol):
    """Where calls are kept, to be opened as often as somebody asks."""

    @property
    def name(self) -> str:
        """The place for people: a path, or an address."""

    def check(self) -> None:
        """
        Raises:
            SourceError: What is there can never be read. (What is not there yet may come.)
        """

    def open(self) -> Source:
        """
        Raises:
            SourceError: Nothing can be read there now.
        """

    def changes(self) -> ChangeSign: ...
