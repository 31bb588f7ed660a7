"""Makes the file of a call from its spans, or says what they lack."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.clock import unix_us_to_rfc3339
from ..stored.source import SourceError
from ..stored.span import StoredSpan
from ..view.model.calltree import build
from ..view.model.turns import kind
from .format import Recording
from .models import requests, speeches
from .streams import Words
from .user import UserSide

_NAMED = 5
"""How many things that lack words are named in a refusal."""


class NotReplayableError(SourceError):
    """The trace of a call lacks what a replay needs. The message says what."""


def recording(spans: Sequence[StoredSpan]) -> Recording:
    """The file of a call.

    Raises:
        NotReplayableError: Words that a replay needs were redacted, cut or not captured; or there
            is nothing to replay.
    """
    if len({span.session_id for span in spans}) > 1:
        raise NotReplayableError("these are the spans of several calls: take those of one")
    call = build(spans)
    if (session := call.session) is None:
        raise NotReplayableError("the call cannot be replayed: the session's own span is missing")
    words = Words()
    user = UserSide(call, words)
    turns = user.turns()
    if not turns:
        raise NotReplayableError(f"call {session.id} cannot be replayed: the caller said nothing")
    if any(kind(span) == "realtime" for span in spans):
        raise NotReplayableError(
            f"call {session.id} cannot be replayed: a realtime model's words were not recorded"
        )
    recorded = Recording(
        session_id=session.id,
        agent=str(session.payload.get("agent_class") or session.payload.get("agent_name")),
        started_at=unix_us_to_rfc3339(session.started_us),
        turns=turns,
        requests=tuple(requests(call, words, user.turn_at)),
        speeches=tuple(speeches(call, words)),
    )
    if words.missing:
        raise NotReplayableError(
            f"call {session.id} cannot be replayed, its trace does not have the words "
            f"(redacted, cut, or not captured) of: {_listed(words.missing)}"
        )
    return recorded


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
