"""The journal's file, and what SQLite keeps beside it: made, known again, moved out of the way."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

Identity = tuple[int, int]

_NO_PLACE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOENT,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EEXIST,
)


def file_identity(path: Path) -> Identity | None:
    """Which file is at a path now, if any: another one once the journal was removed, or set aside
    as damaged and begun anew."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def wal(path: Path) -> Path:
    """Where SQLite keeps what is not in the journal's file yet: where a link leads to, if it is
    one."""
    real = Path(os.path.realpath(path))
    return real.with_name(real.name + "-wal")


def size(path: Path) -> int:
    """Bytes of a file; none of one that is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def create_private(path: Path) -> None:
    """Make the file, if it is not there, readable by its owner only.

    Never by opening the file itself: to close it again would let go of the locks that other
    connections of this process hold on it (sqlite.org/howtocorrupt.html, 2.2), and the next process
    that closes the journal would take its WAL away from under them.

    Raises:
        OSError
    """
    # A link that leads nowhere: SQLite would make the file at its end, readable by others.
    path = Path(os.path.realpath(path))
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path.parent):
        if path.exists():
            return  # another process was faster
        # Of a journal that was removed, and in use by who has not noticed: not for the new one.
        _remove_beside(path)
        made, name = tempfile.mkstemp(dir=path.parent)  # 0600
        os.close(made)
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links here
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        finally:
            Path(name).unlink()


def set_aside(path: Path, damaged: Identity | None) -> Path | None:
    """Give a damaged file another name.

    Returns:
        That name; ``None``: another process was faster, what is at the path by now is another file.

    Raises:
        OSError
    """
    with _alone(path.parent):
        if file_identity(path) != damaged:
            return None
        aside = path.with_name(f"{path.name}.corrupt-{time.time_ns() // 1_000_000}")
        path.rename(aside)
        _remove_beside(path)
        return aside


def never_writable(error: Exception, path: Path) -> bool:
    """Whether a write failed because there is no place to write to. A full disk, or no file
    descriptor left, passes."""
    if isinstance(error, OSError):
        return error.errno in _NO_PLACE
    if "unable to open" in str(error):
        return not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK)
    return isinstance(error, sqlite3.Error) and "readonly" in str(error)


def only_readable(error: sqlite3.Error, path: Path) -> bool:
    """Whether SQLite failed to read because it may not write where the file lies."""
    code = error.sqlite_errorcode & 0xFF
    folder = Path(os.path.realpath(path)).parent
    return code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and not os.access(
        folder, os.W_OK
    )


def _remove_beside(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, where the system has such locks. The end of a process ends its own."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            opened = os.open(folder, os.O_RDONLY)
            held.callback(os.close, opened)
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
