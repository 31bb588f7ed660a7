"""Which process recorded a call, and whether that process still runs.

Systems reuse process ids, so the journal keeps an id together with the machine (or container) and
the time at which the process started."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path


def this_process() -> str:
    """``machine|pid|birth`` of this process."""
    return f"{_machine()}|{os.getpid()}|{_born(os.getpid())}"


def alive(process: str) -> bool | None:
    """Whether a process still runs; ``None``: it ran on another machine, so this one cannot say."""
    machine, _, rest = process.rpartition("|")[0].rpartition("|")
    born = process.rpartition("|")[2]
    if machine != _machine() or not rest.isdigit():
        return None
    found = _born(int(rest))
    return found is not None and found == born


@functools.cache
def _machine() -> str:
    parts = [socket.gethostname()]
    try:  # two containers can share a name, and each counts its processes from 1
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass
    return "/".join(parts)


def _born(pid: int) -> str | None:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        # Ticks since boot: a step of the wall clock changes psutil's time, and not this one.
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    import psutil  # type: ignore[import-untyped]  # LiveKit brings it; not needed on Linux

    try:
        return str(round(psutil.Process(pid).create_time()))
    except psutil.Error:
        return None
