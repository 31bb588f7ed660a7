"""The recorder of one session: makes its parts, gives LiveKit's events to them, and ends them.

What is here works for any agent, from the session's public events; the nodes, hooks and tools of a
``TracedAgent`` add to it (models/nodes.py, session/hooks.py, tools/traced.py). Nothing waits,
and every handler is guarded: LiveKit calls them in the middle of its own work."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from livekit.agents import (
    Agent,
    AgentFalseInterruptionEvent,
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    FunctionToolsExecutedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)

from .. import config
from ..config import Settings
from ..core.guard import guarded, listener
from ..core.json import JSON, without_none
from ..core.span import Sink, Status
from .audio.user_voice import UserVoice
from .models.fallbacks import Fallbacks
from .models.metrics import ModelMetrics
from .models.nodes import Nodes
from .models.realtime import Realtime
from .recording.tap import CallRecording
from .room.network import Network
from .session.answering_machine import AnsweringMachine
from .session.avatars import Avatars
from .session.budgets import Budgets
from .session.call_moments import CallMoments
from .session.closing import Closing
from .session.echoes import Echoes
from .session.end_of_turn import EndOfTurns
from .session.errors import Errors
from .session.handoffs import Handoffs
from .session.history import History
from .session.hooks import Hooks
from .session.job import Job
from .session.listening_aids import ListeningAids
from .session.pickup import PickupFacts
from .session.pickup_budget import PickupBudget
from .session.session_span import SessionSpan
from .session.states import States
from .session.termination import Termination
from .spans.outcome import describe_error
from .spans.tree import SpanTree
from .tools import provider as provider_tools
from .tools.calls import ToolCalls
from .tools.provider import ProviderTools
from .tools.toolsets import Toolsets
from .turns.assistant_turns import AssistantTurns
from .turns.context import TurnRefs
from .turns.off_the_record import OffTheRecord
from .turns.recent import RecentTurns
from .turns.signals import Signals
from .turns.state import Scope, SessionState
from .turns.user_turns import UserTurns
from .turns.utterances import Utterances

FORMS_KEPT = 100


class SessionRecorder:
    """Records one session, from the moment that its first traced agent is entered.

    What it knows lies in its parts, each with one subject; nothing below it knows of it.

    Args:
        agent: Whose session it is, or is about to be; ``None``: not known yet, see :meth:`meet`.
        about: What the program says itself of the session, for its payload.
        tool_types: By tool name, the type of a tool's spans where it is not the usual one.
        record_beside: The journal beside which the sound of the call is recorded; ``None``: it is
            not.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        agent: Agent | None,
        sink: Sink,
        *,
        about: JSON | None = None,
        tool_types: Mapping[str, str] | None = None,
        record_beside: Path | None = None,
    ) -> None:
        self._about = about or {}
        self._met = agent is not None
        self.on_closed: Callable[[], object] = lambda: None
        self.on_ended: Callable[[], object] = lambda: None
        """Called when the session's own span has ended, which can be long after."""
        self.forms: deque[Callable[..., Any]] = deque(maxlen=FORMS_KEPT)
        """What the nodes and hooks of the session's agents are looked up as."""
        chosen = config.settings()
        self.spans = SpanTree(sink)
        self.state = SessionState(weakref.ref(session), self.session_id, dict(tool_types or {}))
        self.signals = Signals()
        self.scope = Scope(self.spans, self.state, self.signals)
        self.recording = (
            CallRecording(record_beside, self.spans, self.signals) if record_beside else None
        )
        self._make_parts(session, agent, chosen)
        self._connect()
        self.session_span.announce(session, agent, chosen)
        self._follow(session, agent, chosen)

    @property
    def session(self) -> AgentSession[Any] | None:
        return self.state.session

    @property
    def session_id(self) -> str:
        return self.spans.session_id

    @property
    def closed(self) -> bool:
        return self.state.closed

    def _make_parts(
        self, session: AgentSession[Any], agent: Agent | None, chosen: Settings
    ) -> None:
        """Make each part, the lower ones first, and give it those that it needs."""
        scope = self.scope
        self.closing = Closing(scope, self.close)
        self.errors = Errors(scope, self.closing)
        self.voice = UserVoice(self.spans.root.started_ns, self.session_id)
        hear = self.recording.hearing(self.voice.hear) if self.recording else self.voice.hear
        self.job = Job(scope, session, self.closing, self.voice)
        self.network = Network(scope)
        self.echoes = Echoes(self.voice)
        self.answering_machine = AnsweringMachine(scope)
        self.listening_aids = ListeningAids(scope)
        self.avatars = Avatars(scope)
        self.end_of_turns = EndOfTurns(scope)
        self.call_moments = CallMoments(scope)
        self.off_the_record = OffTheRecord(self.spans, self.signals, self.call_moments.on_record)
        if self.recording is not None:
            self.off_the_record.on_change = self.recording.hide
        self.termination = Termination(scope)
        self.states = States(scope)
        self.refs, self.recent = TurnRefs(scope), RecentTurns(self.voice.catch_up)
        self.user_turns = UserTurns(scope, self.voice, self.refs, self.recent)
        self.utterances = Utterances(scope, self.voice, self.user_turns)
        self.assistant_turns = AssistantTurns(
            scope, self.user_turns, self.refs, self.recent, chosen.budgets
        )
        self.budgets = Budgets(scope, self.recent, chosen.budgets, chosen.on_budget_exceeded)
        self.measured = ModelMetrics(scope, session, self.assistant_turns, self.user_turns)
        self.realtime = Realtime(scope, hear, self.measured)
        self.fallbacks = Fallbacks(scope)
        self.nodes = Nodes(
            scope, hear, self.utterances, self.realtime, self.fallbacks, self.off_the_record
        )
        self.tool_calls = ToolCalls(scope)
        self.provider_tools = ProviderTools(scope)
        self.toolsets = Toolsets(scope)
        self.handoffs = Handoffs(scope, session, agent, self.assistant_turns, self.tool_calls.span)
        self.hooks = Hooks(scope, self.user_turns, self.handoffs, self.closing, self._on_entered)
        self.pickup = PickupFacts(scope, session, self.hooks, self.recent, chosen.budgets)
        self.pickup_budget = PickupBudget(self.state, self.pickup, self.budgets)
        self.history = History(
            scope, self.user_turns, self.assistant_turns, self.handoffs, self.off_the_record
        )
        self.session_span = SessionSpan(
            scope,
            self._about,
            self.job,
            self.termination,
            self.history,
            self.hooks,
            self.assistant_turns.latency_summary,
            self.assistant_turns.unanswered_summary,
            self.pickup,
            self._more,
        )

    def _more(self) -> JSON:
        """What is told of the call besides its turns. Called off the event loop."""
        echo = self.assistant_turns.echo_summary()
        return without_none(
            {
                "sound": without_none({**(self.job.sound() or {}), "echo": echo}) or None,
                **self.answering_machine.result(),
                **self.listening_aids.result(),
                **self.avatars.result(),
                **self.call_moments.result(),
                **(self.recording.result() if self.recording else {}),
            }
        )

    def _connect(self) -> None:
        """Have the parts listen to the signals of those below them."""
        signals = self.signals
        signals.turn_beginning.connect(self.handoffs.poll_history)
        for moment in (signals.turn_beginning, signals.speech_beginning):
            moment.connect(self.realtime.follow_current)
        signals.speech_beginning.connect(self.handoffs.on_speech_beginning)
        signals.speech_beginning.connect(self.toolsets.check)
        signals.speech_created.connect(self.realtime.on_speech_created)
        signals.speech_over.connect(self.realtime.settle)
        signals.speech_over.connect(self.tool_calls.on_speech_over)
        signals.speech_over.connect(self.handoffs.on_speech_over)
        signals.speech_over.connect(self.echoes.on_speech_over)
        for moment in (signals.turn_beginning, signals.speech_beginning):
            moment.connect(self.answering_machine.check)
            moment.connect(self.listening_aids.check)
        signals.turn_committed.connect(self.listening_aids.check)
        signals.measured.connect(self.avatars.on_measured)
        signals.turn_committed.connect(self.budgets.committed)
        signals.turn_committed.connect(self.network.committed)
        signals.turn_committed.connect(self.pickup.committed)
        signals.turn_committed.connect(self.end_of_turns.committed)
        signals.sound_began.connect(self.budgets.sound_began)
        signals.sound_began.connect(self.pickup.sound_began)
        signals.sound_began.connect(self.pickup_budget.sound_began)
        signals.speech_over.connect(self.pickup.speech_over)
        signals.tool_began.connect(self.history.on_tool_began)
        signals.tool_began.connect(self.tool_calls.on_tool_began)
        signals.tool_ending.connect(self.handoffs.tool_ends)
        # The agent that awaited a task is resumed, not entered.
        signals.tool_ending.connect(lambda _: self.realtime.follow_current())
        signals.tool_over.connect(self.tool_calls.on_tool_over)
        signals.provider_item.connect(self.provider_tools.on_item)
        signals.error.connect(self.errors.record)

    def _follow(self, session: AgentSession[Any], agent: Agent | None, chosen: Settings) -> None:
        """Subscribe to all that LiveKit says of the session."""
        handlers: dict[Any, Callable[[Any], object]] = {
            "user_state_changed": self._on_user_state,
            "user_input_transcribed": self._on_transcribed,
            "speech_created": self.assistant_turns.on_created,
            "agent_state_changed": self._on_agent_state,
            "agent_false_interruption": self._on_false_interruption,
            "overlapping_speech": self.call_moments.on_overlap,
            "user_transcription_timeout": self.call_moments.on_transcription_timeout,
            "conversation_item_added": self.history.on_item,
            "function_tools_executed": self._on_executed,
            "tool_execution_updated": self.tool_calls.on_updated,
            "session_usage_updated": self.session_span.on_usage,
            "error": self.errors.on_event,
            "close": self._on_close,
        }
        self._handlers = {event: listener(handler) for event, handler in handlers.items()}
        for event, handler in self._handlers.items():
            session.on(event, handler)
        if chosen.states:
            self.states.follow(session)
        self.pickup.follow(session, self.pickup_budget.caller_came)
        self.assistant_turns.playback.follow(session.output.audio)
        if agent is not None:
            self.realtime.follow(session, agent)
        self.toolsets.check(agent)
        provider_tools.listen()

    def _on_entered(self, session: AgentSession[Any], agent: Agent) -> None:
        self.realtime.follow(session, agent)
        self.toolsets.check(agent)

    @guarded("meet")
    def meet(self, agent: Agent) -> None:
        """Learn whose session it is, if that was not known when the trace began."""
        session = self.session
        if not self._met and session is not None:
            self._met = True
            self.handoffs.begin_with(agent)
            self.session_span.add_agent(session, agent)
            self.toolsets.check(agent)

    def add(self, about: JSON, tool_types: Mapping[str, str]) -> None:
        """Add what a program says itself of the session, which is traced already."""
        self.state.tool_types.update(tool_types)
        self.spans.update(self.spans.root, **about)

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        self.end_of_turns.on_user_state(event)
        self.call_moments.on_user_state(event)
        self.user_turns.on_state(event)

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        self.end_of_turns.on_transcribed(event)
        self.user_turns.on_transcribed(event)

    def _on_executed(self, event: FunctionToolsExecutedEvent) -> None:
        self.tool_calls.on_executed(event)
        self.realtime.on_executed(event)

    def _on_false_interruption(self, event: AgentFalseInterruptionEvent) -> None:
        self.call_moments.on_false_interruption(event)
        self.assistant_turns.on_false_interruption(event)

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        if not self._met and (session := self.session) is not None:
            self.meet(session.current_agent)
        self.answering_machine.check()
        self.assistant_turns.on_agent_state(event)

    @guarded("event.close")
    def _on_close(self, event: CloseEvent) -> None:
        error = getattr(event.error, "error", event.error)
        self.close(
            str(getattr(event.reason, "value", event.reason)),
            describe_error(error) if isinstance(error, BaseException) else None,
        )

    def close(self, reason: str, error: JSON | None = None) -> None:
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
            self.session_span.end(reason, error, lambda: self.on_ended())
            self.refs.clear()
            self.recent.clear()
            self.signals.disconnect_all()
            self.on_closed()

    def _let_go(self) -> None:
        self.closing.let_go()
        if (session := self.session) is not None:
            for name, handler in self._handlers.items():
                session.off(name, handler)
            self.states.let_go(session)
            self.measured.let_go(session)
        self._handlers.clear()
        self.assistant_turns.playback.follow(None)
        self.realtime.let_go()
        self.pickup.let_go()
        self.end_of_turns.let_go()
        self.pickup_budget.stop()
        self.budgets.stop()
        self.fallbacks.stop()
        self.network.stop()
        self.answering_machine.let_go()
        self.toolsets.stop()
        self.nodes.stop()
        self.voice.levels = None
        self.forms.clear()
        if self.recording is not None:
            self.recording.end()

    def _end_open(self) -> None:
        self.handoffs.poll_history()
        self.handoffs.settle()
        self.user_turns.cancel()
        self.assistant_turns.finish()
        self.handoffs.end()
        for span in self.spans.open_spans():
            self.spans.end(span, Status.CANCELLED, {"status": "cancelled"})
