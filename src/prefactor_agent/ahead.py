"""Imports what the threads of a call need before there is a call.

The journal's thread and those of delivery import most of their modules when they first need them,
so that an agent starts without them. But that is in a call, and in the first second of it delivery
would keep the interpreter for some 60 ms from an agent that is about to greet. LiveKit imports the
agent's file in each process before it gives it a call, which is the time for it; :mod:`.preload`
is for importing once for all processes."""

from __future__ import annotations

import contextlib

from .config import ConfigurationError, settings
from .core.guard import guarded, on_event_loop


@guarded("ahead")
def import_for_calls(*, have_token: bool = False) -> None:
    """Import what calls need with the settings in force. Settings that cannot be used are left to
    the first call, which says so; and on an event loop, where a program can also make its classes,
    nothing is imported.

    Args:
        have_token: The calls are delivered to Prefactor with a token that is not in the settings.
    """
    if on_event_loop():
        return
    try:
        chosen = settings()
    except ConfigurationError:
        return
    if chosen.disabled:
        return
    import_for_journal()
    if chosen.delivers or have_token:
        import_for_prefactor()
    if chosen.exports:
        import_for_otlp()
    if chosen.archive is not None:
        import_for_archive()


def import_for_journal() -> None:
    """The digest of a call that has ended."""
    from .view.model import digest, digesting  # noqa: F401


def import_for_prefactor() -> None:
    """The clients of Prefactor, and the prices for the quality of a call."""
    from .deliver import targets  # noqa: F401
    from .deliver.common import deliverer  # noqa: F401
    from .deliver.prefactor import target
    from .view.model import catalogue

    catalogue.load()
    target.sdk_entry()  # reads the versions of the packages


def import_for_otlp() -> None:
    """The sender to OpenTelemetry."""
    from .deliver import targets  # noqa: F401
    from .deliver.common import deliverer  # noqa: F401
    from .deliver.common.http import version_of
    from .deliver.otlp import delivery, target  # noqa: F401

    version_of("prefactor-agent")


def import_for_archive() -> None:
    """The archive's writer. What its extra brings may be missing: the call says so."""
    from .archive import archiver  # noqa: F401

    with contextlib.suppress(ImportError):
        import duckdb  # noqa: F401
        import obstore.store  # noqa: F401
