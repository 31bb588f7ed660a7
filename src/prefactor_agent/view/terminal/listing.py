"""``prefactor-agent sessions``: the calls in the journal, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from ..model import numbers
from ..model.costs import CallCost, dollars, without_price
from ..model.summary import Summary
from . import words
from .glyphs import UNICODE, Glyphs

_LEAST_ID = 8
_HEADINGS = (
    "call", "when", "agent", "room", "length", "pickup", "dead air", "gap", "turns", "err", "cut",
    "no answer", "cost", "status",
)  # fmt: skip
_RIGHT = frozenset(
    {"length", "pickup", "dead air", "gap", "turns", "err", "cut", "no answer", "cost"}
)
"""Columns of numbers, which stand at the right."""
_LEAST_NAME = 6
_NOT_ALL = "+"
"""Behind the cost of a call that cost more than is known."""


def page_name(session_id: str) -> str:
    """The file that ``report`` writes a call's page to."""
    return f"call-{session_id}.html"


def page_of(session_id: str) -> Path | None:
    """The page of a call, if ``report`` has written it here."""
    try:
        path = Path(page_name(session_id)).absolute() if session_id else None
    except OSError:  # the working directory was deleted
        return None
    return path if path is not None and path.is_file() else None


def table(
    listed: Sequence[Summary],
    ids: Iterable[str],
    width: int,
    glyphs: Glyphs = UNICODE,
    costs: Sequence[CallCost | None] = (),
) -> Iterator[Text]:
    """The calls as lines.

    Args:
        ids: Of all calls, so that what is shown of one is enough to name it.
        width: In columns.
        costs: What each call cost, if anything is known of that.
    """
    costs = costs or [None] * len(listed)
    shown = unique_beginning([*ids, *(call.id for call in listed)])
    this_year = numbers.date(listed[0].started_us, "%Y") if listed else ""
    rows = [_row(call, cost, shown, this_year) for call, cost in zip(listed, costs, strict=True)]
    pages = [page_of(call.id) for call in listed]
    unused = {
        name
        for name, used in (
            ("room", any(call.room for call in listed)),
            ("pickup", any(call.pickup_ms is not None for call in listed)),
            ("gap", any(call.worst_gap_ms for call in listed)),
            ("no answer", any(call.unanswered for call in listed)),
            ("cost", any(map(_usd, costs))),
        )
        if not used
    }
    columns = [index for index, name in enumerate(_HEADINGS) if name not in unused]
    widths = [max(map(cell_len, cells)) for cells in zip(_HEADINGS, *rows, strict=True)]
    _squeeze(widths, columns, width)
    yield _line(_HEADINGS, columns, widths, glyphs, heading=True)
    for row, page in zip(rows, pages, strict=True):
        yield _line(row, columns, widths, glyphs, page=page)
    written = [(row[0], page) for row, page in zip(rows, pages, strict=True) if page is not None]
    together = [(row[0], call) for row, call in zip(rows, listed, strict=True) if call.which]
    prices = list(_prices(costs))
    if written or together or prices:
        yield Text()
    for line in prices:
        yield Text(words.harmless(line), "dim")
    for id_, call in together:
        yield Text(words.fit(f"{id_}  {_which(call)}", width, glyphs.ellipsis))
    for id_, page in written:
        yield Text(f"page of {id_}  ").append(page.name, f"link {page.as_uri()}")


def _line(
    row: Sequence[str],
    columns: Sequence[int],
    widths: Sequence[int],
    glyphs: Glyphs,
    *,
    heading: bool = False,
    page: Path | None = None,
) -> Text:
    line = Text()
    for index in columns:
        name = _HEADINGS[index]
        cell = words.fit(row[index], widths[index], glyphs.ellipsis)
        padding = " " * (widths[index] - cell_len(cell))
        style = "dim" if heading else _style(name, row[index])
        if name == "call" and page is not None:
            style += f" link {page.as_uri()}"
        line.append(padding if name in _RIGHT else "").append(cell, style)
        line.append("" if name in _RIGHT else padding).append(" " * _gap(index))
    line.rstrip()
    return line


def how_to_see() -> Iterator[Text]:
    """The next step, for somebody at a terminal."""
    yield Text()
    yield Text(
        "prefactor-agent report CALL writes a call's page; prefactor-agent ui shows all", "dim"
    )


def unique_beginning(ids: Iterable[str]) -> int:
    """How many characters of an id are enough to distinguish it from all others."""
    ordered = sorted(set(ids))
    longest = 0
    for one, next_ in pairwise(ordered):
        shared = next(
            (i for i, (a, b) in enumerate(zip(one, next_, strict=False)) if a != b), len(one)
        )
        longest = max(longest, shared + 1)
    return max(longest, _LEAST_ID)


def _row(call: Summary, cost: CallCost | None, shown: int, this_year: str) -> tuple[str, ...]:
    year = numbers.date(call.started_us, "%Y")
    form = "%d %b %H:%M" if year == this_year else "%d %b %Y"
    return (
        call.id[:shown],
        numbers.date(call.started_us, form),
        words.harmless(call.agent),
        words.harmless(call.room or ""),
        numbers.length(call.duration_us),
        *map(_took, (call.pickup_ms, call.worst_ms, call.worst_gap_ms)),
        *(
            str(number or "")
            for number in (call.turns, call.errors, call.interrupted, call.unanswered)
        ),
        _usd(cost),
        {"complete": "ended", "lost": "no end"}.get(call.status, call.status),
    )


def _usd(cost: CallCost | None) -> str:
    if cost is None or cost.usd is None:
        return ""
    return f"{dollars(cost.usd)}{_NOT_ALL if cost.so_far or cost.unpriced else ''}"


def _prices(costs: Sequence[CallCost | None]) -> Iterator[str]:
    """What the costs leave out, where there are any."""
    priced = [cost for cost in costs if cost is not None and _usd(cost)]
    unpriced = sorted({name for cost in priced for name in cost.unpriced})
    if any(cost.so_far for cost in priced):
        yield f"{_NOT_ALL} so far" + (", or without what has no price" if unpriced else "")
    elif unpriced:
        yield f"{_NOT_ALL} without what has no price"
    yield from without_price(unpriced)


def _took(ms: float | None) -> str:
    return numbers.length(ms * 1000) if ms is not None else ""


def _which(call: Summary) -> str:
    """Which of the sessions of one job a call is, and whose: they have a room in common."""
    caller = f" with {call.participant}" if call.participant else ""
    return words.harmless(f"{call.which}{caller}")


def _gap(index: int) -> int:
    """The space after a column: numbers stand closer to each other."""
    if index == len(_HEADINGS) - 1:
        return 0
    return 1 if {_HEADINGS[index], _HEADINGS[index + 1]} <= _RIGHT else 2


def _squeeze(widths: list[int], columns: Sequence[int], width: int) -> None:
    """Take from the longer of the two names until the line fits."""
    names = [index for index in columns if _HEADINGS[index] in {"agent", "room"}]
    while sum(widths[index] + _gap(index) for index in columns) > width:
        longest = max(names, key=lambda index: widths[index])
        if widths[longest] <= _LEAST_NAME:
            break
        widths[longest] -= 1


def _style(name: str, cell: str) -> str:
    if name in {"err", "no answer"} or cell == "failed":
        return "red"
    if name == "status":
        return {"running": "green", "no end": "yellow"}.get(cell, "")
    return "bold" if name == "call" else ""
