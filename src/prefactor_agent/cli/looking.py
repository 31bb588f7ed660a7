"""The commands that look at calls: ``sessions``, ``show``, ``report``, ``ui`` and ``stats``."""

from __future__ import annotations

import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import ConfigurationError
from ..stored.source import Source
from ..stored.span import StoredSpan
from .completion import CallArgument
from .examples import add
from .moments import moment_us, period_us
from .shared import FromOption, JournalOption, JsonOption, place_of, write_lines, writing_to

if TYPE_CHECKING:
    from ..core.json import JSON
    from ..view.model.costs import CallCost
    from ..view.model.digest import Wanted
    from ..view.model.summary import Summary

WidthOption = Annotated[
    int | None,
    typer.Option(
        "--width", metavar="N", min=1, help="Columns, 60 or more. Default: the terminal's."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    add(app, sessions, show, report, ui, stats)


def sessions(
    journal: JournalOption = None,
    from_: FromOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=2**31 - 1, help="How many.")
    ] = 20,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="WHEN", help="Those that went on at about 14:05."),
    ] = None,
    failed: Annotated[
        bool,
        typer.Option(
            "--failed", help="Only calls with an error or an unanswered question, or that failed."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a call.")] = False,
) -> None:
    """List the calls, newest first.

    Dead air is the longest silence before an answer.
    """
    from ..view.export.jsonlines import json_line
    from ..view.model.costs import cost_of_digest
    from ..view.model.digest import Wanted, digests
    from ..view.terminal.listing import how_to_see, table

    with closing(_open(journal, from_)) as opened:
        at_us = moment_us(at, "--at") if at is not None else None
        wanted = Wanted(at_us=at_us, failed=failed)
        read = list(islice(digests(opened, wanted), limit))
        listed = [digest.summary for digest in read]
        if not listed:
            opened.find()  # says that there is none
        ids = opened.ids_around()
    costs = [cost_of_digest(digest) for digest in read]
    if json:
        lines = (_listed_json(*each) for each in zip(listed, costs, strict=True))
        write_lines(map(json_line, lines))
        return
    if not listed:
        which = "failed" if failed else "went on"
        when = " then" if at is not None else ""
        typer.echo(f"No call {which}{when}: prefactor-agent sessions lists all calls.")
        return
    from ..view.terminal.output import print_lines

    print_lines(lambda width, glyphs: table(listed, ids, width, glyphs, costs))
    if sys.stdout.isatty():
        print_lines(lambda *_: how_to_see())


def _listed_json(call: Summary, cost: CallCost | None) -> JSON:
    from ..view.model.costs import cost_json
    from ..view.model.summary import summary_object
    from ..view.terminal.listing import page_of

    page = page_of(call.id)
    report = str(page) if page is not None else None
    return {**summary_object(call), "cost": cost_json(cost), "report": report}


def show(
    call: CallArgument = "last",
    journal: JournalOption = None,
    from_: FromOption = None,
    width: WidthOption = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="WHEN", help="Only the turns at about 14:05."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="The whole call as one JSON object.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write a picture instead.")
    ] = None,
) -> None:
    """Draw a call in the terminal.

    Who said what, and where the time went, turn by turn.
    """
    if json and (at is not None or svg is not None):
        raise ConfigurationError("--json prints the whole call: leave --at and --svg out")
    spans, alive = _spans(journal, from_, call)
    if json:
        from ..view.export.jsonlines import json_line
        from ..view.export.outline import outline

        write_lines([json_line(outline(spans, alive=alive))])
        return
    from ..view.model.numbers import ABOUT_US
    from ..view.terminal.waterfall import export_svg, waterfall

    # A time of day is of the day of the call.
    ended_us = max(span.finished_us or span.started_us for span in spans)
    at_us = moment_us(at, "--at", until_us=ended_us + ABOUT_US) if at is not None else None
    if svg is not None:
        with writing_to(svg, "--svg"):
            export_svg(spans, svg, title="prefactor-agent show", width=width or 100, at_us=at_us)
        return
    from ..view.terminal.output import print_lines

    print_lines(
        lambda columns, glyphs: waterfall(spans, columns, glyphs, alive=alive, at_us=at_us), width
    )


def report(
    call: CallArgument = "last",
    journal: JournalOption = None,
    from_: FromOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: call-ID.html, here."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    embed_audio: Annotated[
        bool,
        typer.Option("--embed-audio", help="Put the recording into the page, not beside it."),
    ] = False,
) -> None:
    """Write a call as one HTML page.

    It needs nothing else to be read, and asks nothing of the network. The recording of the call, if
    there is one, is copied beside it.
    """
    from ..view.model.numbers import megabytes
    from ..view.report import write_report
    from ..view.terminal.listing import page_name

    with closing(_open(journal, from_)) as opened:
        session_id = opened.find(call)
        path = output or Path(page_name(session_id))
        sound = write_report(opened, session_id, path, embed_audio=embed_audio)
    typer.echo(path)
    if sound is not None:
        size = megabytes(sound.recording.bytes)
        where = (
            "in it"
            if sound.file is None
            else f"beside it, in {sound.file.name}: keep them together"
        )
        typer.echo(f"The recording ({size}) is {where}.", err=True)
    elif embed_audio:
        typer.echo("The call has no recording.", err=True)
    if open_:
        typer.launch(path.resolve().as_uri())


