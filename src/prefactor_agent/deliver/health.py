"""What ``prefactor-agent doctor`` checks: the settings, the token, the service, the journal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import stat
from importlib.metadata import PackageNotFoundError, version

from ..config import ConfigurationError, Settings
from ..core.text import count
from ..journal import health, retention
from ..journal.errors import StorageError, UnusableJournalError
from ..journal.outbox import Outbox
from .common.target import Check, Target
from .targets import targets

_PACKAGES = ("prefactor-agent", "livekit-agents", "prefactor-core", "prefactor-http")


def examine(settings: Settings) -> list[Check]:
    return [*_settings(settings), *_journal(settings), *_versions()]


def _settings(settings: Settings) -> list[Check]:
    checks = []
    if settings.disabled:
        checks.append(Check("tracing", "note", "off: PREFACTOR_DISABLED is set"))
    if settings.api_token is None:
        checks.append(
            Check("token", "note", "none: calls stay in the journal (PREFACTOR_API_TOKEN)")
        )
    for target in targets(settings):
        try:
            target.prepare()
        except ConfigurationError as error:
            checks.append(Check("settings", "problem", str(error)))
        else:
            checks += asyncio.run(target.examine())
    return checks


def _journal(settings: Settings) -> list[Check]:
    path = settings.journal
    if not path.exists():
        return [Check("journal", "note", f"none yet at {path}: no call was traced")]
    checks = []
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077 and path.is_file():
        checks.append(
            Check("journal", "problem", f"others can read it: chmod 600 {path} (it is {mode:o})")
        )
    aside = sorted(path.parent.glob(path.name + ".corrupt-*"))
    if aside:
        checks.append(Check("journal", "note", f"a damaged one was set aside: {aside[-1]}"))
    try:
        found = health.check(path)
        if found.damage is not None:
            return [*checks, Check("journal", "problem", f"{path} is damaged ({found.damage})")]
        if found.outdated:
            return [*checks, Check("journal", "ok", f"{path}, of an older version")]
        checks.append(_tracer(found))
        try:
            Outbox(path).close()
        except StorageError as error:
            says = f"{path} can be read but not written ({error})"
            return [*checks, Check("journal", "problem", says)]
        megabytes = retention.size(path) / 1e6
        checks.append(Check("journal", "ok", f"{path}, {megabytes:.1f} MB"))
        for target in targets(settings):
            if target.wanted:
                checks += _backlog(target)
    except UnusableJournalError as error:
        return [*checks, Check("journal", "problem", str(error))]
    except StorageError as error:
        return [*checks, Check("journal", "problem", f"{path} cannot be read ({error})")]
    return checks


def _tracer(found: health.Health) -> Check:
    """What the tracer itself noted in the calls: spans lost, failures of its own."""
    if not found.failures and not found.lost:
        return Check("tracer", "ok", f"no failures in the last {health.CALLS} calls")
    return Check(
        "tracer",
        "problem",
        f"{count(found.failures, 'failure')} and {count(found.lost, 'lost span')} in the last "
        f"{health.CALLS} calls: see tracer_failures in prefactor-agent export",
    )


def _backlog(target: Target) -> list[Check]:
    with contextlib.closing(target.todo()) as todo:
        left, parked, dropped = todo.backlog(), todo.parked(), todo.rejected()
    check = Check("backlog", "ok", f"everything is delivered to {target.to}")
    if left["spans"] or left["calls"]:
        says = (
            f"not delivered to {target.to}: {count(left['spans'], 'span')} of "
            f"{count(left['calls'], 'call')} ({target.without}: {left['unwanted']:,}): "
            "prefactor-agent push"
        )
        check = Check("backlog", "note", says)
    refused = [f"{number} x {type_}: {error}" for type_, error, number in parked]
    lost = [f"{count(number, 'span')} taken and then dropped: {why}" for number, why in dropped]
    return [
        check,
        *(Check("parked", "problem", says) for says in refused),
        *(Check("dropped", "problem", says) for says in lost),
    ]


def _versions() -> list[Check]:
    found = [f"python {platform.python_version()}", f"sqlite {health.SQLITE_VERSION}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} is not installed")
    return [Check("versions", "ok", ", ".join(found))]
