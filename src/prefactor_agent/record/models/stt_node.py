"""What is recorded of a call of the STT node."""

from __future__ import annotations

from typing import Any

from livekit.agents import Agent, stt
from livekit.rtc import AudioFrame

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.span import Status
from ..audio.clock import Hear
from ..livekit.models import model_of
from ..spans.outcome import status_of
from ..spans.stream import Stream
from ..turns.state import Scope
from ..turns.utterances import Utterances
from .fallbacks import Fallbacks
from .node_call import NodeArguments, live_session


class InputAudio:
    """Looks at the user's audio on its way into the STT node."""

    stream: Stream | None = None

    def __init__(self, hear: Hear, session_id: str) -> None:
        self._hear = hear
        self.session_id = session_id

    def look(self, item: Any) -> None:
        """One frame passed."""
        if isinstance(item, AudioFrame):
            self._hear(item, now_ns())

    def end(self, error: BaseException | None) -> None:
        """The node reads no more."""


class STTNodeCall(NodeArguments):
    """The STT node is one stream for the whole session: it has no span, its utterances have."""

    stream: Stream | None = None

    def __init__(
        self,
        scope: Scope,
        fallbacks: Fallbacks,
        agent: Agent,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        hear: Hear,
        utterances: Utterances,
    ) -> None:
        super().__init__(args, kwargs)
        self._state, self._signals = scope.state, scope.signals
        self._utterances = utterances
        self._refused = False
        self.watch_input("audio", InputAudio(hear, scope.session_id))
        owner = model_of(agent, live_session(scope.state), "stt")
        fallbacks.follow(owner)
        utterances.use_model(owner)

    @guarded("node.stt.event")
    def look(self, item: Any) -> None:
        """The node yielded something: an event, or what LiveKit takes for none and breaks off
        (voice/audio_recognition.py, ``_stt_pump``; ``_stt_task`` in 1.5)."""
        if isinstance(item, stt.SpeechEvent):
            self._utterances.hear(item)
        elif not self._refused:
            self._refused = True
            self._error(AssertionError(f"STT node must yield SpeechEvent, got: {type(item)}"))

    def _error(self, error: BaseException) -> None:
        turn = self._state.user_turn
        where = self._state.open_utterance() or (turn.span if turn is not None else None)
        self._signals.error.emit("stt_node", error, where, None, None)

    def value(self, result: Any) -> None:
        """The node answered with nothing: the session has no STT."""

    @guarded("node.end")
    def end(self, error: BaseException | None) -> None:
        """The node call is over: the session, or its agent's part of it."""
        if error is not None and status_of(error) is Status.FAILED:
            self._error(error)
