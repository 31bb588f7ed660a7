"""What the parts of a recorder tell each other upwards: a few typed, synchronous callbacks.

A part calls what lies below it directly. What lies above it, or beside it, listens to a signal:
there is no queue and no answer, and a listener that fails is counted and costs nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVarTuple

from livekit.agents import llm

from ...core.guard import report
from ...core.json import JSON
from ...core.span import Span, Status
from .turn import AssistantTurn, UserTurn

if TYPE_CHECKING:
    from livekit.agents.voice.io import AudioOutput

Ts = TypeVarTuple("Ts")


class Signal(Generic[*Ts]):
    """One thing that can happen in a session. Listeners are called in the order in which they
    connected."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._listeners: list[Callable[[*Ts], object]] = []

    def connect(self, listener: Callable[[*Ts], object]) -> None:
        """Call ``listener`` each time that it happens."""
        self._listeners.append(listener)

    def disconnect_all(self) -> None:
        """Forget every listener: the session is over."""
        self._listeners.clear()

    def emit(self, *args: *Ts) -> None:
        """It happened."""
        for listener in self._listeners:
            try:
                listener(*args)
            except Exception as error:
                report(f"signal.{self._name}", error, getattr(listener, "__self__", None))


class Signals:
    """The signals of one session."""

    def __init__(self) -> None:
        self.turn_beginning: Signal[()] = Signal("turn_beginning")
        """A turn's span is about to be made: what LiveKit noted in its history is read before."""
        self.speech_beginning: Signal[()] = Signal("speech_beginning")
        """LiveKit created a speech; its span is about to be made."""
        self.speech_created: Signal[AssistantTurn, Any] = Signal("speech_created")
        """The span of a speech was made; with LiveKit's ``SpeechCreatedEvent``."""
        self.speech_over: Signal[AssistantTurn] = Signal("speech_over")
        """A speech is over; its span is about to end."""
        self.turn_committed: Signal[UserTurn] = Signal("turn_committed")
        """LiveKit, or a realtime model, took the user's turn as finished."""
        self.sound_began: Signal[AssistantTurn] = Signal("sound_began")
        """A stretch of a speech's sound (without audio, its text) begins to come out."""
        self.tool_began: Signal[Span, llm.FunctionCall | None, bool] = Signal("tool_began")
        """The model's call of a tool has a span: the span, the call, and whether its tool is
        traced."""
        self.tool_over: Signal[Span, llm.FunctionCall, Status, JSON, int] = Signal("tool_over")
        """The body of a traced tool that the model called is over, and its span has yet to end: the
        span, the call, its status and result as far as the body says, and the moment."""
        self.tool_ending: Signal[Span] = Signal("tool_ending")
        """A traced tool's body is over; its span is about to end."""
        self.error: Signal[str, BaseException, Span | None, bool | None, JSON | None] = Signal(
            "error"
        )
        """Something failed: the source, the exception, the span in which it happened, whether
        LiveKit recovers from it, and the model (:func:`..livekit.models.describe_model`)."""
        self.provider_item: Signal[AssistantTurn, Any, int, bool] = Signal("provider_item")
        """A realtime model began an item of its answer, or was done with it: the turn, the item,
        the moment, and whether it is done."""

        self.output_followed: Signal[AudioOutput | None] = Signal("output_followed")
        """Another audio output of the session is listened to from now on."""
        self.playback: Signal[str, int, float | None] = Signal("playback")
        """The audio of a speech ``started`` to play, ``waited`` for more of it, was ``paused``,
        ``resumed`` or ``finished``: what, the moment, and where it waited or finished how much of
        it was played, in seconds."""
        self.measured: Signal[Any] = Signal("measured")
        """LiveKit measured something that belongs to no model of the session's (its avatar)."""

    def disconnect_all(self) -> None:
        """Forget every listener of every signal."""
        for signal in vars(self).values():
            signal.disconnect_all()
