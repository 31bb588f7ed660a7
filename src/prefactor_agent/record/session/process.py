"""When this process began, and when it had come to import the tracer.

Both are looked up while the program is imported, which is before any call: the event loop of an
agent touches no file."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.clock import now_ns
from ...core.forks import at_fork
from ...core.guard import guarded
from ...core.processes import began_ns


@dataclass(slots=True)
class ProcessMoments:
    """On the clock of ``now_ns``; ``None``: not known."""

    began: int | None = None
    imported: int | None = None

    def before(self, moment: int) -> ProcessMoments:
        """Those before a moment: on a clock that was changed since, they would be behind it."""
        both = (self.began, self.imported)
        return ProcessMoments(*(at if at is not None and at <= moment else None for at in both))


this_process = ProcessMoments()


@guarded("process.began")
def _look() -> None:
    this_process.began = began_ns()


def _in_child() -> None:
    this_process.imported = None  # by the parent
    this_process.began = None
    _look()


_look()
this_process.imported = now_ns()
at_fork(after_in_child=_in_child)
