"""Answering machine detection (``livekit.agents.voice.amd``): its verdict on who took a call.

The program makes the detector after the session has started, and LiveKit tells nobody: so the
session is asked for it whenever something happens that comes before a verdict. A job's tags have
the verdict too (judgement.py), without its moment."""

from __future__ import annotations

from typing import Any

from ...core.clock import now_ns
from ...core.guard import guarded, listener
from ...core.json import JSON, without_none
from ..turns.state import Scope

KEPT = 20
"""Verdicts of a session: there is usually one."""
_EVENT = "amd_prediction"
_MACHINE = "machine"
"""What the categories of machines begin with (voice/amd/classifier.py)."""


class AnsweringMachine:
    """Keeps the verdicts of one session's detectors."""

    def __init__(self, scope: Scope) -> None:
        self._spans, self._state = scope.spans, scope.state
        self._detector: Any = None
        self._listener = listener(self._on_verdict)
        self._verdicts: list[JSON] = []

    @guarded("answering_machine.check")
    def check(self, *_: Any) -> None:
        """See whether the session has a detector by now."""
        detector = getattr(self._state.session, "amd", None)
        if detector is self._detector:
            return
        self.let_go()
        if (on := getattr(detector, "on", None)) is not None:
            self._detector = detector
            on(_EVENT, self._listener)

    @guarded("answering_machine.let_go")
    def let_go(self) -> None:
        """Listen to no detector any more."""
        detector, self._detector = self._detector, None
        if detector is not None:
            detector.off(_EVENT, self._listener)

    def result(self) -> JSON:
        """What the session's span says of it."""
        return {"answering_machine": self._verdicts[:] or None}

    @guarded("event.amd_prediction")
    def _on_verdict(self, verdict: Any) -> None:
        self._state.screened_ns = now = now_ns()
        for speech in self._state.speeches.values():
            if not speech.came_out:  # LiveKit plays none before the verdict
                speech.screened_ns = now
        category = getattr(verdict.category, "value", verdict.category)
        if str(category).startswith(_MACHINE):
            self._state.machine_until_ns = now
        if len(self._verdicts) < KEPT:
            self._verdicts.append(
                without_none(
                    {
                        "at_us": self._spans.offset_us(now),
                        "category": str(category),
                        "reason": verdict.reason or None,
                        "speech_ms": round(verdict.speech_duration * 1000, 3),
                        "delay_ms": round(verdict.delay * 1000, 3),
                        "transcript": verdict.transcript or None,
                    }
                )
            )
