"""One AgentSession as a tree of spans, from its public events.

The nodes and tools of a ``TracedAgent`` add to it (node_calls.py, tool_calls.py); what is here
works for any agent. Nothing here waits, and every handler is guarded: LiveKit calls them in the
middle of its own work."""

from __future__ import annotations

import asyncio
import inspect
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from livekit.agents import (
    Agent,
    AgentFalseInterruptionEvent,
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    SpeechCreatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
)

from .. import config
from ..latency import Latency, exceeded, summarize
from . import answers, describe, livekit_private
from .budgets import Budgets
from .call import PREFACTOR_STATUS, Call, describe_error, status_of
from .clock import from_wall, now_ns
from .context import current_turn
from .guard import failures, guarded, listener, logger, report
from .playback import Playback
from .span import Sink, Span, SpanType, Status
from .turns import (
    AssistantTurn,
    UserTurn,
    assistant_turn_result,
    user_turn_result,
    without_none,
)
from .utterances import Utterances
from .voice import UserVoice

JSON = dict[str, Any]
OnTerminate = Callable[[AgentSession[Any], str | None], Any]

HOOKS_KEPT = 200
STALE_NS = 2_000_000_000
"""A user turn without a word, this long after its sound ended, was no turn."""


class SessionTrace:
    """The trace of one session, from the moment that its first traced agent is entered."""

    @staticmethod
    def attach(session: AgentSession[Any], agent: Agent, sink: Sink) -> SessionTrace:
        """Begin to trace a session that ``agent`` is about to be the agent of."""
        return SessionTrace(session, agent, sink)

    def __init__(self, session: AgentSession[Any], agent: Agent, sink: Sink) -> None:
        self._session = weakref.ref(session)
        self.call = Call(sink)
        self.voice = UserVoice()
        self.messages = describe.Messages()
        self.closed = False
        self.on_closed: Callable[[], object] = lambda: None
        self._terminated: str | None = None
        self._terminating: asyncio.Future[Any] | None = None
        self.user_turn: UserTurn | None = None
        self._speaking_since: int | None = None
        """When the VAD was last sure that the user speaks."""
        self.playback = Playback(self._speaking, self._sounded)
        chosen = config.settings()
        self._budgets = Budgets(self, chosen.budgets, chosen.on_budget_exceeded)
        self.entered: list[int | None] | None = None
        """When the last ``on_enter`` began, and ended."""
        self.in_hook: UserTurn | None = None
        """The user's turn that ``on_user_turn_completed`` is at work on."""
        self._latencies: dict[str, Latency] = {}
        self.utterances = Utterances(self)
        self._committed: deque[UserTurn] = deque(maxlen=8)
        self._turns: dict[str, AssistantTurn] = {}
        self._turn_count = 0
        self._hooks: list[JSON] = []
        self._usage: Any = None
        self._told_errors: deque[BaseException] = deque(maxlen=8)
        self._failures_before = failures.total()
        self._counts = {
            "items_seen": 0,
            "user_messages": 0,
            "assistant_messages": 0,
            "function_calls": 0,
        }
        self.call.announce(
            without_none(
                {
                    **describe.session_payload(session, agent),
                    "agent_version": chosen.agent_version,
                    "started_at": round(time.time(), 6),
                }
            )
        )
        handlers: dict[Any, Callable[[Any], object]] = {
            "user_state_changed": self._on_user_state,
            "agent_state_changed": self._on_agent_state,
            "user_input_transcribed": self._on_transcribed,
            "conversation_item_added": self._on_item,
            "speech_created": self._on_speech,
            "session_usage_updated": self._on_usage,
            "agent_false_interruption": self._on_false_interruption,
            "error": self._on_error,
            "close": self._on_close,
        }
        self._handlers = {event: listener(handler) for event, handler in handlers.items()}
        for event, handler in self._handlers.items():
            session.on(event, handler)
        self.playback.follow(session.output.audio)

    @property
    def session(self) -> AgentSession[Any] | None:
        return self._session()

    def next_turn_index(self) -> int:
        self._turn_count += 1
        return self._turn_count

    # The user's turns

    def begin_user_turn(self, at: int) -> UserTurn:
        """The user's turn that is open, or a new one that began ``at``."""
        turn = self.user_turn
        resumed: int | None = None
        if turn is not None:
            ended = turn.moments.get("speech_ended", turn.moments.get("vad_ended"))
            if turn.heard_anything() or ended is None or at - ended < STALE_NS:
                return turn
            if "vad_ended" not in turn.moments:
                # The VAD was faster than the STT: what it hears is the turn that begins now.
                resumed = self._speaking_since
            self._end_user_turn(turn, Status.CANCELLED, at=ended)
        turn = self._new_user_turn("audio", at)
        turn.moments["speech_started"] = at
        if resumed is not None and resumed >= at:
            turn.moments["vad_started"] = resumed
        self.user_turn = turn
        if (playing := self.playback.playing) is not None and playing.user_spoke_over_ns is None:
            playing.user_spoke_over_ns = at
            playing.user_spoke_over = turn
        return turn

    def commit_user_turn(self, message: llm.ChatMessage) -> UserTurn:
        """LiveKit took the user's turn as finished, with this message."""
        now = now_ns()
        turn = self.user_turn or self.begin_user_turn(self.voice.recent_onset(now) or now)
        self.utterances.close(turn, at=now)
        self._note_speech_end(turn)
        turn.moments["committed"] = now
        self._take_message(turn, message)
        if isinstance(stopped := turn.metrics.get("stopped_speaking_at"), float):
            turn.moments["vad_estimate"] = min(now, from_wall(stopped))
        self._committed.append(turn)
        self._budgets.committed(turn)
        self._end_user_turn(turn, Status.COMPLETE, at=now)
        return turn

    def _note_speech_end(self, turn: UserTurn) -> None:
        quiet = "vad_ended" in turn.moments
        heard_until = self.voice.end_of_speech(now_ns()) if quiet else self.voice.heard_until_ns
        # A voice too faint to be told from the noise left an older sound as the last one.
        if heard_until is not None and heard_until > turn.moments["speech_started"]:
            turn.moments["speech_ended"] = heard_until

    def _take_message(self, turn: UserTurn, message: llm.ChatMessage) -> None:
        turn.message_id = message.id
        turn.transcript = message.text_content or turn.text()
        # LiveKit says 0.0 where the STT tells no confidence.
        turn.confidence = getattr(message, "transcript_confidence", None) or None
        turn.metrics = dict(message.metrics or {})

    def _end_user_turn(self, turn: UserTurn, status: Status, *, at: int | None = None) -> None:
        finished = round(time.time(), 6)
        self.call.end(
            turn.span,
            status,
            lambda: user_turn_result(self.call, turn, PREFACTOR_STATUS[status], finished),
            at=at,
        )
        if turn is self.user_turn:
            self.user_turn = None

    def _new_user_turn(self, modality: str, at: int) -> UserTurn:
        index = self.next_turn_index()
        payload = {
            "name": "user_turn",
            "type": SpanType.USER_TURN.value,
            "turn_index": index,
            "modality": modality,
            "metadata": {},
        }
        span = self.call.begin(SpanType.USER_TURN, "user_turn", None, payload, at=at)
        return UserTurn(span=span, index=index, modality=modality)

    def _text_turn(self, message: llm.ChatMessage, reply: AssistantTurn | None) -> UserTurn:
        """The user typed, or the program passed on words: a turn without a duration."""
        at = reply.span.started_ns if reply is not None else now_ns()
        turn = self._new_user_turn("text", at)
        turn.moments["committed"] = at
        self._take_message(turn, message)
        self._end_user_turn(turn, Status.COMPLETE, at=at)
        return turn

    @guarded("event.user_state_changed")
    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        now = now_ns()
        if event.new_state == "speaking":
            begun = self.voice.recent_onset(now) or min(now, from_wall(event.created_at))
            turn = self.begin_user_turn(begun)
            self._speaking_since = now
            turn.moments.setdefault("vad_started", now)
            turn.moments.pop("vad_ended", None)
        elif event.old_state == "speaking" and self.user_turn is not None:
            self.user_turn.moments["vad_ended"] = now
            self._note_speech_end(self.user_turn)

    @guarded("event.user_input_transcribed")
    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        now = now_ns()
        turn = self.begin_user_turn(self.voice.recent_onset(now) or now)
        if event.language:
            turn.language = str(event.language)
        if event.speaker_id:
            turn.speaker_id = event.speaker_id
        if not event.is_final:
            turn.interims += 1
        elif event.transcript:
            turn.finals.append(event.transcript)
            turn.moments["final_transcript"] = now

    # The assistant's turns

    @guarded("event.speech_created")
    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        session, speech = self.session, event.speech_handle
        if session is not None:
            self.playback.follow(session.output.audio)
        index = self.next_turn_index()
        span = self.call.begin(
            SpanType.ASSISTANT_TURN,
            "assistant_turn",
            None,
            {
                "name": "assistant_turn",
                "type": SpanType.ASSISTANT_TURN.value,
                "turn_index": index,
                "source": event.source,
                "user_initiated": event.user_initiated,
                "speech_id": speech.id,
                "allow_interruptions": speech.allow_interruptions,
                "created_at": event.created_at,
                "metadata": {},
            },
        )
        turn = AssistantTurn(span=span, index=index, speech_id=speech.id, speech=speech, trace=self)
        turn.moments["created"] = span.started_ns
        turn.begun_before_commit = (
            self.user_turn if self.user_turn and self.user_turn.finals else None
        )
        self._place(turn, current_turn.get())
        self._turns[speech.id] = turn
        current_turn.set(turn)
        speech.add_done_callback(self._on_speech_done)

    def _place(self, turn: AssistantTurn, cause: AssistantTurn | None) -> None:
        """Note what a speech that was just created came out of, while a user waits for it."""
        if self.in_hook is not None:
            turn.follows = self.in_hook
        elif (open_turn := self.user_turn) is not None and "vad_ended" in open_turn.moments:
            turn.follows = open_turn if not turn.span.payload["user_initiated"] else None
        if cause is not None and cause.trace is self:
            asked = answers.asked_by(cause)
            if asked is not None and asked.answered is None:
                turn.caused_by = cause
                entered = self.entered
                if entered is not None and (entered[0] or 0) > cause.span.started_ns:
                    turn.entered = entered

    @guarded("speech.done")
    def _on_speech_done(self, speech: Any) -> None:
        turn = self._turns.pop(speech.id, None)
        if turn is None:
            return
        error = speech.exception() if hasattr(speech, "exception") else None
        if error is not None and turn.error is None:
            turn.error = describe_error(error)
        # A speech can be interrupted when all of it was played already (a session that closes right
        # after it): what the caller missed is what the committed message says.
        interrupted: bool = turn.cut_short if turn.spoken else speech.interrupted
        if interrupted:
            source = livekit_private.interruption_source(speech)
            by_user = source != "programmatic" if source else turn.user_spoke_over_ns is not None
            turn.interrupted_by = "user" if by_user else "program"
        if turn.begun_before_commit is not None:
            used = turn.answers is not None
            turn.preemptive = "used" if used else "dropped"
        if turn.spoken and not turn.segments and not interrupted and not self.playback.seen:
            self._sounded(turn)  # there is no audio, or an output that does not tell
        silent = not turn.spoken and not turn.segments
        if silent and turn.error is not None:
            status = Status.FAILED
        elif silent and interrupted:
            status = Status.CANCELLED
        else:
            status = Status.COMPLETE
        for span in list(turn.open_nodes.values()):
            self.call.end(span, Status.CANCELLED, {"status": "cancelled"})
        finished = round(time.time(), 6)
        turn.speech = None
        self.call.end(
            turn.span,
            status,
            lambda: {
                **assistant_turn_result(
                    self.call, turn, PREFACTOR_STATUS[status], interrupted, finished
                ),
                **self._latency(turn),
            },
        )

    def _latency(self, turn: AssistantTurn) -> JSON:
        """Called off the event loop, after the turn's streams were absorbed."""
        latency = answers.latency_of(turn)
        if latency is not None:
            latency.over_budget = exceeded(latency, self._budgets.limits)
            self._latencies[turn.span.id] = latency
        return without_none(
            {
                "latency": latency.as_json() if latency is not None else None,
                **(answers.more_of(self.call, turn) or {}),
            }
        )

    def _sounded(self, turn: AssistantTurn) -> None:
        answers.sounded(turn)
        self._budgets.sounded(turn)

    def answering(self, asked: UserTurn) -> AssistantTurn | None:
        """The newest speech that is being made, or made ready, for a user's turn."""
        speeches = reversed(self._turns.values())
        return next((one for one in speeches if answers.asked_by(one) is asked), None)

    def _speaking(self) -> AssistantTurn | None:
        session = self.session
        speech = session.current_speech if session is not None else None
        return self._turns.get(speech.id) if speech is not None else None

    @guarded("event.agent_state_changed")
    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        turn = self.playback.playing
        if turn is None:
            return
        # While a segment plays, LiveKit leaves "speaking" when it pauses the audio for what may
        # be an interruption, and comes back to it when it resumes.
        if event.old_state == "speaking":
            turn.pauses.append((now_ns(), "paused"))
        elif event.new_state == "speaking" and turn.pauses:
            turn.pauses.append((now_ns(), "resumed"))

    @guarded("event.agent_false_interruption")
    def _on_false_interruption(self, event: AgentFalseInterruptionEvent) -> None:
        if (turn := self.playback.playing) is not None:
            state = "false_interruption_resumed" if event.resumed else "false_interruption"
            turn.pauses.append((now_ns(), state))

    @guarded("event.conversation_item_added")
    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        self._counts["items_seen"] += 1
        item = event.item
        if not isinstance(item, llm.ChatMessage):
            return
        turn = current_turn.get()
        if turn is not None and turn.trace is not self:
            turn = None
        if item.role == "user":
            self._counts["user_messages"] += 1
            if not any(item.content):
                return  # a session that closes commits what it has not heard
            answered = self._find_user_turn(item) or self._text_turn(item, turn)
            if turn is not None and turn.span.open:
                self._link(turn, answered)
        elif item.role == "assistant":
            self._counts["assistant_messages"] += 1
            if turn is not None:
                turn.spoken.append(item.text_content or "")
                turn.cut_short = turn.cut_short or item.interrupted
                turn.item_metrics |= dict(item.metrics or {})

    def _find_user_turn(self, message: llm.ChatMessage) -> UserTurn | None:
        """The spoken turn that this message is the text of."""
        text = message.text_content
        for turn in self._committed:
            # A preemptive generation keeps a message of its own, with another id and the same text.
            if turn.message_id == message.id or turn.transcript == text:
                self._committed.remove(turn)
                return turn
        if self.user_turn is not None and self.user_turn.finals:
            # The agent is not traced, or LiveKit skipped the hook: this is the commit.
            return self.commit_user_turn(message)
        return None

    def _link(self, turn: AssistantTurn, answered: UserTurn) -> None:
        turn.answers = answered
        for name in ("speech_ended", "vad_ended", "final_transcript", "committed", "hook_done"):
            if (moment := answered.moments.get(name)) is not None:
                turn.moments[f"user_{name}"] = moment

    def count_tool(self) -> None:
        self._counts["function_calls"] += 1

    # Hooks, errors, the end

    def note_hook(
        self, agent: Agent, name: str, begun_ns: int, error: BaseException | None
    ) -> None:
        if len(self._hooks) < HOOKS_KEPT:
            self._hooks.append(
                {
                    "name": name,
                    "agent": agent.id,
                    "started_us": self.call.offset_us(begun_ns),
                    "duration_ms": round((now_ns() - begun_ns) / 1e6, 3),
                    "status": status_of(error).value,
                }
            )

    def error(
        self, source: str, error: BaseException, parent: Span | None, recoverable: bool | None
    ) -> None:
        """Record an error where it happened; the same exception is told once."""
        if any(error is told for told in self._told_errors):
            return
        self._told_errors.append(error)
        described = describe_error(error)
        span = self.call.begin(
            SpanType.ERROR,
            "livekit_error",
            parent,
            without_none(
                {
                    "name": "livekit_error",
                    "type": SpanType.ERROR.value,
                    "source": source,
                    "error_type": described["error_type"],
                    "message": described["message"],
                    "recoverable": recoverable,
                    "created_at": round(time.time(), 6),
                    "metadata": {},
                }
            ),
        )
        self.call.end(
            span, Status.FAILED, {"status": "failed", "error": described}, at=span.started_ns
        )
        turn = current_turn.get()
        if turn is not None and turn.trace is self and not recoverable:
            turn.error = described

    @guarded("event.error")
    def _on_error(self, event: ErrorEvent) -> None:
        wrapped = event.error
        # LiveKit wraps the exception in an event of its own (LLMError, STTError, TTSError …).
        cause = getattr(wrapped, "error", wrapped)
        error = cause if isinstance(cause, BaseException) else RuntimeError(str(cause))
        kind = str(getattr(wrapped, "type", "")).removesuffix("_error")
        turn = current_turn.get()
        parent: Span | None = None
        if kind == "stt":
            parent = self.utterances.open_span()
        elif turn is not None and turn.trace is self:
            parent = turn.open_nodes.get(f"livekit:{kind}", turn.span)
        self.error(
            type(event.source).__name__ if event.source is not None else kind or "unknown",
            error,
            parent,
            getattr(wrapped, "recoverable", None),
        )

    @guarded("event.session_usage_updated")
    def _on_usage(self, event: Any) -> None:
        self._usage = event.usage

    @guarded("event.close")
    def _on_close(self, event: CloseEvent) -> None:
        error = getattr(event.error, "error", event.error)
        self.close(
            reason=str(getattr(event.reason, "value", event.reason)),
            error=error if isinstance(error, BaseException) else None,
        )

    @guarded("terminate")
    def terminate(self, reason: str | None, callback: OnTerminate | None) -> None:
        """End the call because Prefactor says so: by the user's callback, else by closing it."""
        session = self.session
        if self.closed or self._terminated is not None or session is None:
            return
        self._terminated = reason or "terminated by Prefactor"
        logger.warning("Prefactor ends this call: %s", self._terminated)
        if callback is None:
            session.shutdown(drain=False)
            return
        try:
            answer = callback(session, reason)
        except Exception as error:
            report("on_terminate", error)
            session.shutdown(drain=False)
            return
        if inspect.isawaitable(answer):
            self._terminating = asyncio.ensure_future(answer)
            self._terminating.add_done_callback(self._on_terminated)

    def _on_terminated(self, task: asyncio.Future[Any]) -> None:
        """The user's callback is done: where it failed, the call is closed as without one."""
        error = None if task.cancelled() else task.exception()
        session = self.session
        if isinstance(error, Exception):
            report("on_terminate", error)
            if session is not None and not self.closed:
                session.shutdown(drain=False)

    def close(self, *, reason: str, error: BaseException | None = None) -> None:
        """End what is open, and the session itself; let go of everything of LiveKit's."""
        if self.closed:
            return
        self.closed = True
        try:
            self._let_go()
            self._end_open()
        finally:
            self._end_session(reason, error)
            self.on_closed()

    def _let_go(self) -> None:
        if (session := self.session) is not None:
            for name, handler in self._handlers.items():
                session.off(name, handler)
        self._handlers.clear()
        self.playback.follow(None)
        self._budgets.stop()
        self.voice.levels = None

    def _end_open(self) -> None:
        if self.user_turn is not None:
            self.utterances.close(self.user_turn)
            self._end_user_turn(self.user_turn, Status.CANCELLED)
        for speech_turn in list(self._turns.values()):
            self._on_speech_done(speech_turn.speech)
        for span in self.call.open_spans():
            self.call.end(span, Status.CANCELLED, {"status": "cancelled"})

    def _end_session(self, reason: str, error: BaseException | None) -> None:
        if error is not None or reason == "error":
            status = Status.FAILED
        else:
            status = Status.COMPLETE if self._terminated is None else Status.CANCELLED
        usage, counts, hooks = self._usage, dict(self._counts), list(self._hooks)
        trouble = failures.total() - self._failures_before
        finished = round(time.time(), 6)

        def result() -> JSON:
            return without_none(
                {
                    "status": PREFACTOR_STATUS[status],
                    "close_reason": reason,
                    "termination_reason": self._terminated,
                    "usage": _usage(usage),
                    "conversation": counts,
                    "error": describe_error(error) if error is not None else None,
                    "hooks": hooks or None,
                    "latency": summarize(list(self._latencies.values())),
                    "tracer_failures": trouble or None,
                    "finished_at": finished,
                }
            )

        self.call.end(self.call.root, status, result)


def _usage(usage: Any) -> JSON | None:
    models = getattr(usage, "model_usage", None)
    if not models:
        return None
    return {"model_usage": [model.model_dump(exclude_none=True) for model in models]}
