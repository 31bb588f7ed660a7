"""When processes began."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .clock import now_ns


def born(pid: int) -> str | None:
    """A text that tells a process from a later one with the same id; ``None``: there is none."""
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


def began_ns() -> int | None:
    """When this process began, on the clock of ``now_ns``; ``None``: nobody knows. On Linux, to a
    hundredth of a second."""
    ticks = born(os.getpid())
    if ticks is None:
        return None
    if hasattr(time, "CLOCK_BOOTTIME"):
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
    else:
        age = time.time() - int(ticks)
    return now_ns() - int(age * 1e9)