def ui(
    journal: JournalOption = None,
    from_: FromOption = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any free one.")
    ] = 8788,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Show all calls in the browser.

    Those that run update by themselves. Ctrl-C ends it.
    """
    from ..view.ui import serve

    place = place_of(journal, from_)

    def ready(address: str) -> None:
        typer.echo(
            f"The calls in {place.name}:\n\n  {address}\n\nFor this machine only. Ctrl-C ends it."
        )
        sys.stdout.flush()
        if open_:
            typer.launch(address)

    serve(place, port, ready)


def stats(
    journal: JournalOption = None,
    from_: FromOption = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Since a date or time, or 90m, 24h, 7d ago."),
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Of one agent.")
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option(
            "--version",
            metavar="VERSION",
            help="Of one version of the agent; again: of another, too.",
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="What is different between two versions, or two periods (7d..3d 3d..).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell where the time goes, over many calls.

    Each stage's count, median, p95 and worst.
    """
    from rich.console import Console

    from ..view.export.jsonlines import json_line
    from ..view.many.stats import collect
    from ..view.model.costs import Spending
    from ..view.model.digest import Wanted, digests
    from ..view.terminal.stats import spending_lines, table

    if compare is not None:
        if version:
            raise ConfigurationError("--compare names both versions: leave --version out")
        _compare(_open(journal, from_), compare, agent, since, as_json=as_json)
        return
    found = []
    versions: list[str | None] = [*version] if version else [None]
    with closing(_open(journal, from_)) as opened:
        opened.find()  # says so if there is no call at all
        since_us = moment_us(since, "--since") if since is not None else None
        for one in versions:
            wanted = Wanted(since_us=since_us, agent=agent, version=one)
            spent = Spending()
            calls = spent.counting(digests(opened, wanted))
            found.append((collect(call.latencies for call in calls), spent))
    if as_json:
        write_lines(json_line({**each.as_json(), "cost": spent.as_json()}) for each, spent in found)
    elif (since or agent or version) and not any(
        each.turns or each.pickup or each.unanswered for each, _ in found
    ):
        typer.echo("No such call has an answered turn: prefactor-agent sessions lists all calls.")
    else:
        for each, spent in found:
            Console().print(table(each), *spending_lines(spent), sep="\n")


def _compare(
    source: Source, names: tuple[str, str], agent: str | None, since: str | None, *, as_json: bool
) -> None:
    """Print what is different between two versions or periods."""
    from rich.console import Console

    from ..view.export.jsonlines import json_line
    from ..view.many.compare import compare
    from ..view.model.digest import digests
    from ..view.terminal.compare import table

    since_us = moment_us(since, "--since") if since is not None else None
    with closing(source):
        source.find()  # says so if there is no call at all
        first, second = ((name, digests(source, _side(name, agent, since_us))) for name in names)
        found = compare(first, second)
        for side in (found.before, found.after):
            if not side.calls:
                raise ConfigurationError(_nothing(source, side.name, agent, since_us))
    if as_json:
        write_lines([json_line(found.as_json())])
    else:
        Console().print(table(found))


def _side(name: str, agent: str | None, since_us: int | None) -> Wanted:
    """The calls of a version or a period."""
    from ..view.model.digest import Wanted

    period = period_us(name, "--compare")
    if period is None:
        return Wanted(since_us=since_us, agent=agent, version=name)
    if since_us is not None:
        raise ConfigurationError("--compare names both periods: leave --since out")
    return Wanted(*period, agent=agent)


def _nothing(source: Source, name: str, agent: str | None, since_us: int | None) -> str:
    """What to say of a side that has no call."""
    from ..view.model.digest import Wanted, digests

    if ".." in name:
        return f"no such call began in {name}: prefactor-agent sessions lists all calls"
    wanted = Wanted(since_us=since_us, agent=agent)
    known = {call.version for call in digests(source, wanted) if call.version is not None}
    return f"no such call is of the version {name}; there are {', '.join(sorted(known)) or 'none'}"


def _open(journal: Path | None, archive: str | None) -> Source:
    return place_of(journal, archive).open()


def _spans(
    path: Path | None, archive: str | None, call: str
) -> tuple[list[StoredSpan], bool | None]:
    """All spans of a call, and whether the process that records it still runs."""
    with closing(_open(path, archive)) as source:
        session_id = source.find(call)
        return source.call(session_id), source.alive(session_id)
