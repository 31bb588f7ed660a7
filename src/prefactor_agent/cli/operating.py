"""The commands that operate a journal and its delivery: ``push``, ``doctor``, ``tail``, ``metrics``
and ``prune``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..config import ConfigurationError, Settings, settings
from ..core.text import count
from ..view.model import numbers
from .completion import call_names
from .examples import add
from .shared import (
    JournalOption,
    JsonOption,
    complain,
    fail,
    say,
    settings_for,
    using,
    writing_to,
)

if TYPE_CHECKING:
    from ..deliver.common.push import Pushed
    from ..deliver.common.target import Target
    from ..journal.follow import Event
    from ..journal.retention import Pruned

_ID = 10
"""The characters of a call's id that say when it began. Commands accept them as a name."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    add(app, push, doctor, tail, metrics, prune)


def push(
    journal: JournalOption = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="TARGET", help="Only there: prefactor or otlp."),
    ] = None,
    parked: Annotated[
        bool, typer.Option("--parked", help="Also try again what was refused.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be delivered.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", metavar="SECONDS", min=0, help="How long to go on without an answer."
        ),
    ] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Deliver what the journal still holds."""
    from ..deliver.targets import find
    from ..journal.outbox import Outbox

    chosen = settings_for(journal)
    with using(chosen.journal):
        Outbox(chosen.journal).close()
    targets = find(chosen, to, anyway=dry_run)
    if dry_run:
        for target in targets:
            left = _left(target)
            words = _backlog_words(target, left, parked=parked)
            say({"to": target.key, **left}, words, as_json=as_json)
        return
    done = [_push(target, patience, parked=parked, as_json=as_json) for target in targets]
    if not all(done):
        raise typer.Exit(1)


def _left(target: Target) -> dict[str, int]:
    with using(target.settings.journal), contextlib.closing(target.todo()) as todo:
        return todo.backlog()


def _push(target: Target, patience: float, *, parked: bool, as_json: bool) -> bool:
    """Deliver to one target. Returns whether nothing went wrong."""
    import asyncio

    from ..deliver.common.http import NotAcceptedError
    from ..deliver.common.push import push as deliver

    target.prepare()
    if parked:
        with using(target.settings.journal), contextlib.closing(target.todo()) as todo:
            todo.unpark()
    try:
        with using(target.settings.journal), _Bar(as_json or not sys.stderr.isatty()) as bar:
            done = asyncio.run(deliver(target, patience=patience, watch=bar.show))
    except NotAcceptedError as error:
        complain(f"{target.to} does not accept {target.secret} ({error})")
        return False
    value = {"to": target.key, **dataclasses.asdict(done)}
    say(value, _pushed_words(target, done), as_json=as_json)
    return not (done.problem or done.parked or done.rejected)


def _pushed_words(target: Target, done: Pushed) -> str:
    words = (
        f"{count(done.spans, 'span')} delivered to {target.to}, "
        f"{count(done.calls, 'call')} finished"
    )
    if done.parked:
        words += f"; {done.parked} refused (see prefactor-agent doctor)"
    if done.rejected:
        words += f"; {done.rejected} taken and dropped (see prefactor-agent doctor)"
    if done.busy or done.running:
        others = count(done.busy + done.running, "call is", "calls are")
        words += f"; {others} still running or delivered elsewhere"
    if done.problem:
        words += f"; {count(done.left, 'span')} left: {done.problem}"
    return words


def doctor(journal: JournalOption = None, as_json: JsonOption = False) -> None:
    """Say whether tracing and delivery are in order. Exit code 1: something is not."""
    from ..deliver.common.target import Check
    from ..deliver.health import examine

    try:
        checks = examine(settings(journal))
    except ConfigurationError as error:
        checks = [Check("settings", "problem", str(error))]
    healthy = all(check.level != "problem" for check in checks)
    if as_json:
        listed = [check._asdict() for check in checks]
        typer.echo(json.dumps({"healthy": healthy, "checks": listed}))
    else:
        marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
        for check in checks:
            typer.echo(f"{marks[check.level]}  {check.name:<9} {' '.join(check.says.split())}")
        typer.echo("healthy" if healthy else "not healthy")
    if not healthy:
        raise typer.Exit(1)


def tail(
    journal: JournalOption = None,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", metavar="SECONDS", min=0.02, max=3600, help="How long between two looks."
        ),
    ] = 0.2,
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=0, help="Stop after so long."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the running calls. Ends with Ctrl-C."""
    from ..journal.follow import Follower

    chosen = settings(journal)
    path = chosen.journal
    end = None if seconds is None else time.monotonic() + seconds
    if not path.exists():
        typer.echo(f"waiting for the first call: there is no journal at {path} yet", err=True)
    else:
        _say_what_waits(chosen)
    with (
        contextlib.closing(Follower(path)) as follower,
        contextlib.suppress(KeyboardInterrupt),
        using(path),
    ):
        while True:
            for event in follower.look():
                say(event._asdict(), event_line(event), as_json=as_json)
            if end is not None and time.monotonic() >= end:
                return
            time.sleep(interval)


