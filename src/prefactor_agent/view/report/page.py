"""Puts the page together: the template, the style and the script in one file."""

from __future__ import annotations

import base64
import hashlib
import math
import time
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from prefactor_agent.journal.reader import Journal, JournalError, StoredSpan

from ..summary import QUIET_US
from . import text
from .encoding import encode, to_block
from .reading import Gap, Reading, label_of
from .text import mapping, words

JSON = dict[str, Any]


_MARK = "document.documentElement.classList.add('scripted')"
"""Runs before anything is laid out, so that the page is laid out once."""


class ReportError(JournalError):
    """The page could not be written. The message is one line that says what to do."""


def write_report(journal: Journal, session_id: str, path: Path) -> None:
    """Write the page of a call.

    Raises:
        JournalError: The journal cannot be read.
        ReportError: There is no such call, or the file cannot be written.
    """
    spans = journal.call(session_id)
    if not spans:
        raise ReportError(f"no call has the id {session_id}: see prefactor-agent sessions")
    try:
        path.write_text(render(spans), encoding="utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ReportError(f"{path} cannot be written ({reason}): choose another with -o") from None


def render(spans: list[StoredSpan], now_us: int | None = None) -> str:
    """The page of a call, from all of its spans. ``now_us`` tells a call that runs from one whose
    process is gone; the default is the present."""
    call = Reading(spans)
    template, style, script = _parts()
    page = template.render(
        call=call,
        head=_head(call, time.time_ns() // 1000 if now_us is None else now_us),
        verdict=_verdict(call),
        scale=_Scale(call),
        styles=call.stage_styles,
        style=style,
        mark=_MARK,
        script=script,
        policy=_policy(style, _MARK, script),
        data=to_block(encode(call)),
    )
    return text.encodable(page)


@cache
def _parts() -> tuple[Template, str, str]:
    """The template, the style sheet and the script."""
    folder = files(__package__)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "shown": text.shown,
        "plain": text.plain,
        "clock": text.clock,
        "ms": text.ms,
        "stage": label_of,
    }
    template, style, script = (
        (folder / name).read_text("utf-8") for name in ("page.html.j2", "page.css", "page.js")
    )
    return environment.from_string(template), style, script


def _policy(style: str, *scripts: str) -> str:
    """Nothing is loaded, and no other script and no other style is run than the page's own."""

    def hash_of(source: str) -> str:
        return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")

    allowed = " ".join(f"'sha256-{hash_of(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; "
        f"style-src 'sha256-{hash_of(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _head(call: Reading, now_us: int) -> JSON:
    """Who spoke with whom, when, for how long, and how it ended."""
    session = call.session
    payload = session.payload if session else {}
    result = session.result if session else {}
    participant = mapping(result.get("participant")) or mapping(payload.get("participant"))
    machine, when = text.when(call.origin_us)
    ending, tone = _ending(call, now_us)
    caller = words(participant.get("identity")) or words(participant.get("name"))
    kind = words(participant.get("kind"))
    models = {
        kind: words(mapping(model).get("model_name")) or words(mapping(model).get("label"))
        for kind, model in mapping(payload.get("models")).items()
    }
    return {
        "agent": words(payload.get("agent_name")) or words(payload.get("agent_class")),
        "room": words(mapping(payload.get("room")).get("name")),
        "caller": f"{caller} ({kind})" if caller and kind else caller,
        "when": when,
        "machine": machine,
        "took": text.length(call.ends_us) if call.spans else "",
        "ending": ending,
        "tone": tone,
        "id": session.id if session else (call.spans[0].session_id if call.spans else ""),
        "models": {kind: name for kind, name in models.items() if name},
        "failed_tools": sum(span.status == "failed" for span in call.tools),
    }


def _ending(call: Reading, now_us: int) -> tuple[str, str]:
    session = call.session
    if not call.spans:
        return "nothing was recorded", "open"
    if session is None:
        return "the session's own span is missing", "open"
    reason = words(session.result.get("close_reason")).replace("_", " ")
    if session.finished_us is None:
        if now_us - call.origin_us - call.ends_us < QUIET_US:
            return "still running", "open"
        return "no end was recorded: its process was lost", "bad"
    error = mapping(session.result.get("error"))
    if session.status == "failed" or error:
        message = words(error.get("message")) or words(error.get("error_type")) or reason
        return f"failed: {message}" if message else "failed", "bad"
    return f"ended: {reason}" if reason else "ended", "good"


def _verdict(call: Reading) -> JSON | None:
    """The slowest turn, and the stage that made it slow."""
    worst = call.worst
    if worst is None:
        return None
    slowest = worst.slowest
    return {
        "gap": worst,
        "stage": slowest,
        "share": slowest.ms / worst.ms if slowest and worst.ms else 0,
    }


class _Scale:
    """One scale for the bars of all turns."""

    WIDTH = 1000

    def __init__(self, call: Reading) -> None:
        worst = call.worst
        top = max(worst.ms if worst else 0.0, 1.0)
        step = 10 ** math.floor(math.log10(top))
        if top / step < 2:
            step /= 5
        elif top / step < 5:
            step /= 2
        self.step = step
        self.top = step * math.ceil(top / step)

    def ticks(self) -> Iterable[tuple[float, float]]:
        """Each mark: where it is, and its milliseconds."""
        for index in range(round(self.top / self.step) + 1):
            value = index * self.step
            yield value * self.WIDTH / self.top, value

    def rects(self, gap: Gap) -> Iterable[tuple[str, str, str, str]]:
        """The parts of a turn's bar: name, position, width, and what it says."""
        at = 0.0
        stages = [(stage.name, stage.label, stage.ms) for stage in gap.stages]
        for name, label, ms in stages or [("unattributed", "dead air", gap.ms)]:
            width = ms * self.WIDTH / self.top
            if width > 0:
                yield name, f"{at:.1f}", f"{width:.1f}", f"{label}: {text.ms(ms)}"
            at += width
