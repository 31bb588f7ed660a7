"""Follows what decides that the user's turn is over, and keeps it on the turn.

A turn detector is asked for a probability (``predict_end_of_turn``) and then for its threshold in
the language that is spoken (``unlikely_threshold``); one that listens to the audio has the first
ready (livekit.agents, voice/turn.py and voice/audio_recognition.py, ``_bounce_eou_task``). There is
no event for it, so both methods are watched on the detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.clock import now_ns
from ...core.guard import guarded
from ..intercept.watched_methods import Over, WatchedMethod
from ..livekit import private as livekit_private
from ..livekit.private import TurnDetection
from ..turns.end_of_turn import Prediction
from ..turns.state import Scope
from ..turns.turn import UserTurn

_PREDICTING = WatchedMethod("predict_end_of_turn")
_COMPARING = WatchedMethod("unlikely_threshold")


class EndOfTurns:
    """Notes for one session why each of the user's turns was over. Used on the event loop."""

    def __init__(self, scope: Scope) -> None:
        self._state = scope.state
        self._detector: Any = None
        """The detector that is watched."""
        self._predicted: tuple[float, int] | None = None
        """Its last probability, and how long it took, in nanoseconds."""

    @guarded("end_of_turn.user_state")
    def on_user_state(self, event: Any) -> None:
        """The user begins or stops to speak."""
        self._follow()
        turn = self._state.user_turn
        if event.new_state == "speaking" and turn is not None:
            turn.end_of_turn.cut_short()

    @guarded("end_of_turn.transcribed")
    def on_transcribed(self, _event: Any) -> None:
        """Words of the user's came."""
        self._follow()

    @guarded("end_of_turn.committed")
    def committed(self, turn: UserTurn) -> None:
        """LiveKit, or a realtime model, took the turn as finished."""
        found = self._now()
        if found is not None:
            end = turn.end_of_turn
            end.detector = found.mode or name_of(found.detector)
            end.min_delay_s, end.max_delay_s = found.min_delay, found.max_delay

    @guarded("end_of_turn.let_go")
    def let_go(self) -> None:
        """Watch no detector any more."""
        watched, self._detector = self._detector, None
        if watched is not None:
            for method, listener in self._methods(watched):
                method.remove(watched, listener)

    def _now(self) -> TurnDetection | None:
        return livekit_private.turn_detection(self._state.session)

    def _follow(self) -> None:
        """Watch the detector that is asked now."""
        found = self._now()
        if found is None or found.detector is self._detector:
            return
        self.let_go()
        if found.detector is not None:
            for method, listener in self._methods(found.detector):
                method.add(found.detector, listener)
            self._detector = found.detector

    def _methods(self, detector: Any) -> list[tuple[WatchedMethod, Any]]:
        watched = [(_PREDICTING, self._on_predict), (_COMPARING, self._on_compare)]
        return [one for one in watched if hasattr(detector, one[0].name)]

    @guarded("end_of_turn.predict")
    def _on_predict(self, _arguments: Mapping[str, Any]) -> Over | None:
        found = self._now()
        if found is None or not found.deciding:
            return None  # asked by another session, or by the program
        begun = now_ns()

        @guarded("end_of_turn.predicted")
        def predicted(answer: Any, error: BaseException | None) -> None:
            known = error is None and isinstance(answer, int | float)
            self._predicted = (float(answer), now_ns() - begun) if known else None

        return predicted

    @guarded("end_of_turn.compare")
    def _on_compare(self, _arguments: Mapping[str, Any]) -> Over | None:
        found = self._now()
        if found is None or not found.deciding:
            return None

        @guarded("end_of_turn.compared")
        def compared(threshold: Any, error: BaseException | None) -> None:
            if error is None:
                self._note(threshold if isinstance(threshold, int | float) else None)

        return compared

    def _note(self, threshold: float | None) -> None:
        turn, found = self._state.user_turn, self._now()
        if turn is None or found is None:
            return
        taken, self._predicted = self._predicted, None
        probability, took = taken if taken is not None else (found.prediction, None)
        if probability is None:
            return
        unsure = threshold is not None and probability < threshold
        delay = found.max_delay if unsure else found.min_delay
        turn.end_of_turn.add(Prediction(now_ns(), probability, threshold, delay, took))


def name_of(detector: Any) -> str:
    """What a turn detector is called: its model, else its class."""
    model = getattr(detector, "model", None)
    return model if isinstance(model, str) and model != "unknown" else type(detector).__name__
