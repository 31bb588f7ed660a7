"""Which process recorded a call, and whether that process still runs.

Systems reuse process ids, so the journal keeps an id together with the machine (or container) and
the time at which the process started."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

from ..core.processes import born


def this_process() -> str:
    """``machine|pid|birth`` of this process."""
    return f"{_machine()}|{os.getpid()}|{born(os.getpid())}"


def alive(process: str) -> bool | None:
    """Whether a process still runs; ``None``: it ran on another machine, so this one cannot say."""
    known, _, birth = process.rpartition("|")
    machine, _, rest = known.rpartition("|")
    if machine != _machine() or not rest.isdigit():
        return None
    found = born(int(rest))
    return found is not None and found == birth


@functools.cache
def _machine() -> str:
    parts = [socket.gethostname()]
    try:  # two containers can share a name, and each counts its processes from 1
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass
    return "/".join(parts)
