"""The spans of the user's turns: how each is begun and ended."""

from __future__ import annotations

import time
from collections.abc import Mapping

from livekit.agents import llm

from ...core.clock import now_ns, to_unix_us
from ...core.span import SpanType, Status
from ..audio.user_voice import UserVoice
from ..spans.outcome import PREFACTOR_STATUS
from ..spans.stream import AudioLevels
from .recent import RecentTurns
from .results import user_turn_result
from .state import Scope
from .turn import AssistantTurn, UserTurn


class UserTurnSpans:
    """Makes the user's turns of one session, each with its span, and ends the spans."""

    def __init__(self, scope: Scope, voice: UserVoice, recent: RecentTurns) -> None:
        self._spans, self._state, self._signals = scope
        self._voice = voice
        self._recent = recent

    def begin(self, modality: str, at: int) -> UserTurn:
        """A new turn.

        Args:
            modality: ``audio``, or ``text`` for words that the user typed or the program passed on.
            at: When it began, which can be in the past.
        """
        index = self._state.next_turn_index("user")
        payload = {
            "name": "user_turn",
            "type": SpanType.USER_TURN.value,
            "turn_index": index,
            "modality": modality,
            "created_at": round(time.time(), 6),
            "started_at": to_unix_us(at) / 1e6,
            "metadata": {},
        }
        self._signals.turn_beginning.emit()
        owning_tool = self._state.open_owning_tool()
        if owning_tool is not None:
            at = max(at, owning_tool.started_ns)
        streams: Mapping[str, AudioLevels] = {}
        if modality == "audio" and self._state.realtime_listens:
            # No STT has a span that the sound could be in.
            voice, audio = self._voice, AudioLevels(at)
            voice.refill(audio)
            voice.levels = audio
            streams = {"audio": audio}
        span = self._spans.begin(
            SpanType.USER_TURN, "user_turn", owning_tool, payload, streams=streams, at=at
        )
        turn = UserTurn(
            span=span,
            index=index,
            modality=modality,
            inside=owning_tool.id if owning_tool is not None else None,
        )
        self._recent.add_question(turn)
        return turn

    def typed(self, message: llm.ChatMessage, reply: AssistantTurn | None) -> UserTurn:
        """The user typed, or the program passed on words: a turn without a duration."""
        at = reply.span.started_ns if reply is not None else now_ns()
        turn = self.begin("text", at)
        turn.moments["committed"] = at
        turn.answer_due = reply is not None
        turn.take_message(message)
        self.end(turn, Status.COMPLETE, at=at)
        return turn

    def end(self, turn: UserTurn, status: Status, *, at: int | None = None) -> None:
        """End the span of a turn, now or ``at`` a moment in the past."""
        self._voice.catch_up()
        finished = to_unix_us(at) / 1e6 if at is not None else round(time.time(), 6)
        if self._voice.levels is turn.span.streams.get("audio"):
            self._voice.levels = None
        self._spans.end(
            turn.span,
            status,
            lambda: user_turn_result(self._spans, turn, PREFACTOR_STATUS[status], finished),
            at=at,
        )

    def decline(self, turn: UserTurn) -> None:
        """The program wants no answer to a turn, whose span may have ended: its result says so."""
        turn.declined = True
        if self._state.closed:
            return
        finished = to_unix_us(turn.moments["committed"]) / 1e6
        status = PREFACTOR_STATUS[turn.span.status] if not turn.span.open else ""
        self._spans.amend(turn.span, lambda: user_turn_result(self._spans, turn, status, finished))
