"""Counts the calls whose process was killed: nobody else ends them in a journal that is not
delivered."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pydantic_core import from_json

from ..core import forks
from ..core.values import agent_of, mapping
from ..metrics import series
from ..metrics.observations import call_outcome
from ..metrics.series import Observation
from . import schema, totals
from .claims import left_behind

_OPEN = (
    "SELECT s.id, c.process, s.payload FROM spans s INDEXED BY open_calls "
    "JOIN calls c ON c.session_id = s.id "
    "WHERE s.parent_id IS NULL AND s.status = 'active' AND c.counted = 0"
)


def count_lost_calls(path: Path, timeout: float) -> None:
    """Add the calls to the totals that are open only because their process is gone. The calls
    themselves stay as they are: whoever delivers them ends them.

    Args:
        path: A journal that is there.
        timeout: Seconds to wait for a process that writes.

    Raises:
        UnusableJournalError, StorageError: It cannot be written now.
    """
    with forks.fork_safe():
        connection = schema.connect(path, timeout)
    try:
        if not _lost(connection):
            return
        with forks.fork_safe(), schema.transaction(connection):
            lost = _lost(connection)  # another process may have counted them in the meantime
            totals.record(connection, [_outcome(payload) for _, payload in lost])
            connection.executemany(
                "UPDATE calls SET counted = 1 WHERE session_id = ?", [(id_,) for id_, _ in lost]
            )
    finally:
        with forks.fork_safe():
            connection.close()


def _lost(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    found = connection.execute(_OPEN).fetchall()
    return [
        (id_, payload) for id_, process, payload in found if left_behind(connection, id_, process)
    ]


def _outcome(payload: str) -> Observation:
    try:
        said = mapping(from_json(payload))
    except ValueError:  # damaged: it is counted all the same
        said = {}
    return Observation(series.CALLS, (agent_of(said), call_outcome(said)), 1)
