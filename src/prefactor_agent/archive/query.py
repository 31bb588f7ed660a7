"""Asks the objects of an archive: DuckDB over the columns and groups of rows that are needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core.guard import logger
from .layout import Object
from .storage import ArchiveError, Storage, missing
from .table import connect, written

SMALL = 1 << 20
"""Bytes: an object of fewer is read as a whole, with others at the same time."""


class Query:
    """A database over the objects of one storage. Used by one thread.

    Raises:
        ArchiveError: From every method.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._connection = connect()
        self._files: Any = None
        if storage.folder is None:
            try:
                from .remote import ObjectFiles
            except ImportError:
                raise missing("fsspec") from None
            self._files = ObjectFiles(storage)
            self._connection.register_filesystem(self._files)

    def close(self) -> None:
        self._connection.close()

    def rows(
        self, select: str, objects: Sequence[Object], where: str, values: Iterable[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """The rows of objects, each with the object's name at its end. An object that cannot be
        read is left out, with a line that says so.

        Args:
            select: The columns.
            where: What follows ``WHERE``; ``values`` are its parameters.
        """
        if not objects:
            return []
        given = list(values)
        try:
            return self._ask(select, objects, where, given)
        except self._errors():
            if self._files is not None and self._files.trouble is not None:
                raise self._files.trouble from None
            readable = [one for one in objects if self._can_read(one)]
        try:  # the object of a call that runs may have been replaced while it was read
            return self._ask(select, readable, where, given) if readable else []
        except self._errors() as error:
            raise ArchiveError(
                f"the archive {self._storage.address} cannot be read ({_line(error)})"
            ) from None

    def together(self, objects: Sequence[Object], scratch: Path) -> tuple[bytes, int, list[Object]]:
        """Several objects as one: each call from one of them. Those that cannot be read are left
        out.

        Args:
            objects: One with a single call has the last word on it, unless it ran then.
            scratch: A folder for what is written meanwhile.

        Returns:
            The new object, how many calls are in it, and the objects that it holds.
        """
        readable = [one for one in objects if self._can_read(one)]
        names = self._names(readable)
        ranks = [0 if one.running else 1 if one.many else 2 for one in readable]
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE chosen AS SELECT session_id, "
            "max_by(filename, (?::INTEGER[])[list_position(?, filename)]) AS filename "
            "FROM read_parquet(?, filename = true, hive_partitioning = false) GROUP BY session_id",
            [ranks, names, names],
        )
        listed = ", ".join(f"'{name.replace(chr(39), chr(39) * 2)}'" for name in names)
        data = written(
            self._connection,
            "SELECT r.* EXCLUDE (filename, file_row_number) FROM "  # noqa: S608  # our own names
            f"read_parquet([{listed}], filename = true, file_row_number = true, "
            "hive_partitioning = false) r SEMI JOIN chosen USING (session_id, filename) "
            "ORDER BY session_id, file_row_number",
            scratch,
        )
        [calls] = self._connection.execute("SELECT count(*) FROM chosen").fetchone() or (0,)
        return data, calls, readable

    def _ask(
        self, select: str, objects: Sequence[Object], where: str, values: list[Any]
    ) -> list[tuple[Any, ...]]:
        names = self._names(objects)
        query = (
            f"SELECT {select}, filename FROM "  # noqa: S608  # names of our own
            f"read_parquet(?, filename = true, hive_partitioning = false) WHERE {where}"
        )
        return self._connection.execute(query, [names, *values]).fetchall()

    def _names(self, objects: Sequence[Object]) -> list[str]:
        if self._files is None:
            folder = self._storage.folder
            return [f"{folder}/{one.path}" for one in objects]
        small = [one.path for one in objects if one.size < SMALL]
        self._files.expect(
            {one.path: one.size for one in objects}, self._storage.get_all(small) if small else {}
        )
        return [f"{self._files.protocol}://{one.path}" for one in objects]

    def _can_read(self, one: Object) -> bool:
        try:
            self._ask("id", [one], "false", [])
        except self._errors() as error:
            logger.warning(
                "%s of the archive %s is left out, it cannot be read (%s)",
                one.path,
                self._storage.address,
                _line(error),
            )
            return False
        return True

    def _errors(self) -> tuple[type[Exception], ...]:
        """What DuckDB raises of an object that is none of ours, or damaged: an error of no class of
        its own, too."""
        import duckdb

        return (duckdb.Error,)


def _line(error: Exception) -> str:
    return " ".join(str(error).partition("\n")[0].split())[:200]
