"""The assistant's turns of one session: one for each of LiveKit's speeches, from the moment that
it is created until it was played, cut or dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents import (
    AgentFalseInterruptionEvent,
    AgentStateChangedEvent,
    SpeechCreatedEvent,
    llm,
)

from ...conversation import End, interrupted_by
from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON
from ...core.span import Span, SpanType, Status
from ..livekit import private as livekit_private
from ..livekit.messages import describe_message
from ..spans.outcome import PREFACTOR_STATUS, describe_error
from .context import TurnRefs, current_turn, is_hook_task, running_tool
from .latency_inputs import question_of
from .playback import Playback
from .recent import RecentTurns
from .results import (
    EndedTurn,
    assistant_turn_result,
    echo_summary,
    latency_summary,
    unanswered_summary,
)
from .state import Scope
from .turn import AssistantTurn, Resumed, UserTurn
from .user_turns import UserTurns


class AssistantTurns:
    """Makes and ends the assistant's turns, and fills ``state.speeches``.

    Args:
        budgets: Seconds that a turn may take, by what they are for.
    """

    def __init__(
        self,
        scope: Scope,
        user_turns: UserTurns,
        refs: TurnRefs,
        recent: RecentTurns,
        budgets: Mapping[str, float],
    ) -> None:
        self._scope = scope
        self._spans, self._state, self._signals = scope
        self._user_turns = user_turns
        self._refs = refs
        self._recent = recent
        self._budgets = budgets
        self.playback = Playback(self._state, self._signals, self._note_sound)
        self._ended: list[EndedTurn] = []

    @guarded("event.speech_created")
    def on_created(self, event: SpeechCreatedEvent) -> None:
        session, speech = self._state.session, event.speech_handle
        if session is not None:
            self.playback.follow(session.output.audio)
        self._signals.speech_beginning.emit()
        owning_tool = self._state.open_owning_tool()
        index = self._state.next_turn_index("assistant")
        span = self._spans.begin(
            SpanType.ASSISTANT_TURN,
            "assistant_turn",
            owning_tool,
            {
                "name": "assistant_turn",
                "type": SpanType.ASSISTANT_TURN.value,
                "turn_index": index,
                "source": event.source,
                "user_initiated": event.user_initiated,
                "speech_id": speech.id,
                "allow_interruptions": speech.allow_interruptions,
                "created_at": event.created_at,
                "started_at": event.created_at,
                "metadata": {},
            },
        )
        turn = AssistantTurn(span, index, speech.id, speech)
        turn.moments["created"] = span.started_ns
        turn.asked_for, turn.screened_ns = event.user_initiated, self._state.screened_ns
        self._signals.speech_created.emit(turn, event)
        turn.latest = self._recent.latest_question()
        self._note_origin(turn, event)
        if owning_tool is not None:
            turn.inside = owning_tool.id
            if (below := self._with_tool(owning_tool)) is not None:
                below.last_below = turn
        self._state.speeches[speech.id] = turn
        self._recent.add_speech(turn)
        self._refs.set_turn(turn)
        speech.add_done_callback(self._on_done)

    def _note_origin(self, turn: AssistantTurn, event: SpeechCreatedEvent) -> None:
        """Note who created a speech, from which context, and for which of the user's turns."""
        if (taken := self._taken_by_model(turn, event)) is not None:
            taken.reply = turn
            self.link(turn, taken)
            return
        if self._state.realtime_used and not event.user_initiated:
            # The model spoke by itself. The context is that of whoever connected it.
            if (first := turn.replies_for) is not None:
                turn.question, turn.caused_by = first.question, first.span.id
            return
        # Code that is at work for no speech created earlier ones by itself, and remembers them.
        at_work = livekit_private.running_speech() is not None
        cause = current_turn.of(self._scope) if at_work else None
        if cause is not None:
            turn.caused_by = cause.span.id
            left, changed, entered = self._state.latest_handoff
            if changed > cause.span.started_ns:
                # Of an agent that is not traced, the change is all that is seen of its entry.
                turn.left_ns, turn.entered = left, entered or [changed, None]
        asked = current_turn.asked_in(self._scope)
        if asked is not None and is_hook_task(asked):
            turn.question = asked  # by the hook itself, or by LiveKit right after it
            return
        turn.from_hook = asked is not None and asked is turn.latest
        if (asking := self._state.user_turn) is not None:
            # LiveKit schedules a speech at once, but for one that it generates ahead.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._note_ahead, turn, event.speech_handle, asking)
        else:
            self._note_tool(turn)

    @guarded("speech.ahead")
    def _note_ahead(self, turn: AssistantTurn, speech: Any, asking: UserTurn) -> None:
        if not speech.scheduled:
            turn.ahead = True
            turn.question = turn.question or asking
        else:
            self._note_tool(turn)

    def _note_tool(self, turn: AssistantTurn) -> None:
        """Note the tool in whose body the program had the agent speak. What an agent says that a
        tool has run (a task) is below that tool anyway."""
        tool = self._tool_at_work(turn) if turn.by_program and turn.span.open else None
        if tool is not None and tool is not self._state.open_owning_tool():
            created_by = {"tool_id": tool.id, "tool_name": tool.name}
            self._spans.update(turn.span, created_by=created_by)

    def _tool_at_work(self, turn: AssistantTurn) -> Span | None:
        running = running_tool(self._state.session_id)
        if running is not None:
            return running.span
        cause = next(
            (o for o in self._state.speeches.values() if o.span.id == turn.caused_by), None
        )
        # Of a tool that is not traced, the context knows the speech alone.
        open_tools = [tool for tool in cause.tool_spans if tool.open] if cause is not None else []
        return open_tools[0] if len(open_tools) == 1 else None

    def _taken_by_model(self, turn: AssistantTurn, event: SpeechCreatedEvent) -> UserTurn | None:
        """The user's turn that a realtime model answers with a speech that was just created."""
        if not self._state.realtime_used or event.source != "generate_reply":
            return None
        asked = current_turn.asked_in(self._scope)
        hook = asked is not None and is_hook_task(asked)
        # ``commit_user_turn`` has the model answer at once, without a hook; and of an agent that is
        # not traced the hook is not seen (voice/agent_activity.py).
        heard = self._state.audio_committed or turn.modality == "audio"
        pushed = event.user_initiated and heard and not hook
        return self._user_turns.taken_by_model(own=not event.user_initiated, pushed=pushed)

    def came_back(self, tool: Span, at: int) -> None:
        """A task came back to the tool that awaited it."""
        turn = self._with_tool(tool)
        last = turn.last_below if turn is not None else None
        if turn is not None and last is not None and last.span.parent_id == tool.id:
            turn.resumed = Resumed(at, tool, last.span.id)

    def _with_tool(self, tool: Span) -> AssistantTurn | None:
        """The open speech that a tool runs for."""
        turns = self._state.speeches.values()
        return next((turn for turn in turns if tool in turn.tool_spans), None)

    @guarded("speech.done")
    def _on_done(self, speech: Any) -> None:
        speech.remove_done_callback(self._on_done)  # the program may keep the handle
        turn = self._state.speeches.pop(speech.id, None)
        if turn is None:
            return
        self._user_turns.catch_up()
        over = speech.done()  # not if the trace ends before the session
        error = speech.exception() if over and hasattr(speech, "exception") else None
        if error is not None and turn.error is None:
            turn.error = describe_error(error)
        interrupted = self._was_interrupted(turn, speech)
        if interrupted:
            turn.interrupted_by = self._interrupted_by(turn, speech)
        if turn.ahead:
            turn.preemptive = "used" if speech.scheduled else "dropped"
        unseen = not turn.segments and not self._state.output_reports_playback
        if turn.spoken and unseen:
            self._note_sound(turn)  # there is no audio, or an output that does not tell
        said = turn.span.payload["source"] == "say"
        turn.uncommitted = said and not turn.spoken and not interrupted and turn.error is None
        turn.settle_tools(interrupted=bool(speech.interrupted))
        self._signals.speech_over.emit(turn)
        status = self._status(turn, speech, interrupted)
        for span in list(turn.open_nodes.values()):
            self._spans.end(span, Status.CANCELLED, {"status": "cancelled"})
        turn.speech = None
        turn.ended_ns = now_ns()
        self._note_asked(turn)
        self._end(turn, status, interrupted)

    def _end(self, turn: AssistantTurn, status: Status, interrupted: bool) -> None:
        facts, spans, recent = self._recent.end_speech(turn), self._spans, self._recent
        ended = EndedTurn(
            spans,
            facts,
            recent.later_timeline(),
            self._budgets,
            recent.networks(),
            turn.heard_meanwhile,
        )
        turn.heard_meanwhile = None
        self._ended.append(ended)
        finished = round(time.time(), 6)
        self._spans.end(
            turn.span,
            status,
            lambda: {
                **assistant_turn_result(
                    spans, facts, ended.question, PREFACTOR_STATUS[status], interrupted, finished
                ),
                **ended.measured,
            },
            at=turn.ended_ns,
        )

    @staticmethod
    def _status(turn: AssistantTurn, speech: Any, interrupted: bool) -> Status:
        silent = not turn.spoken and not turn.segments
        if silent and turn.error is not None:
            return Status.FAILED
        if not speech.done() or (silent and interrupted):
            return Status.CANCELLED
        worked = any(tool.status is Status.COMPLETE for tool in turn.tool_spans)
        dropped = silent and speech.interrupted and not worked
        return Status.CANCELLED if dropped else Status.COMPLETE

    def _was_interrupted(self, turn: AssistantTurn, speech: Any) -> bool:
        """Whether the caller missed some of a speech that is over."""
        if turn.spoken:
            # A speech can be interrupted when all of it was played already (a session that closes
            # right after it): what the caller missed is what the committed message says.
            return turn.cut_short
        # A session that closes interrupts every speech, also one that has nothing to say while a
        # tool runs: often the tool that closes it.
        closing = livekit_private.is_closing(self._state.session)
        return bool(speech.interrupted and (turn.has_words() or not closing))

    def _interrupted_by(self, turn: AssistantTurn, speech: Any) -> str:
        source = livekit_private.interruption_source(speech)
        closing = livekit_private.is_closing(self._state.session)
        return interrupted_by(
            source,
            # What nobody may interrupt is stopped by force only.
            spoken_over=turn.user_spoke_over_ns is not None and speech.allow_interruptions,
            user_spoke=not closing
            and speech.allow_interruptions
            and self._recent.spoke_since(turn.span.started_ns),
        )

    def _note_sound(self, turn: AssistantTurn) -> None:
        """A stretch of a speech's sound begins to come out (without audio: its text did)."""
        self._user_turns.catch_up()
        asking = self._state.user_turn
        if asking is not None and (not turn.came_out or turn.resumed is not None):
            turn.heard_over, turn.during = asking, question_of(asking)
        turn.came_out = True
        self._signals.sound_began.emit(turn)

    def find(self, speech_id: str | None) -> AssistantTurn | None:
        """The turn of one of LiveKit's speeches, while it lasts."""
        return self._state.speeches.get(speech_id) if speech_id is not None else None

    @guarded("event.agent_state_changed")
    def on_agent_state(self, event: AgentStateChangedEvent) -> None:
        turn = self._state.playing
        if turn is None:
            return
        # While a segment plays, LiveKit leaves "speaking" when it pauses the audio for what may
        # be an interruption, and comes back to it when it resumes.
        if event.old_state == "speaking":
            self._note_pause(turn, "paused")
        elif event.new_state == "speaking" and turn.pauses:
            self._note_pause(turn, "resumed")

    def _note_pause(self, turn: AssistantTurn, what: str) -> None:
        at = now_ns()
        turn.pauses.append((at, what))
        self._signals.playback.emit(what, at, None)

    @guarded("event.agent_false_interruption")
    def on_false_interruption(self, event: AgentFalseInterruptionEvent) -> None:
        if (turn := self._state.playing or self._state.speaking()) is not None:
            state = "false_interruption_resumed" if event.resumed else "false_interruption"
            turn.pauses.append((now_ns(), state))

    def link(self, turn: AssistantTurn, answered: UserTurn) -> None:
        """LiveKit says which of the user's turns a speech answers."""
        turn.question = answered

    def _note_asked(self, turn: AssistantTurn) -> None:
        if (answered := turn.question) is None:
            return
        for name in ("speech_ended", "vad_ended", "final_transcript", "committed", "hook_done"):
            if (moment := answered.moments.get(name)) is not None:
                turn.moments[f"user_{name}"] = moment

    def note_spoken(self, turn: AssistantTurn, message: llm.ChatMessage) -> None:
        """LiveKit committed to the history what of a speech can have been heard."""
        turn.spoken.append(message.text_content or "")
        turn.message = describe_message(message)
        turn.cut_short = turn.cut_short or message.interrupted
        turn.item_metrics |= dict(message.metrics or {})

    def finish(self) -> None:
        """The session ends: so does every speech."""
        for turn in list(self._state.speeches.values()):
            self._on_done(turn.speech)

    def latency_summary(self) -> JSON | None:
        """The latencies of all turns that are over. Called off the event loop."""
        return latency_summary(self._ended)

    def echo_summary(self) -> JSON | None:
        """The echoes of all turns that are over. Called off the event loop."""
        return echo_summary(self._ended)

    @guarded("unanswered.asked")
    def unanswered_summary(self, end: End) -> Callable[[], JSON | None]:
        """The questions of the session that nobody answered. To be called off the event loop, once
        all turns are over."""
        asked, machine_until = self._recent.asked(), self._state.machine_until_ns
        return lambda: unanswered_summary(asked, self._ended, end, machine_until)
