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
from ...core.text import why
from ...stored.recording import keep_private
from ...stored.source import Source, SourceError
from ...stored.span import StoredSpan
from ..model import numbers, stagenames
from ..model.silences import budgets_of
from . import safe
from .encoding import encode, encode_recording, to_block
from .head import head_of, verdict_of
from .listening import PageSound, SoundError, beside, embedded
from .scale import Scale, pickup_parts
from .view import View

_MARK = "document.documentElement.classList.add('scripted')"
"""Runs before anything is laid out, so that the page is laid out once."""

_DRAWN = (
    *("data", "text", "lanes", "voices", "view", "drawvoices", "drawlanes", "move", "select"),
    *("details", "streams"),
)
_SILENT = (*_DRAWN, "replay", "input", "start")
_HEARD = (
    *(*_DRAWN, "sound", "playing", "playhead", "offrecord", "following", "input"),
    *("jumps", "player", "start"),
)
"""The parts of the page's script, in the order in which they run: of a call without a recording,
and of one with it. A page has one time; where there is sound, that of the sound."""


class ReportError(SourceError):
    """The page could not be written. The message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a page has in addition when ``prefactor-agent ui`` shows it."""

    home: str
    """The address of the list of calls."""
    script: str
    """Keeps the page of a call that runs up to date. May request only from the server."""


def write_report(
    source: Source, session_id: str, path: Path, *, embed_audio: bool = False
) -> PageSound | None:
    """Write the page of a call, and its recording beside it or into it.

    Args:
        source: Where the call is kept.
        session_id: The call.
        path: The file of the page. The recording goes beside it, under the same name.
        embed_audio: Put the recording into the page.

    Returns:
        What the page plays; ``None``: the call has no recording.

    Raises:
        SourceError: The calls cannot be read.
        ReportError: There is no such call, a file cannot be written, or the recording is too large
            for the page to hold.
    """
    spans = source.call(session_id)
    if not spans:
        raise ReportError(f"no call has the id {session_id}: see prefactor-agent sessions")
    recording, sound = source.recording(session_id), None
    try:
        if recording is not None:
            sound = embedded(recording) if embed_audio else beside(path, recording)
    except SoundError as error:
        raise ReportError(str(error)) from None
    page = render(spans, alive=source.alive(session_id), sound=sound)
    try:
        if sound is not None and sound.file is None:  # the page holds it
            keep_private(path)
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ReportError(
            f"{path} cannot be written ({why(error)}): choose another with -o"
        ) from None
    return sound


def render(
    spans: list[StoredSpan],
    now_us: int | None = None,
    alive: bool | None = None,
    served: Served | None = None,
    sound: PageSound | None = None,
) -> str:
    """The page of a call, from all of its spans.

    Args:
        spans: All that there are; the page says what is missing.
        now_us: The present, in microseconds since the Unix epoch. Default: now.
        alive: Whether the process that records the call still runs; ``None``: not known.
        served: By ``prefactor-agent ui``.
        sound: The recording of the call. A page that follows a call while it runs says that it can
            be heard later: the file that a browser plays must not change under it.
    """
    view = View(spans, now_us, alive)
    live = served.script if served is not None and view.summary.status == "running" else ""
    heard_later = bool(live) and sound is not None
    if live:
        sound = None
    template, style, script = _parts(sound is not None)
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
        heard_later=heard_later,
        sound=sound,
        policy=_policy(style, scripts, bool(live), sound),
        data=to_block(encode(view) | (encode_recording(view, sound.recording) if sound else {})),
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
def _parts(heard: bool) -> tuple[Template, str, str]:
    """The template, the style sheet and the script, of a page that plays a recording or of one that
    does not."""
    folder = files(__package__)
    template, style = ((folder / name).read_text("utf-8") for name in ("page.html.j2", "page.css"))
    style = colours() + style
    if heard:
        style += (folder / "player.css").read_text("utf-8")
    names = _HEARD if heard else _SILENT
    parts = "\n".join((folder / "script" / f"{name}.js").read_text("utf-8") for name in names)
    return environment().from_string(template), style, f"'use strict';\n(() => {{\n{parts}}})();\n"


@cache
def colours() -> str:
    """The style sheet with the colours and typefaces of all pages, light and dark."""
    return (files(__package__) / "colours.css").read_text("utf-8")


def _ms(value: Any) -> str:
    """A number and its unit stay on one line."""
    return numbers.milliseconds(value).replace(" ", "\u202f")


def policy_hash(source: str) -> str:
    """What a Content-Security-Policy calls an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode('ascii')}'"


def _policy(style: str, scripts: list[str], live: bool, sound: PageSound | None) -> str:
    """Nothing is loaded but a recording, and no other script and no other style is run than the
    page's own."""
    return (
        f"default-src 'none'; script-src {' '.join(map(policy_hash, scripts))}; "
        f"style-src {policy_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
        + ("; connect-src 'self'" if live else "")
        + (f"; media-src {sound.policy}" if sound is not None else "")
    )
