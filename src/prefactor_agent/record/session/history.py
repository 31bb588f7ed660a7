"""What LiveKit adds to the session's history: which turn each message is of, and how many there
are."""

from __future__ import annotations

from typing import Any

from livekit.agents import ConversationItemAddedEvent, llm

from ...core.guard import guarded
from ..turns.assistant_turns import AssistantTurns
from ..turns.context import current_turn
from ..turns.off_the_record import OffTheRecord
from ..turns.state import Scope
from ..turns.user_turns import UserTurns
from .handoffs import Handoffs


class History:
    """Gives the messages of one session to their turns."""

    def __init__(
        self,
        scope: Scope,
        user_turns: UserTurns,
        assistant_turns: AssistantTurns,
        handoffs: Handoffs,
        off_the_record: OffTheRecord,
    ) -> None:
        self._scope = scope
        self._user_turns = user_turns
        self._assistant_turns = assistant_turns
        self._handoffs = handoffs
        self._off_the_record = off_the_record
        self._counts = {
            "items_seen": 0,
            "user_messages": 0,
            "assistant_messages": 0,
            "function_calls": 0,
        }

    def counts(self) -> dict[str, int]:
        """How many items of each kind there were so far."""
        return dict(self._counts)

    def on_tool_began(self, *_: Any) -> None:
        """The model called a tool."""
        self._counts["function_calls"] += 1

    @guarded("event.conversation_item_added")
    def on_item(self, event: ConversationItemAddedEvent) -> None:
        self._counts["items_seen"] += 1
        self._handoffs.poll_history()
        item = event.item
        if not isinstance(item, llm.ChatMessage):
            return
        if item.role == "user":
            self._on_user(item)
        elif item.role == "assistant":
            self._counts["assistant_messages"] += 1
            if (turn := current_turn.of(self._scope)) is not None:
                self._assistant_turns.note_spoken(turn, item)
                self._off_the_record.note_message(item, turn.span)

    def _on_user(self, item: llm.ChatMessage) -> None:
        self._counts["user_messages"] += 1
        if not any(item.content):
            return  # a session that closes commits what it has not heard
        told = self._user_turns.awaited.told(item)
        # The context of what comes from a realtime model is that of whoever connected it.
        turn = current_turn.of(self._scope) if not told else None
        answered = self._user_turns.of_message(item, turn)
        self._off_the_record.note_message(item, answered.span)
        heard_by_model = self._scope.state.realtime_used and answered.modality == "audio"
        # A realtime model reports what it has heard whenever it likes: that says nothing of the
        # speech that is going on.
        if turn is not None and turn.span.open and not heard_by_model:
            self._assistant_turns.link(turn, answered)
