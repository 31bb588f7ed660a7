"""The digests of calls that have ended, kept beside them (:mod:`..view.model.digest`): lists and
statistics read these few columns in the place of all the spans of all calls. A trigger removes a
digest when a span of its call is written later."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ..core import forks
from . import schema
from .errors import UnusableJournalError

VERSION = 5
"""The first version of the tables that has digests."""
_KEEP = (
    # Unless a span was written while it was worked out: it says how many it was made of.
    "INSERT OR REPLACE INTO digests SELECT ?1, ?2 WHERE json_extract(?2, '$.spans') = "
    "(SELECT count(finished_us) FROM spans WHERE session_id = ?1)"
)
_BUSY_S = 1.0


def keep(path: Path, digests: Mapping[str, str]) -> None:
    """Keep the digests of calls that have ended. What cannot be written now is worked out again.

    Args:
        digests: JSON, by the sessions' ids.
    """
    with contextlib.suppress(sqlite3.Error, UnusableJournalError, OSError), forks.fork_safe():
        connection = schema.connect(path, _BUSY_S)
        try:
            with schema.transaction(connection):
                connection.executemany(_KEEP, digests.items())
        finally:
            connection.close()
