"""Assembles the page: template, style and script in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from ...conversation import stages
from ...stored.source import Source, SourceError
from ...stored.span import StoredSpan
from ..model import numbers, stagenames
from ..model.silences import budgets_of
from . import safe
from .encoding import encode, to_block
from .head import head_of, verdict_of
from .scale import Scale, pickup_parts
from .view import View

_MARK = "document.documentElement.classList.add('scripted')"
"""Runs before anything is laid out, so that the page is laid out once."""

_SCRIPT = (
    "data",
    "text",
    "lanes",
    "voices",
    "view",
    "drawvoices",
    "drawlanes",
    "move",
    "select",
    "details",
    "replay",
    "input",
    "start",
)
"""The parts of the page's script, in the order in which they run."""


class ReportError(SourceError):
    """The page could not be written. The message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a page has in addition when ``prefactor-agent ui`` shows it."""

    home: str
    """The address of the list of calls."""
    script: str
    """Keeps the page of a call that runs up to date. May request only from the server."""


def write_report(source: Source, session_id: str, path: Path) -> None:
    """Write the page of a call.

    Raises:
        SourceError: The calls cannot be read.
        ReportError: There is no such call, or the file cannot be written.
    """
    spans = source.call(session_id)
    if not spans:
        raise ReportError(f"no call has the id {session_id}: see prefactor-agent sessions")
    page = render(spans, alive=source.alive(session_id))
    try:
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ReportError(f"{path} cannot be written ({reason}): choose another with -o") from None


def render(
    spans: list[StoredSpan],
    now_us: int | None = None,
    alive: bool | None = None,
    served: Served | None = None,
) -> str:
    """The page of a call, from all of its spans.

    Args:
        spans: All that there are; the page says what is missing.
        now_us: The present, in microseconds since the Unix epoch. Default: now.
        alive: Whether the process that records the call still runs; ``None``: not known.
        served: By ``prefactor-agent ui``.
    """
    view = View(spans, now_us, alive)
    template, style, script = _parts()
    live = served.script if served is not None and view.summary.status == "running" else ""
    scripts = [_MARK, script, *([live] if live else [])]
    page = template.render(
        view=view,
        call=view.call,
        silences=view.silences,
        summary=view.summary,
        head=head_of(view),
        verdict=verdict_of(view),
        pickup=view.pickup,
        pickup_parts=list(pickup_parts(view.pickup)) if view.pickup is not None else [],
        scale=Scale(view.silences, budgets_of(view.call)),
        styles=view.styles,
        several_requests=any(stages.base(n)[1] > 1 for n in view.silences.stage_names),
        style=style,
        mark=_MARK,
        script=script,
        home=served.home if served is not None else "",
        live=live,
        policy=_policy(style, scripts, bool(live)),
        data=to_block(encode(view)),
    )
    return safe.encodable(page)


def environment() -> Environment:
    """Jinja, with what makes a stranger's words safe to look at."""
    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {
        "shown": safe.shown,
        "plain": safe.plain,
        "clock": numbers.clock,
        "ms": _ms,
        "length_of": numbers.length,
        "date": lambda us: numbers.date(us, "%d %b %Y %H:%M"),
        "size": len,
        "stage": stagenames.label,
    }
    made.filters |= filters
    return made


@cache
def _parts() -> tuple[Template, str, str]:
    """The template, the style sheet and the script."""
    folder = files(__package__)
    template, style = ((folder / name).read_text("utf-8") for name in ("page.html.j2", "page.css"))
    parts = "\n".join((folder / "script" / f"{name}.js").read_text("utf-8") for name in _SCRIPT)
    return environment().from_string(template), style, f"'use strict';\n(() => {{\n{parts}}})();\n"


def _ms(value: Any) -> str:
    """A number and its unit stay on one line."""
    return numbers.milliseconds(value).replace(" ", "\u202f")


def policy_hash(source: str) -> str:
    """What a Content-Security-Policy calls an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode('ascii')}'"


def _policy(style: str, scripts: list[str], live: bool) -> str:
    """Nothing is loaded, and no other script and no other style is run than the page's own."""
    return (
        f"default-src 'none'; script-src {' '.join(map(policy_hash, scripts))}; "
        f"style-src {policy_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
        + ("; connect-src 'self'" if live else "")
    )