def _say_what_waits(chosen: Settings) -> None:
    """Say, beside the events, what each target of the settings has not got yet."""
    from ..deliver.targets import targets
    from ..journal.totals import read

    with using(chosen.journal):
        waiting = read(chosen.journal).waiting
    for target in targets(chosen):
        left = waiting.get(target.key)
        if left is not None and left.oldest_us is not None:
            since = numbers.date(left.oldest_us, "%d %b %H:%M")
            waits = count(left.spans, "span waits", "spans wait")
            typer.echo(f"{waits} for {target.to}, the oldest since {since}", err=True)


def metrics(
    journal: JournalOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Replace this file, as a whole."),
    ] = None,
) -> None:
    """Print the totals of all calls as Prometheus reads them.

    With -o for the textfile collector of Prometheus's node exporter.
    """
    from ..metrics.prometheus.textfile import exposition, replace

    chosen = settings_for(journal)
    with using(chosen.journal):
        text = exposition(chosen.journal)
    if output is None:
        typer.echo(text, nl=False)
        return
    with writing_to(output, "-o"):
        replace(output, text)


def prune(
    call: Annotated[
        str | None,
        typer.Argument(
            metavar="CALL", help="Only this one, whatever its age.", autocompletion=call_names
        ),
    ] = None,
    journal: JournalOption = None,
    days: Annotated[
        float | None,
        typer.Option("--days", metavar="DAYS", min=0, help="Keep calls of so many days."),
    ] = None,
    megabytes: Annotated[
        float | None,
        typer.Option("--megabytes", metavar="N", min=0, help="Keep so many megabytes."),
    ] = None,
    undelivered: Annotated[
        bool, typer.Option("--undelivered", help="Also calls that wait to be delivered.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove old calls from the journal, or one call."""
    from ..journal import retention
    from ..journal.reader import Journal

    if call is not None and (days is not None or megabytes is not None):
        fail("prune takes a call, or --days and --megabytes, not both")
    for option, value in (("--days", days), ("--megabytes", megabytes)):
        if value is not None and not 0 <= value <= 1e8:
            fail(f"{option} takes a number up to 100000000, not {value}")
    chosen = settings_for(journal)
    with using(chosen.journal):
        if call is not None:
            with contextlib.closing(Journal(chosen.journal)) as opened:
                call = opened.find(call)
        done = retention.prune(
            chosen.journal,
            days=chosen.keep_days if days is None else days,
            limit=chosen.keep_bytes if megabytes is None else int(megabytes * 1e6),
            call=call,
            undelivered=undelivered,
            dry_run=dry_run,
        )
    if call is not None and not done.calls and not done.kept_undelivered:
        fail(f"{call} still runs: it can go once it has ended")
    words = _pruned_words(done, "would go" if dry_run else "removed")
    say(done._asdict(), words, as_json=as_json)


def _pruned_words(done: Pruned, verb: str) -> str:
    words = (
        f"{count(done.calls, 'call')} with {count(done.spans, 'span')} {verb}; "
        f"the journal has {numbers.megabytes(done.bytes_after)}"
    )
    if done.undelivered:
        were = "was" if done.undelivered == 1 else "were"
        words += f"; {done.undelivered:,} of the spans {were} never delivered"
    if done.kept_undelivered:
        kept = count(done.kept_undelivered, "call that waits", "calls that wait")
        words += f"; {kept} to be delivered stay{'s' if done.kept_undelivered == 1 else ''}"
    return words


def event_line(event: Event) -> str:
    at = event.started_us if event.what == "begun" else event.finished_us or event.started_us
    clock = numbers.date(at, "%H:%M:%S.%f")[:-3]
    indent = "" if event.parent_id is None else "  "
    outcome = "..." if event.what == "begun" else event.status
    took = (
        f" {(event.finished_us - event.started_us) / 1000:.0f} ms"
        if event.what == "ended" and event.finished_us is not None
        else ""
    )
    name = event.type.removeprefix("livekit:")
    words = f"  {event.words}" if event.words else ""
    return f"{clock}  {event.session_id[:_ID]}  {indent}{name} {outcome}{took}{words}"


def _backlog_words(target: Target, left: dict[str, int], *, parked: bool) -> str:
    spans, calls = count(left["spans"], "span"), count(left["calls"], "call")
    words = f"{spans} of {calls} to deliver to {target.to}"
    if left["parked"] or left["parked_calls"]:
        again = "to try again" if parked else "parked (--parked tries them again)"
        refused = f"{count(left['parked'], 'span')} and {count(left['parked_calls'], 'call')}"
        words += f"; {refused} {again}"
    return words


class _Bar:
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, silent: bool) -> None:
        self._progress: Any = None
        if not silent:
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task("spans", total=None)

    def __enter__(self) -> _Bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: Any) -> None:
        if self._progress is not None:
            self._progress.update(self._task, total=done.total or None, completed=done.spans)
