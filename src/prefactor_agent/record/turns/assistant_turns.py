"""The assistant's turns of one session: one for each of LiveKit's speeches, from the moment that
it is created until it was played, cut or dropped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from livekit.agents import (
    AgentFalseInterruptionEvent,
    AgentStateChangedEvent,
    SpeechCreatedEvent,
    llm,
)

from ...conversation import Latency, exceeded, summarize
from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...core.span import Span, SpanType, Status
from ..livekit import private as livekit_private
from ..livekit.messages import describe_message
from ..spans.outcome import PREFACTOR_STATUS, describe_error
from . import latency_inputs as answers
from .context import TurnRefs, current_turn
from .playback import Playback
from .state import Scope
from .turn import AssistantTurn, UserTurn, assistant_turn_result
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
        budgets: Mapping[str, float],
    ) -> None:
        self._scope = scope
        self._spans, self._state, self._signals = scope
        self._user_turns = user_turns
        self._refs = refs
        self._budgets = budgets
        self.playback = Playback(self._state, self.claim_first_sound)
        self._latencies: dict[str, Latency] = {}

    @guarded("event.speech_created")
    def on_created(self, event: SpeechCreatedEvent) -> None:
        session, speech = self._state.session, event.speech_handle
        if session is not None:
            self.playback.follow(session.output.audio)
        self._signals.speech_beginning.emit()
        owning_tool = self._state.open_owning_tool()
        index = self._state.next_turn_index()
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
        self._signals.speech_created.emit(turn, event)
        if (asked := self._taken_by_model(event)) is not None:
            turn.follows, asked.reply = asked, turn
            self.link(turn, asked)
        else:
            asking = self._state.user_turn
            if asking is not None and asking.finals:
                turn.begun_before_commit = asking
            self._place(turn, current_turn.get())
        if owning_tool is not None and (below := self._with_tool(owning_tool)) is not None:
            below.last_below = turn
        self._state.speeches[speech.id] = turn
        self._refs.set_current(turn)
        speech.add_done_callback(self._on_done)

    def _taken_by_model(self, event: SpeechCreatedEvent) -> UserTurn | None:
        """The user's turn that a realtime model answers with a speech that was just created."""
        if not self._state.realtime_used or event.source != "generate_reply":
            return None
        return self._user_turns.taken_by_model(own=not event.user_initiated)

    def _place(self, turn: AssistantTurn, cause: AssistantTurn | None) -> None:
        """Note what a speech that was just created came out of, while a user waits for it."""
        asking, handed_on = self._state.user_turn, self._state.in_hook
        if handed_on is not None:
            turn.follows = handed_on
        elif asking is not None and "vad_ended" in asking.moments:
            turn.follows = asking if not turn.span.payload["user_initiated"] else None
        if cause is not None and self._scope.owns(cause.span):
            asked = answers.asked_by(cause)
            if asked is None or asked.answered is not None or turn.follows not in (None, asked):
                return
            turn.caused_by = cause
            if cause.resumes is not None:
                turn.caused_within, turn.follows = cause.resumes, asked
            left, changed, entered = self._state.latest_handoff
            if changed > cause.span.started_ns:
                # Of an agent that is not traced, the change is all that is seen of its entry.
                turn.left_ns, turn.entered = left, entered or [changed, None]

    def came_back(self, tool: Span, at: int) -> None:
        """A task came back to the tool that awaited it."""
        turn = self._with_tool(tool)
        if turn is not None:
            answers.resumed(turn, at, tool)

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
        over = speech.done()  # not if the trace ends before the session
        error = speech.exception() if over and hasattr(speech, "exception") else None
        if error is not None and turn.error is None:
            turn.error = describe_error(error)
        # A speech can be interrupted when all of it was played already (a session that closes right
        # after it): what the caller missed is what the committed message says.
        interrupted: bool = turn.cut_short if turn.spoken else speech.interrupted
        if interrupted:
            source = livekit_private.interruption_source(speech)
            # Older versions don't say. What nobody may interrupt is stopped by force only.
            spoken_over = turn.user_spoke_over_ns is not None and speech.allow_interruptions
            by_user = source != "programmatic" if source else spoken_over
            turn.interrupted_by = "user" if by_user else "program"
        if turn.begun_before_commit is not None:
            used = turn.answers is not None
            turn.preemptive = "used" if used else "dropped"
        if (
            turn.spoken
            and not turn.segments
            and not interrupted
            and not self._state.output_reports_playback
        ):
            self.claim_first_sound(turn)  # there is no audio, or an output that does not tell
        said = turn.span.payload["source"] == "say"
        turn.uncommitted = said and not turn.spoken and not interrupted and turn.error is None
        silent = not turn.spoken and not turn.segments
        if silent and turn.error is not None:
            status = Status.FAILED
        elif not over or (silent and interrupted):
            status = Status.CANCELLED
        else:
            status = Status.COMPLETE
        self._signals.speech_over.emit(turn)
        for span in list(turn.open_nodes.values()):
            self._spans.end(span, Status.CANCELLED, {"status": "cancelled"})
        finished = round(time.time(), 6)
        turn.speech = None
        self._spans.end(
            turn.span,
            status,
            lambda: {
                **assistant_turn_result(
                    self._spans, turn, PREFACTOR_STATUS[status], interrupted, finished
                ),
                **self._latency(turn),
            },
        )

    def _latency(self, turn: AssistantTurn) -> JSON:
        """Called off the event loop, after the turn's streams were absorbed."""
        latency = answers.latency_of(turn)
        if latency is not None:
            latency.over_budget = exceeded(latency, self._budgets)
            self._latencies[turn.span.id] = latency
        asked = turn.ends_silence_of
        return without_none(
            {
                "latency": latency.as_json() if latency is not None else None,
                "network_estimate": (asked.network or None) if asked is not None else None,
                **(answers.more_of(self._spans, turn) or {}),
            }
        )

    def claim_first_sound(self, turn: AssistantTurn) -> None:
        if answers.claim_first_sound(turn):
            self._signals.first_sound.emit(turn)

    def find(self, speech_id: str | None) -> AssistantTurn | None:
        """The turn of one of LiveKit's speeches, while it lasts."""
        return self._state.speeches.get(speech_id) if speech_id is not None else None

    def answering(self, asked: UserTurn) -> AssistantTurn | None:
        """The newest speech that is being made, or made ready, for a user's turn."""
        speeches = reversed(self._state.speeches.values())
        return next((one for one in speeches if answers.asked_by(one) is asked), None)

    @guarded("event.agent_state_changed")
    def on_agent_state(self, event: AgentStateChangedEvent) -> None:
        turn = self._state.playing
        if turn is None:
            return
        # While a segment plays, LiveKit leaves "speaking" when it pauses the audio for what may
        # be an interruption, and comes back to it when it resumes.
        if event.old_state == "speaking":
            turn.pauses.append((now_ns(), "paused"))
        elif event.new_state == "speaking" and turn.pauses:
            turn.pauses.append((now_ns(), "resumed"))

    @guarded("event.agent_false_interruption")
    def on_false_interruption(self, event: AgentFalseInterruptionEvent) -> None:
        if (turn := self._state.playing) is not None:
            state = "false_interruption_resumed" if event.resumed else "false_interruption"
            turn.pauses.append((now_ns(), state))

    def link(self, turn: AssistantTurn, answered: UserTurn) -> None:
        turn.answers = answered
        if turn.caused_by is not None and answers.asked_by(turn.caused_by) is not answered:
            turn.caused_by = turn.left_ns = turn.entered = None
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

    def summary(self) -> JSON | None:
        """The latencies of all turns. Called off the event loop."""
        return summarize(list(self._latencies.values()))
