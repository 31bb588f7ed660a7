"""A realtime model: it hears, thinks and speaks by itself, so there is no STT and no LLM node.

What it says passes ``realtime_audio_output_node`` and ``transcription_node``; the rest is in
the public events of its session (llm/realtime.py, ``RealtimeSession``). The user's audio passes no
node at all (voice/agent_activity.py, ``push_audio``): it is heard where LiveKit hands it to the
model, or not at all where an STT hears it anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    FunctionToolsExecutedEvent,
    SpeechCreatedEvent,
    llm,
)

from ...core.clock import now_ns
from ...core.guard import guarded, listener
from ...core.json import JSON
from ..audio.clock import Hear
from ..livekit.models import model_of
from ..turns.context import current_turn
from ..turns.state import Scope
from ..turns.turn import MEASURED_KEPT, AssistantTurn
from .metrics import ModelMetrics

_REPLIES_KEPT = 32
_ITEM_EVENTS = ("response.output_item.added", "response.output_item.done")


class RealtimeCall(Protocol):
    """One call of the node that a realtime model's voice passes."""

    turn: AssistantTurn | None
    usage: JSON | None

    def set_usage(self, usage: JSON | None) -> None:
        """Take what the model used for it; ``None``: it will report nothing more."""


class Realtime:
    """The realtime model of one session: sets ``state.realtime_…``.

    Args:
        hear: Is given the user's audio.
    """

    def __init__(self, scope: Scope, hear: Hear, metrics: ModelMetrics) -> None:
        self._scope = scope
        _, self._state, self._signals = scope
        self._hear_user = hear
        self._metrics = metrics
        self._model: llm.RealtimeSession[Any] | None = None
        self._own: AssistantTurn | None = None
        """The last speech that the model began by itself."""
        self._awaits_reply: AssistantTurn | None = None
        """The speech to the result of whose tool the model replies by itself."""
        self._latest: AssistantTurn | None = None
        self._turns: dict[str, AssistantTurn] = {}
        """The speeches of the last replies, by the model's id of the reply."""
        self._calls: list[RealtimeCall] = []
        self._unclaimed: list[tuple[AssistantTurn, JSON, Any]] = []
        """Replies that were reported before their audio began to pass."""
        self._taps: dict[str, Callable[..., Any]] = {}
        """The methods of the model that are listened to, by their names."""
        self._handlers: dict[Any, Callable[[Any], None]] = {
            "generation_created": listener(self._on_generation),
            "metrics_collected": listener(self._on_metrics),
            "openai_server_event_received": listener(self._on_server_event),
        }

    # Whom to listen to

    def follow_current(self) -> None:
        """Listen to the realtime session of the agent that has the call, if it has one."""
        session = self._state.session
        if session is None:
            return
        try:
            agent = session.current_agent
        except RuntimeError:
            return
        self.follow(session, agent)

    @guarded("realtime.follow")
    def follow(self, session: AgentSession[Any], agent: Agent) -> None:
        """Listen to the realtime session of this agent from now on, and to no other."""
        try:
            model: llm.RealtimeSession[Any] | None = agent.realtime_llm_session
        except RuntimeError:
            # It has none; or none yet, while the agent before it speaks its last words.
            if isinstance(model_of(agent, session, "llm"), llm.RealtimeModel):
                return
            model = None
        if model is self._model:
            return
        self.let_go()
        self._model = model
        if model is None:
            return
        self._state.realtime_used = True
        self._state.realtime_transcribes = model.realtime_model.capabilities.user_transcription
        for event, handler in self._handlers.items():
            model.on(event, handler)
        self._tap(model, "commit_audio", self._note_commit)
        # With an STT its node is called, and hears the same (AgentActivity._start_session).
        if model_of(agent, session, "stt") is None:
            self._listen(model)

    @guarded("realtime.let_go")
    def let_go(self) -> None:
        """Listen to nobody."""
        model, self._model = self._model, None
        self._awaits_reply = None
        if model is None:
            return
        for event, handler in self._handlers.items():
            model.off(event, handler)
        state = self._state
        state.realtime_used = state.realtime_transcribes = state.realtime_listens = False
        for name, tap in self._taps.items():
            if model.__dict__.get(name) is tap:
                del model.__dict__[name]
        self._taps.clear()

    def _listen(self, model: llm.RealtimeSession[Any]) -> None:
        self._tap(model, "push_audio", self._hear)
        self._state.realtime_listens = True

    def _tap(self, model: llm.RealtimeSession[Any], name: str, note: Callable[..., None]) -> None:
        """Have ``note`` called before each call of a method of the model's, with the same."""
        method = getattr(model, name)

        def tap(*args: Any, **options: Any) -> Any:
            note(*args, **options)
            return method(*args, **options)

        self._taps[name] = model.__dict__[name] = tap

    @guarded("realtime.commit")
    def _note_commit(self) -> None:
        self._state.audio_committed = True
        asyncio.get_running_loop().call_soon(self._forget_commit)

    def _forget_commit(self) -> None:
        self._state.audio_committed = False

    @guarded("realtime.audio")
    def _hear(self, frame: rtc.AudioFrame) -> None:
        self._hear_user(frame, now_ns())

    # Turns

    def on_speech_created(self, turn: AssistantTurn, event: SpeechCreatedEvent) -> None:
        """LiveKit created a speech: is it one that the model began by itself?"""
        if self._model is None or event.source != "generate_reply":
            return
        if not event.user_initiated:
            self._own = turn
            turn.replies_for, self._awaits_reply = self._awaits_reply, None

    @guarded("realtime.tools_executed")
    def on_executed(self, event: FunctionToolsExecutedEvent) -> None:
        """The model gets the results of tools. Some models speak after that without being asked."""
        self.follow_current()
        if self._model is None:
            return
        if self._model.realtime_model.capabilities.auto_tool_reply_generation:
            self._awaits_reply = current_turn.of(self._scope)

    # What was used

    @guarded("realtime.generation_created")
    def _on_generation(self, event: llm.GenerationCreatedEvent) -> None:
        # LiveKit's own handler makes the speech, and may come after this one.
        asyncio.get_running_loop().call_soon(
            self._note_reply, event.response_id, event.user_initiated, now_ns()
        )

    @guarded("realtime.reply")
    def _note_reply(self, reply_id: str | None, asked_for: bool, at: int) -> None:
        turn = self._state.speaking() if asked_for else self._own
        if turn is None:
            return
        self._latest = turn
        if len(turn.generations) < MEASURED_KEPT:
            turn.generations.append(at)
        if reply_id:
            self._turns[reply_id] = turn
            while len(self._turns) > _REPLIES_KEPT:
                del self._turns[next(iter(self._turns))]

    @guarded("realtime.metrics_collected")
    def _on_metrics(self, event: Any) -> None:
        # A short reply can be over before the loop has come to note whose it is.
        asyncio.get_running_loop().call_soon(self._note_usage, event)

    @guarded("realtime.usage")
    def _note_usage(self, event: Any) -> None:
        usage = _usage(event)
        turn = self._turns.pop(event.request_id, self._latest)
        if usage is None or turn is None or not turn.span.open:
            return
        if event.ttft < 0:  # not a sound came of it: it called a tool
            self._metrics.llm_span(turn, event)
            return
        call = next((one for one in self._calls if one.turn is turn and one.usage is None), None)
        if call is not None:
            call.set_usage(usage)
        else:
            self._unclaimed.append((turn, usage, event))

    @guarded("realtime.server_event")
    def _on_server_event(self, event: Any) -> None:
        # All that an API like OpenAI's sends, each piece of the voice too.
        kind = event.get("type") if isinstance(event, dict) else None
        if kind in _ITEM_EVENTS:
            # After whose reply it is a part of was noted.
            asyncio.get_running_loop().call_soon(self._note_item, event, now_ns())

    @guarded("realtime.item")
    def _note_item(self, event: JSON, at: int) -> None:
        turn = self._turns.get(event.get("response_id") or "", self._latest)
        if turn is not None and not self._state.closed:
            done = event["type"] == _ITEM_EVENTS[1]
            self._signals.provider_item.emit(turn, event.get("item"), at, done)

    def speaks(self, call: RealtimeCall) -> None:
        """A reply's audio begins to pass. All of it can have been made already, while the speech
        before it was played."""
        self._calls.append(call)
        known = next((one for one in self._unclaimed if one[0] is call.turn), None)
        if known is not None:
            self._unclaimed.remove(known)
            call.set_usage(known[1])

    def settle(self, turn: AssistantTurn) -> None:
        """A speech is over: nothing more is reported of it."""
        for call in [one for one in self._calls if one.turn is turn]:
            self._calls.remove(call)
            call.set_usage(None)
        for entry in [one for one in self._unclaimed if one[0] is turn]:
            self._unclaimed.remove(entry)
            self._metrics.llm_span(turn, entry[2])  # text, or a voice that is not traced


def _usage(event: Any) -> JSON | None:
    """The tokens of one reply. A connection that was made is reported in the same form, without an
    id and with zeros (llm/realtime.py, ``_report_connection_acquired``)."""
    if not getattr(event, "request_id", None) or not hasattr(event, "input_token_details"):
        return None
    if not event.total_tokens and not event.input_tokens and not event.output_tokens:
        return None  # zeros stand for what the provider did not count (a cancelled reply)
    usage: JSON = event.model_dump(
        include={
            "request_id",
            "input_tokens",
            "output_tokens",
            "total_tokens",
            "input_token_details",
            "output_token_details",
        },
        exclude_none=True,
    )
    if event.ttft >= 0:
        usage["ttft"] = event.ttft
    if event.duration > 0:
        usage["duration"] = event.duration
    if event.cancelled:
        usage["cancelled"] = True
    return usage
