"""What goes wrong with a journal, by name, so that nobody else has to know SQLite."""

from __future__ import annotations

import sqlite3

StorageError = sqlite3.Error
"""The journal cannot be read or written now, or is damaged."""
StorageUnavailableError = sqlite3.OperationalError
"""The journal cannot be read or written now: it is locked, the disk is full, …"""


class UnusableJournalError(Exception):
    """This version of prefactor-agent must not write to the file, or cannot read it where it lies.
    The message is one line that says why, and what to do."""


def is_damaged(error: Exception) -> bool:
    """Whether SQLite cannot make sense of the file; every other error is of one row, or passes."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # what is left has finer reasons in it
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
