"""What ``prefactor-agent doctor`` checks: the settings, the token, the service, the journal."""

from __future__ import annotations

import asyncio
import email.utils
import os
import platform
import stat
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, NamedTuple

from ..config import ConfigurationError, Settings
from ..core.text import count
from ..journal import health, retention
from ..journal.errors import StorageError, UnusableJournalError
from ..journal.outbox import Outbox
from .deliverer import sdk_entry
from .prefactor.api import Api, DeniedError, LaterError, RefusedError
from .prefactor.target import Target, target

Level = Literal["ok", "note", "problem"]

SKEW_S = 30.0
_PACKAGES = ("prefactor-agent", "livekit-agents", "prefactor-core", "prefactor-http")


class Check(NamedTuple):
    """The result of one check. A note is worth knowing, but no fault."""

    name: str
    level: Level
    says: str


def examine(settings: Settings) -> list[Check]:
    return [*_settings(settings), *_journal(settings), *_versions()]


def _settings(settings: Settings) -> list[Check]:
    checks = []
    if settings.disabled:
        checks.append(Check("tracing", "note", "off: PREFACTOR_DISABLED is set"))
    try:
        aim = target(settings)
    except ConfigurationError as error:
        return [*checks, Check("settings", "problem", str(error))]
    if aim is None:
        return [
            *checks,
            Check("token", "note", "none: calls stay in the journal (PREFACTOR_API_TOKEN)"),
        ]
    return [*checks, *asyncio.run(_service(aim))]


async def _service(aim: Target) -> list[Check]:
    async with Api(aim, sdk_entry(), timeout=10.0) as api:
        try:
            before = time.time()
            await api.validate_token()
            after = time.time()
        except DeniedError as error:
            return [Check("token", "problem", f"{aim.url} does not accept it ({error})")]
        except LaterError as error:
            return [Check("url", "problem", f"{aim.url} cannot be reached ({error})")]
        except RefusedError as error:
            return [Check("url", "problem", f"{aim.url} does not know ping ({error})")]
        checks = [
            Check("url", "ok", f"{aim.url} answers in {(after - before) * 1000:.0f} ms"),
            Check("token", "ok", "accepted"),
        ]
        if (skew := clock_skew(api.date_header, before, after)) is not None:
            wrong = abs(skew) > SKEW_S
            checks.append(
                Check(
                    "clock",
                    "problem" if wrong else "ok",
                    f"{abs(skew):.0f} s {'behind' if skew < 0 else 'ahead of'} Prefactor's: set "
                    "this machine's clock"
                    if wrong
                    else "agrees with Prefactor's",
                )
            )
        return checks


def clock_skew(date: str | None, before: float, after: float) -> float | None:
    """Seconds by which this machine's clock is ahead, from the ``Date`` of an answer."""
    if date is None:
        return None
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp() + 0.5  # it has whole seconds
    except (TypeError, ValueError):
        return None
    return (before + after) / 2 - theirs


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
            outbox = Outbox(path)
        except StorageError as error:
            says = f"{path} can be read but not written ({error})"
            return [*checks, Check("journal", "problem", says)]
    except UnusableJournalError as error:
        return [*checks, Check("journal", "problem", str(error))]
    except StorageError as error:
        return [*checks, Check("journal", "problem", f"{path} cannot be read ({error})")]
    megabytes = retention.size(path) / 1e6
    checks.append(Check("journal", "ok", f"{path}, {megabytes:.1f} MB"))
    try:
        return checks + _backlog(settings, outbox)
    finally:
        outbox.close()


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


def _backlog(settings: Settings, outbox: Outbox) -> list[Check]:
    left = outbox.backlog()
    checks = []
    if not settings.delivers:
        return []
    if left["spans"] or left["calls"]:
        checks.append(
            Check(
                "backlog",
                "note",
                f"not delivered: {count(left['spans'], 'span')} of {count(left['calls'], 'call')} "
                f"(recorded without a token: {left['unwanted']:,}): prefactor-agent push",
            )
        )
    else:
        checks.append(Check("backlog", "ok", "everything is delivered"))
    checks += [
        Check("parked", "problem", f"{number} x {type_}: {error}")
        for type_, error, number in outbox.parked()
    ]
    return checks


def _versions() -> list[Check]:
    found = [f"python {platform.python_version()}", f"sqlite {health.SQLITE_VERSION}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} is not installed")
    return [Check("versions", "ok", ", ".join(found))]
