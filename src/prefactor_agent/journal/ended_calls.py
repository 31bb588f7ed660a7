"""What is done once with a call when it has ended: its digest is worked out and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ..core import forks
from ..core.guard import report
from ..stored.source import Source
from . import digests
from .reader import Journal

DigestOf = Callable[[Source, str], str]
"""Works out the digest (JSON) of a call of a source, by its session's id."""


def keep_digests(path: Path, sessions: Iterable[str], digest_of: DigestOf) -> None:
    """Keep the digests of calls that have just ended. Raises nothing: a digest that is missing is
    worked out by whoever needs it.

    Args:
        sessions: The ids of the calls.
    """
    try:
        with forks.fork_safe():
            journal = Journal(path)
        try:
            found = {session_id: digest_of(journal, session_id) for session_id in sessions}
        finally:
            with forks.fork_safe():
                journal.close()
    except Exception as error:
        report("journal.digest", error)
        return
    digests.keep(path, found)
