"""The table of the archive: its columns, and how the rows of calls become Parquet. One row is one
span; docs/fleet.md describes the columns for other programs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..journal.archiving import CallRows
from .storage import missing

if TYPE_CHECKING:
    import duckdb

SCHEMA = 1
"""The version of the columns, in the files' metadata as ``prefactor_schema``."""
ROW_GROUP = 16_384
"""Rows of a group: what is read at least of a day to show one of its calls."""
_MEMORY = "256MB"

_GIVEN = (
    "id", "session_id", "parent_id", "type", "name", "status", "started_us", "finished_us",
    "payload", "result", "streams", "digest",
)  # fmt: skip
_NUMBERS = ("started_us", "finished_us")
_UNTIMED = (  # a tool that the provider ran: nobody knows when it began
    "try_cast(payload AS JSON) ->> '$.run_by' = 'provider' "
    "AND json_extract(try_cast(result AS JSON), '$.duration_ms') IS NULL"
)
_COLUMNS = f"""
    session_id, id, parent_id, type, name, status,
    make_timestamp(started_us)::TIMESTAMPTZ AS started_at,
    make_timestamp(finished_us)::TIMESTAMPTZ AS finished_at,
    CASE WHEN {_UNTIMED} THEN NULL ELSE (finished_us - started_us) / 1000 END AS duration_ms,
    dead_air_ms, stages,
    payload, result, streams, digest
"""  # names of our own


_SILENCES = """
    SELECT turns.answer[nth] AS id, turns.perceived_ms[nth] AS dead_air_ms,
        list_transform(list_filter(map_entries(turns.stages),
                lambda entry: entry.value[nth] IS NOT NULL),
            lambda entry: {'name': entry.key, 'ms': entry.value[nth]}) AS stages
    FROM (SELECT turns, unnest(range(1, len(turns.answer) + 1)) AS nth
        FROM (SELECT from_json(digest -> 'turns', '{"answer": ["VARCHAR"],
                "perceived_ms": ["DOUBLE"], "stages": "MAP(VARCHAR, DOUBLE[])"}') AS turns
            FROM given WHERE digest IS NOT NULL))
"""
"""From the digest of a call, as :mod:`..view.model.digest` writes it, in columns with an entry for
each answer: the silence that it ended, so that SQL gives the same numbers as every view."""


def connect(**config: Any) -> duckdb.DuckDBPyConnection:
    """A database in memory that downloads nothing.

    Raises:
        MissingExtraError
    """
    try:
        import duckdb
    except ImportError:
        raise missing("duckdb") from None
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # It knows a file by the second of its last change: one of a call that runs is replaced.
            "enable_external_file_cache": False,
            "memory_limit": _MEMORY,
            **config,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def parquet(connection: duckdb.DuckDBPyConnection, call: CallRows, scratch: Path) -> bytes:
    """A call as a Parquet file, compressed with zstd.

    Args:
        call: The rows of its spans in the order in which they began.
        scratch: A folder for what is written meanwhile, in a folder that only its owner can read.

    Raises:
        duckdb.Error, OSError
    """
    kinds = ", ".join(
        f"unnest(?::{'BIGINT' if name in _NUMBERS else 'VARCHAR'}[]) AS {name}" for name in _GIVEN
    )
    columns = [list(column) for column in zip(*_rows(call), strict=True)]
    connection.execute(
        f"CREATE OR REPLACE TABLE given AS SELECT {kinds}, "
        "unnest(range(len(?::VARCHAR[]))) AS place",
        [*columns, columns[0]],
    )
    silences = f"LEFT JOIN ({_SILENCES}) USING (id)"
    query = f"SELECT {_COLUMNS} FROM given {silences} ORDER BY place"  # noqa: S608  # as above
    return written(connection, query, scratch)


def written(connection: duckdb.DuckDBPyConnection, query: str, scratch: Path) -> bytes:
    """The rows of a query as a Parquet file.

    Raises:
        duckdb.Error, OSError
    """
    with tempfile.TemporaryDirectory(prefix=".archive-", dir=scratch) as folder:
        path = Path(folder) / "rows.parquet"
        connection.execute(
            f"COPY ({query}) TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd, "
            f"ROW_GROUP_SIZE {ROW_GROUP}, KV_METADATA {{prefactor_schema: '{SCHEMA}'}})"
        )
        return path.read_bytes()


def _rows(call: CallRows) -> Iterable[Sequence[object]]:
    for row in call.spans:
        own = call.digest if row.parent_id is None else None
        yield (*row, call.streams.get(row.id), own)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
