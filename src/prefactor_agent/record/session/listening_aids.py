"""What LiveKit does beside the conversation to understand the other side: keyterms that the STT is
told of, and the detection of telephone menus (IVR).

There is no event for either: the session is asked whenever the user's turn begins or is taken, so
that a change is noted with the turn that it is first in force for."""

from __future__ import annotations

from typing import Any

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..livekit import private as livekit_private
from ..turns.state import Scope

KEPT = 100


class ListeningAids:
    """Keeps how many keyterms there were, and when the detection of menus began."""

    def __init__(self, scope: Scope) -> None:
        self._spans, self._state = scope.spans, scope.state
        self._terms: frozenset[str] = frozenset()
        self._keyterms: list[JSON] = []
        self._ivr_us: int | None = None

    @guarded("listening_aids.check")
    def check(self, *_: Any) -> None:
        """See what is in force now."""
        session = self._state.session
        terms = getattr(session, "keyterms", None)
        if isinstance(terms, list) and (now := frozenset(terms)) != self._terms:
            self._note(now)
        if self._ivr_us is None and livekit_private.detects_menus(session):
            self._ivr_us = self._spans.offset_us(now_ns())

    def _note(self, now: frozenset[str]) -> None:
        before, self._terms = self._terms, now
        if len(self._keyterms) < KEPT:
            self._keyterms.append(
                {
                    "at_us": self._spans.offset_us(now_ns()),
                    "count": len(now),
                    "added": len(now - before),
                    "removed": len(before - now),
                }
            )

    def result(self) -> JSON:
        """What the session's span says of them: of keyterms, which are the caller's own words, only
        how many there were."""
        ivr = without_none({"began_us": self._ivr_us})
        return {"keyterms": self._keyterms[:] or None, "ivr_detection": ivr or None}
