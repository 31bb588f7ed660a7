"""One AgentSession as a tree of spans, from its public events.

The nodes and tools of a ``TracedAgent`` add to it (node_calls.py, tool_calls.py); what is here
works for any agent. Nothing here waits, and every handler is guarded: LiveKit calls them in the
middle of its own work."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents import (
    Agent,
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    ConversationItemAddedEvent,
    llm,
)

from .. import config
from ..core.clock import now_ns
from ..core.guard import failures, guarded, listener
from ..core.json import JSON, without_none
from ..core.span import Sink, Status
from .audio.user_voice import UserVoice
from .livekit.messages import Messages
from .livekit.models import agent_payload, session_payload
from .models.fallbacks import Fallbacks
from .models.metrics import ModelMetrics
from .models.realtime import Realtime
from .session.budgets import Budgets
from .session.closing import Closing
from .session.errors import Errors
from .session.handoffs import Handoffs
from .session.hooks import Hooks
from .session.job import Job
from .session.network import Network
from .session.states import States
from .session.termination import Termination
from .spans.outcome import PREFACTOR_STATUS, describe_error
from .spans.tree import SpanTree
from .tools import provider as provider_tools
from .tools.provider import ProviderTools
from .tools.untraced import UntracedTools
from .turns.assistant_turns import AssistantTurns
from .turns.context import TurnRefs, current_turn
from .turns.signals import Signals
from .turns.state import Scope, SessionState
from .turns.user_turns import UserTurns
from .turns.utterances import Utterances

FORMS_KEPT = 100


class SessionRecorder:
    """The trace of one session, from the moment that its first traced agent is entered.

    What it knows lies in its parts, each with one subject; it gives LiveKit's events to them, and
    ends them.

    Args:
        agent: Whose session it is, or is about to be; ``None``: not known yet, see :meth:`meet`.
        about: What the program says itself of the session, for its payload.
        tool_types: By tool name, the type of a tool's spans where it is not the usual one.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        agent: Agent | None,
        sink: Sink,
        *,
        about: JSON | None = None,
        tool_types: Mapping[str, str] | None = None,
    ) -> None:
        self._about = about or {}
        self._met = agent is not None
        self.on_closed: Callable[[], object] = lambda: None
        self.on_ended: Callable[[], object] = lambda: None
        """Called when the session's own span has ended, which can be long after."""
        chosen = config.settings()
        self.call = SpanTree(sink)
        self.state = SessionState(weakref.ref(session), dict(tool_types or {}))
        self.signals = Signals()
        self.scope = scope = Scope(self.call, self.state, self.signals)
        self.job = Job(self, session)
        self.closing = Closing(self)
        self.voice = UserVoice(self.call.root.started_ns)
        self.realtime = Realtime(self)
        self.messages = Messages()
        self.user_turns = UserTurns(scope, self.voice)
        self.utterances = Utterances(scope, self.voice, self.user_turns)
        self.refs = TurnRefs(scope)
        self.speeches = AssistantTurns(scope, self.user_turns, self.refs, chosen.budgets)
        self.budgets = Budgets(self, chosen.budgets, chosen.on_budget_exceeded)
        self.hooks = Hooks(self)
        self.network = Network(self)
        self.errors = Errors(self)
        self.fallbacks = Fallbacks(self)
        self.handoffs = Handoffs(self, session, agent)
        self.plain_tools = UntracedTools(self)
        self.provider_tools = ProviderTools(self)
        self.termination = Termination(self)
        self.states = States(self)
        self._connect()
        self.forms: deque[Callable[..., Any]] = deque(maxlen=FORMS_KEPT)
        """What the nodes and hooks of the session's agents are looked up as."""
        self._usage: Any = None
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
                    **session_payload(session, agent),
                    **self.job.payload(),
                    "agent_version": chosen.agent_version,
                    "budgets": dict(chosen.budgets) or None,
                    "started_at": round(time.time(), 6),
                    **self._about,
                }
            )
        )
        handlers: dict[Any, Callable[[Any], object]] = {
            "user_state_changed": self.user_turns.on_state,
            "user_input_transcribed": self.user_turns.on_transcribed,
            "speech_created": self.speeches.on_created,
            "agent_state_changed": self._on_agent_state,
            "agent_false_interruption": self.speeches.on_false_interruption,
            "conversation_item_added": self._on_item,
            "function_tools_executed": self.plain_tools.on_executed,
            "tool_execution_updated": self.plain_tools.on_updated,
            "session_usage_updated": self._on_usage,
            "error": self.errors.on_event,
            "close": self._on_close,
        }
        self._handlers = {event: listener(handler) for event, handler in handlers.items()}
        for event, handler in self._handlers.items():
            session.on(event, handler)
        if chosen.states:
            self.states.follow(session)
        self.speeches.playback.follow(session.output.audio)
        if agent is not None:
            self.realtime.follow(session, agent)
        self.measured = ModelMetrics(self, session)
        provider_tools.listen()

    @property
    def session(self) -> AgentSession[Any] | None:
        return self.state.session

    @property
    def closed(self) -> bool:
        return self.state.closed

    def _connect(self) -> None:
        """Have the parts listen to the signals of those below them."""
        signals = self.signals
        signals.turn_beginning.connect(self.handoffs.poll_history)
        signals.speech_beginning.connect(self.realtime.follow_current)
        signals.speech_beginning.connect(self.handoffs.on_speech_beginning)
        signals.speech_created.connect(self.realtime.on_speech_created)
        signals.speech_over.connect(self.realtime.settle)
        signals.turn_committed.connect(self.budgets.committed)
        signals.turn_committed.connect(self.network.committed)
        signals.first_sound.connect(self.budgets.sounded)
        signals.tool_began.connect(self._on_tool_began)
        signals.tool_began.connect(self.plain_tools.on_tool_began)
        signals.tool_ending.connect(self.handoffs.tool_ends)
        signals.provider_item.connect(self.provider_tools.on_item)
        signals.error.connect(self.errors.record)

    @guarded("meet")
    def meet(self, agent: Agent) -> None:
        """Learn whose session it is, if that was not known when the trace began."""
        session = self.session
        if not self._met and session is not None:
            self._met = True
            self.handoffs.begin_with(agent)
            self.call.update(self.call.root, **{**agent_payload(session, agent), **self._about})

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        if not self._met and (session := self.session) is not None:
            self.meet(session.current_agent)
        self.speeches.on_agent_state(event)

    def _on_tool_began(self, *_: Any) -> None:
        self._counts["function_calls"] += 1

    @guarded("event.conversation_item_added")
    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        self._counts["items_seen"] += 1
        self.handoffs.poll_history()
        item = event.item
        if not isinstance(item, llm.ChatMessage):
            return
        turn = current_turn.of(self.scope)
        if item.role == "user":
            self._counts["user_messages"] += 1
            if not any(item.content):
                return  # a session that closes commits what it has not heard
            answered = self.user_turns.find(item) or self.user_turns.typed(item, turn)
            heard_by_model = self.state.realtime_used and answered.modality == "audio"
            # A realtime model tells what it has heard whenever it likes: that says nothing of the
            # speech that is going on.
            if turn is not None and turn.span.open and not heard_by_model:
                self.speeches.link(turn, answered)
        elif item.role == "assistant":
            self._counts["assistant_messages"] += 1
            if turn is not None:
                self.speeches.note_spoken(turn, item)

    @guarded("event.session_usage_updated")
    def _on_usage(self, event: Any) -> None:
        self._usage = event.usage  # asked for at the end, it could be gone with the session

    @guarded("event.close")
    def _on_close(self, event: CloseEvent) -> None:
        error = getattr(event.error, "error", event.error)
        self.close(
            reason=str(getattr(event.reason, "value", event.reason)),
            error=describe_error(error) if isinstance(error, BaseException) else None,
        )

    def close(self, *, reason: str, error: JSON | None = None) -> None:
        """End what is open, and the session itself; let go of everything of LiveKit's.

        Args:
            reason: LiveKit's word, or one of ours.
            error: The session failed of it, see :func:`describe_error`.
        """
        if self.closed:
            return
        self.state.closed = True
        try:
            self._let_go()
            self._end_open()
        finally:
            self._end_session(reason, error)
            self.refs.clear()
            self.on_closed()

    def _let_go(self) -> None:
        self.closing.let_go()
        if (session := self.session) is not None:
            for name, handler in self._handlers.items():
                session.off(name, handler)
            self.states.let_go(session)
            self.measured.let_go(session)
        self._handlers.clear()
        self.speeches.playback.follow(None)
        self.realtime.let_go()
        self.budgets.stop()
        self.fallbacks.stop()
        self.network.stop()
        self.voice.levels = None
        self.forms.clear()

    def _end_open(self) -> None:
        self.handoffs.poll_history()
        self.handoffs.settle()
        self.user_turns.cancel()
        self.speeches.finish()
        for span in self.call.open_spans():
            self.call.end(span, Status.CANCELLED, {"status": "cancelled"})

    def _end_session(self, reason: str, error: JSON | None) -> None:
        """End the session's own span; in a job, once the job has said all that it has to say."""
        usage, counts, hooks = self._usage, dict(self._counts), list(self.hooks.noted)
        trouble = failures.total() - self._failures_before
        closed, finished = now_ns(), round(time.time(), 6)

        def finish() -> None:
            status, job = self._status(reason, error), self.job.result() or {}
            self.call.end(self.call.root, status, lambda: result(status, job), at=closed)
            self.on_ended()

        def result(status: Status, job: JSON) -> JSON:
            return without_none(
                {
                    "status": PREFACTOR_STATUS[status],
                    "close_reason": reason,
                    "termination_reason": self.termination.reason,
                    "usage": _usage(usage),
                    "conversation": counts,
                    "error": error or self._crash(),
                    "hooks": hooks or None,
                    "latency": self.speeches.summary(),
                    **job,
                    "tracer_failures": trouble or None,
                    "finished_at": finished,
                }
            )

        if self.termination.reason is None:
            self.job.when_over(finish, close_reason=reason, closed_at=finished)
        else:
            self.job.let_go(finish)

    def _status(self, reason: str, error: JSON | None) -> Status:
        if error is not None or reason == "error" or self.job.crashed:
            return Status.FAILED
        return Status.COMPLETE if self.termination.reason is None else Status.CANCELLED

    def _crash(self) -> JSON | None:
        if self.job.crashed:
            return {"error_type": "JobCrashed", "message": "the job's entrypoint raised"}
        return None


def _usage(usage: Any) -> JSON | None:
    models = getattr(usage, "model_usage", None)
    if not models:
        return None
    return {"model_usage": [model.model_dump(exclude_none=True) for model in models]}
