"""The journal's tables, and how an older file is brought up to date.

One SQLite file holds the calls of all processes. ``PRAGMA user_version`` is the version of the
tables: a file of an older version is migrated when it is opened for writing, a newer one is
refused, and so is a file of another program, before anything in it is touched."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import place
from .errors import UnusableJournalError

_ELSEWHERE = "set PREFACTOR_JOURNAL (or --journal) to another file"
VERSION = 8

_STEPS: dict[int, str] = {
    # What each version adds to the one before it.
    1: """
    CREATE TABLE spans (
        id          TEXT PRIMARY KEY,
        session_id  TEXT NOT NULL,
        parent_id   TEXT,
        type        TEXT NOT NULL,
        name        TEXT NOT NULL,
        status      TEXT NOT NULL,
        started_us  INTEGER NOT NULL,  -- microseconds since the Unix epoch
        finished_us INTEGER,           -- NULL while the span is active
        payload     TEXT NOT NULL,     -- JSON
        result      TEXT               -- JSON
    );
    CREATE INDEX spans_of_session ON spans (session_id, started_us);
    CREATE INDEX sessions ON spans (started_us) WHERE parent_id IS NULL;
    -- What passed through a span's streams, in the order of rowid, written while the span runs.
    CREATE TABLE chunks (
        span_id TEXT NOT NULL,
        stream  TEXT NOT NULL,
        columns TEXT NOT NULL          -- JSON, lists of equal length
    );
    CREATE INDEX chunks_of_span ON chunks (span_id);
    """,
    # The to-do of delivery: see outbox.py. Triggers fill it, so that whoever writes a span has
    # nothing to know of it, and what is known of its delivery is never overwritten with the span.
    # The states are in todo.py. (SQLite keeps the comments of a statement with the table, and files
    # of all versions have the same: these stay as they were written.)
    2: """
    CREATE TABLE calls (
        session_id  TEXT PRIMARY KEY,
        process     TEXT,                        -- the process that records it: see process.py
        wanted      INTEGER NOT NULL DEFAULT 0,  -- that process had a token to deliver it with
        state       INTEGER NOT NULL DEFAULT 0,  -- outbox.CallState
        instance_id TEXT,                        -- Prefactor's
        registration TEXT,                       -- JSON as it was sent: a repeat must be the same
        owner       TEXT,                        -- the process that delivers it now ...
        owned_until INTEGER NOT NULL DEFAULT 0,  -- ... until then, microseconds since the epoch
        error       TEXT,                        -- why the call as a whole is parked
        terminated  TEXT                         -- why Prefactor wanted it to end
    );
    CREATE INDEX calls_to_do ON calls (wanted) WHERE state < 4;
    CREATE TABLE outbox (
        seq         INTEGER PRIMARY KEY,         -- parents come before their children
        span_id     TEXT NOT NULL UNIQUE,
        session_id  TEXT NOT NULL,
        state       INTEGER NOT NULL DEFAULT 0,  -- outbox.SpanState
        due         INTEGER NOT NULL,            -- whether there is something to send now
        sent        TEXT,                        -- a create that may or may not have arrived
        error       TEXT,
        attempts    INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX outbox_due ON outbox (session_id, seq) WHERE due = 1;
    CREATE INDEX outbox_of_call ON outbox (session_id);
    CREATE INDEX outbox_parked ON outbox (session_id) WHERE state >= 2;
    CREATE TABLE remote_ids (                    -- only where Prefactor refused ids made here
        span_id     TEXT PRIMARY KEY,
        session_id  TEXT NOT NULL,
        remote_id   TEXT NOT NULL
    );
    CREATE INDEX tool_types ON spans (type) WHERE substr(type, 1, 13) = 'livekit:tool:';
    INSERT INTO calls (session_id) SELECT id FROM spans WHERE parent_id IS NULL;
    INSERT INTO outbox (span_id, session_id, due)
        SELECT id, session_id, status <> 'active' OR type IN ('livekit:session',
            'livekit:user_turn', 'livekit:assistant_turn', 'livekit:tool')
            OR substr(type, 1, 13) = 'livekit:tool:' FROM spans ORDER BY rowid;
    CREATE TRIGGER span_begun AFTER INSERT ON spans BEGIN
        INSERT INTO outbox (span_id, session_id, due) VALUES (new.id, new.session_id,
            new.status <> 'active' OR new.type IN ('livekit:session',
            'livekit:user_turn', 'livekit:assistant_turn', 'livekit:tool')
            OR substr(new.type, 1, 13) = 'livekit:tool:');
    END;
    CREATE TRIGGER call_begun AFTER INSERT ON spans WHEN new.parent_id IS NULL BEGIN
        INSERT OR IGNORE INTO calls (session_id) VALUES (new.id);
    END;
    CREATE TRIGGER span_ended AFTER UPDATE OF status ON spans
        WHEN old.status = 'active' AND new.status <> 'active' BEGIN
        UPDATE outbox SET due = 1 WHERE span_id = new.id AND state < 2;
    END;
    """,
    # What the call's process says of its tools (JSON): see tool_options.py. Who delivers the call
    # may be another process, which has never seen them.
    3: """
    ALTER TABLE calls ADD COLUMN tools TEXT;
    """,
    # A call that nobody delivers takes no rows in the outbox. Once somebody does (its process has a
    # token, or one that has claims it), its spans so far are listed, and the later ones with it.
    4: """
    ALTER TABLE calls ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;  -- its spans are in the outbox
    UPDATE calls SET listed = 1;
    DROP TRIGGER span_begun;
    CREATE TRIGGER span_begun AFTER INSERT ON spans
        WHEN (SELECT listed FROM calls WHERE session_id = new.session_id) BEGIN
        INSERT OR IGNORE INTO outbox (span_id, session_id, due) VALUES (new.id, new.session_id,
            new.status <> 'active' OR new.type IN ('livekit:session',
            'livekit:user_turn', 'livekit:assistant_turn', 'livekit:tool')
            OR substr(new.type, 1, 13) = 'livekit:tool:');
    END;
    CREATE TRIGGER call_wanted AFTER UPDATE OF wanted ON calls
        WHEN new.wanted = 1 AND new.listed = 0 BEGIN
        UPDATE calls SET listed = 1 WHERE session_id = new.session_id;
    END;
    CREATE TRIGGER call_listed AFTER UPDATE OF listed ON calls
        WHEN new.listed = 1 AND old.listed = 0 BEGIN
        INSERT OR IGNORE INTO outbox (span_id, session_id, due)
            SELECT id, session_id, status <> 'active' OR type IN ('livekit:session',
                'livekit:user_turn', 'livekit:assistant_turn', 'livekit:tool')
                OR substr(type, 1, 13) = 'livekit:tool:' FROM spans
            WHERE session_id = new.session_id ORDER BY rowid;
    END;
    """,
    # What lists and statistics need of each call that has ended: see digests.py. The index has all
    # that a list of calls reads of their rows, which are long.
    5: """
    CREATE TABLE digests (
        session_id  TEXT PRIMARY KEY,
        digest      TEXT NOT NULL                -- JSON
    );
    CREATE TRIGGER digest_of_fewer AFTER INSERT ON spans BEGIN
        DELETE FROM digests WHERE session_id = new.session_id;
    END;
    CREATE TRIGGER digest_of_before AFTER UPDATE ON spans BEGIN
        DELETE FROM digests WHERE session_id = new.session_id;
    END;
    DROP INDEX sessions;
    CREATE INDEX sessions ON spans (started_us, session_id, status, finished_us)
        WHERE parent_id IS NULL;
    """,
    # What all calls add up to: see totals.py.
    6: """
    CREATE TABLE totals (
        series  TEXT NOT NULL,
        labels  TEXT NOT NULL,     -- JSON: the values of the series' labels, in their order
        bound   TEXT NOT NULL,     -- the upper bound of a histogram's bucket; empty of a counter
        count   REAL NOT NULL,
        sum_us  INTEGER NOT NULL,  -- of what fell in the bucket
        PRIMARY KEY (series, labels, bound)
    ) WITHOUT ROWID;
    CREATE TABLE total_labels (  -- the values that programs chose: there is a limit
        label   TEXT NOT NULL,
        value   TEXT NOT NULL,
        PRIMARY KEY (label, value)
    ) WITHOUT ROWID;
    -- The totals have the end of a call that nobody saw end.
    ALTER TABLE calls ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX open_calls ON spans (id) WHERE parent_id IS NULL AND status = 'active';
    """,
    # The to-do of OpenTelemetry: see ended.py. A call is in it only where it is turned on.
    7: """
    CREATE TABLE otlp_calls (
        session_id  TEXT PRIMARY KEY,
        wanted      INTEGER NOT NULL DEFAULT 0,  -- its process exports
        done        INTEGER NOT NULL DEFAULT 0,  -- all of it is sent or refused
        owner       TEXT,                        -- as in calls
        owned_until INTEGER NOT NULL DEFAULT 0,
        rejected    INTEGER NOT NULL DEFAULT 0,  -- spans that a partial success dropped ...
        reason      TEXT                         -- ... and what it said
    );
    CREATE INDEX otlp_calls_to_do ON otlp_calls (wanted) WHERE done = 0;
    CREATE TABLE otlp_spans (
        seq         INTEGER PRIMARY KEY,         -- the order in which they ended
        span_id     TEXT NOT NULL UNIQUE,
        session_id  TEXT NOT NULL,
        error       TEXT                         -- why it is parked
    );
    CREATE INDEX otlp_due ON otlp_spans (session_id, seq) WHERE error IS NULL;
    CREATE INDEX otlp_parked ON otlp_spans (session_id) WHERE error IS NOT NULL;
    CREATE TRIGGER otlp_call AFTER INSERT ON otlp_calls BEGIN
        INSERT OR IGNORE INTO otlp_spans (span_id, session_id) SELECT id, session_id FROM spans
            WHERE session_id = new.session_id AND status <> 'active' ORDER BY rowid;
    END;
    CREATE TRIGGER otlp_whole AFTER INSERT ON spans WHEN new.status <> 'active'
        AND EXISTS (SELECT 1 FROM otlp_calls WHERE session_id = new.session_id) BEGIN
        INSERT OR IGNORE INTO otlp_spans (span_id, session_id) VALUES (new.id, new.session_id);
    END;
    CREATE TRIGGER otlp_ended AFTER UPDATE OF status ON spans
        WHEN old.status = 'active' AND new.status <> 'active'
        AND EXISTS (SELECT 1 FROM otlp_calls WHERE session_id = new.session_id) BEGIN
        INSERT OR IGNORE INTO otlp_spans (span_id, session_id) VALUES (new.id, new.session_id);
    END;
    CREATE TRIGGER otlp_late AFTER INSERT ON otlp_spans BEGIN
        UPDATE otlp_calls SET done = 0 WHERE session_id = new.session_id AND done = 1;
    END;
    """,
    # What is to be written to the archive: see archiving.py.
    8: """
    CREATE TABLE archive (
        session_id  TEXT PRIMARY KEY,
        due         INTEGER NOT NULL DEFAULT 1,  -- something of it is not in the archive
        again       INTEGER NOT NULL DEFAULT 0,  -- it was written as a whole, and has changed since
        written_us  INTEGER NOT NULL DEFAULT 0,  -- when it was last written
        owner       TEXT,                        -- as in calls
        owned_until INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX archive_due ON archive (session_id) WHERE due = 1;
    CREATE TRIGGER archive_more AFTER INSERT ON spans BEGIN
        UPDATE archive SET due = 1 WHERE session_id = new.session_id AND due = 0;
    END;
    CREATE TRIGGER archive_changed AFTER UPDATE ON spans BEGIN
        UPDATE archive SET due = 1 WHERE session_id = new.session_id AND due = 0;
    END;
    """,
}


class Row(NamedTuple):
    """One row of the table ``spans``."""

    id: str
    session_id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    started_us: int
    finished_us: int | None
    payload: str
    result: str | None


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    """Open the journal for reading and writing, and create it or bring it up to date; several
    processes may do so at once. Writes go into a :func:`transaction`.

    Args:
        timeout: Seconds that a statement waits for other processes that write.

    Raises:
        UnusableJournalError, sqlite3.Error
    """
    refuse_directory(path)
    connection = sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        refuse_others(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def read_only(path: Path, timeout: float) -> sqlite3.Connection:
    """Open an existing file for reading, without looking at what is in it.

    Args:
        timeout: Seconds that a statement waits for a process that writes.

    Raises:
        UnusableJournalError, sqlite3.Error
    """
    return follow(path, timeout) or _open(path, "immutable=1", timeout)


def follow(path: Path, timeout: float) -> sqlite3.Connection | None:
    """Open an existing file for reading, so that later writes are seen. ``None``: that is not
    possible now. SQLite needs files of its own beside the journal even to read it; no writer has
    made them, and the folder cannot be written.

    Raises:
        As :func:`read_only`.
    """
    connection = _open(path, "mode=ro", timeout)
    try:
        version_of(connection)
    except sqlite3.Error as error:
        if not place.only_readable(error, path):
            return connection  # reading raises it again
        connection.close()
    else:
        return connection
    if place.size(place.wal(path)):
        raise UnusableJournalError(
            f"nothing can be written beside {path}, which reading it takes: copy it together with "
            f"{place.wal(path).name} to a place that can be written, and name it with --journal"
        )
    return None


def _open(path: Path, how: str, timeout: float) -> sqlite3.Connection:
    # As a URI in full: a path may have a "?", a "#" or a "%" in it.
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=timeout)


def refuse_directory(path: Path) -> None:
    """Refuse a directory, and anything else that is no file: SQLite's own message helps nobody.

    Raises:
        UnusableJournalError
    """
    if path.is_dir():
        raise UnusableJournalError(f"{path} is a directory: set PREFACTOR_JOURNAL to a file in it")
    if path.exists() and not path.is_file():
        raise UnusableJournalError(f"{path} is no regular file: set PREFACTOR_JOURNAL to one")


def refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is neither a journal that this version knows nor empty. Changes nothing.

    Raises:
        UnusableJournalError, sqlite3.Error
    """
    try:
        version = version_of(connection)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB or _blank(path):
            raise
        raise UnusableJournalError(f"{path} is no journal: {_ELSEWHERE}") from None
    if tables and not tables >= {"spans", "chunks"}:
        raise UnusableJournalError(f"{path} is another program's database: {_ELSEWHERE}")
    if version > VERSION:
        raise UnusableJournalError(
            f"{path} was written by a newer prefactor-agent: pip install -U prefactor-agent, or "
            f"{_ELSEWHERE}"
        )


def _blank(path: Path) -> bool:
    """Whether a file begins with zeros, as a journal can after the machine lost its power.

    Closing the file releases this process's locks on it; a file that is no database has none."""
    with path.open("rb") as file:
        return not any(file.read(100))


def migrate(connection: sqlite3.Connection) -> None:
    """Create the tables or bring them up to date; several processes may do so at once."""
    if version_of(connection) == VERSION:
        return
    with transaction(connection):
        for version in range(version_of(connection) + 1, VERSION + 1):
            for statement in _statements(_STEPS[version]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write everything in the block as a whole, or nothing of it. Waits for other writers first."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the tables of a journal; 0: it has none yet."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def data_version(connection: sqlite3.Connection) -> int:
    """A number that is another one after each commit of another connection. Costs next to
    nothing."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether anything can be in a journal: one that is being made has no tables yet."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'spans'"
    return connection.execute(query).fetchone() is not None


def _statements(script: str) -> Iterator[str]:
    """The statements of a script. (``executescript`` would commit the transaction they are in.)"""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
