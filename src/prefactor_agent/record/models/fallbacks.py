"""A ``FallbackAdapter`` that goes on to its next model.

The session gets no error of it: the adapter raises one of its own only where all of its models
fail. It does emit an event when a model has become unavailable (``llm_availability_changed``,
``stt_…``, ``tts_…``: llm/fallback_adapter.py and its neighbours, in all versions), in the
``except`` block of the error and in a task of the node that the request belongs to."""

from __future__ import annotations

import sys
import weakref
from typing import Any

from livekit.agents import llm, stt, tts

from ...core.guard import guarded, listener
from ..livekit.models import describe_model
from ..turns.context import current_turn, span_at_work
from ..turns.state import Scope

_KINDS = ("llm", "stt", "tts")
_ADAPTERS = (llm.FallbackAdapter, stt.FallbackAdapter, tts.FallbackAdapter)


class Fallbacks:
    """The adapters that one session's nodes use."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._followed: weakref.WeakSet[Any] = weakref.WeakSet()
        self._listener = listener(self._on_change)

    @guarded("fallback.follow")
    def follow(self, owner: Any) -> None:
        """Listen to a model that a node is about to use, if it is an adapter."""
        if not isinstance(owner, _ADAPTERS) or owner in self._followed:
            return
        self._followed.add(owner)
        adapter: Any = owner
        for kind in _KINDS:
            adapter.on(f"{kind}_availability_changed", self._listener)

    def stop(self) -> None:
        """Listen to none any more."""
        for owner in list(self._followed):
            for kind in _KINDS:
                owner.off(f"{kind}_availability_changed", self._listener)
        self._followed.clear()

    @guarded("event.availability_changed")
    def _on_change(self, event: Any) -> None:
        kind = next((kind for kind in _KINDS if hasattr(event, kind)), None)
        if event.available or kind is None:
            return  # it has recovered, in the background
        turn = current_turn.get()
        if turn is not None and not self._scope.owns(turn.span):
            return  # another session uses the same adapter
        model = getattr(event, kind)
        error = sys.exc_info()[1] or RuntimeError(f"{model.label} is unavailable")
        where = span_at_work(self._scope, kind)
        self._scope.signals.error.emit(
            type(model).__name__, error, where, True, describe_model(model)
        )
