"""What a page needs to play the recording of its call: where the sound is, and when each turn is
heard in it."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ...core.text import why
from ...stored import recording
from ...stored.recording import Recording
from ..model.calltree import CallTree
from ..model.moments import user_moment
from ..model.numbers import megabytes
from ..model.sounds import played
from ..model.turns import Node, Turn, kind, typed

TYPE = "audio/ogg"
MOST_EMBEDDED = 64_000_000
"""Bytes of a recording that a page holds itself at most: hours of speech. Browsers take addresses
that are data up to 512 MB (Firefox since 136), but read all of it before they show anything."""


class SoundError(Exception):
    """The recording cannot be put where the page would find it. The message is one line that says
    what to do."""


@dataclass(frozen=True, slots=True)
class PageSound:
    """The recording of a call, and where its page finds it."""

    recording: Recording
    address: str
    """A file beside the page, a path of the server that shows it, or the sound itself (``data:``).
    """
    file: Path | None = None
    """The file beside the page."""

    @property
    def policy(self) -> str:
        """The part of a Content-Security-Policy that lets the page play it, and nothing from
        elsewhere."""
        return "data:" if self.address.startswith("data:") else "'self'"


class HeardTurn(NamedTuple):
    """When one side of a turn is heard, in microseconds from the beginning of the call."""

    span_id: str
    begins_us: int
    ends_us: int


def beside(page: Path, sound: Recording) -> PageSound:
    """Copy a recording beside a page, under the page's name, readable for its owner only as the
    recording itself is.

    Raises:
        SoundError: It cannot be written there, or another file has that name.
    """
    path = page.with_suffix(sound.path.suffix)
    try:
        if path.exists() and recording.read(path) is None:
            raise SoundError(f"{path} is there, and no recording of a call: choose another with -o")
        if not (path.exists() and path.samefile(sound.path)):
            shutil.copy(sound.path, path)
    except OSError as error:
        raise SoundError(f"the recording cannot be copied to {path} ({why(error)})") from None
    return PageSound(sound, quote(path.name), path)


def embedded(sound: Recording) -> PageSound:
    """A recording as a part of its page.

    Raises:
        SoundError: It is larger than :data:`MOST_EMBEDDED`, or cannot be read.
    """
    if sound.bytes > MOST_EMBEDDED:
        raise SoundError(
            f"the recording has {megabytes(sound.bytes)}, and a page holds "
            f"{megabytes(MOST_EMBEDDED)} at most: leave --embed-audio out, and it is linked"
        )
    try:
        data = sound.path.read_bytes()
    except OSError as error:
        raise SoundError(f"{sound.path} cannot be read ({why(error)})") from None
    return PageSound(sound, f"data:{TYPE};base64,{base64.b64encode(data).decode('ascii')}")


def heard_turns(call: CallTree) -> Iterator[HeardTurn]:
    """The turns of which there is something to hear."""
    for turn in call.turns:
        for node in turn.nodes:
            user = kind(node.span) == "user_turn"
            if (heard := _asked(call, turn, node) if user else _answered(call, node)) is not None:
                begins, ends = (at - call.started_us for at in heard)
                yield HeardTurn(node.span.id, begins, max(begins, ends))


def _asked(call: CallTree, turn: Turn, node: Node) -> tuple[int, int] | None:
    ends = user_moment(call, turn, "speech_ended") or node.span.finished_us
    if ends is None or typed(node):
        return None
    return min(span.started_us for span in (node.span, *node.spans("stt"))), ends


def _answered(call: CallTree, node: Node) -> tuple[int, int] | None:
    stretches, sounds = played(call, node)
    if not stretches:
        return None
    begins = sounds[0].started_us if sounds else stretches[0].started_us
    return begins, stretches[-1].ended_us
