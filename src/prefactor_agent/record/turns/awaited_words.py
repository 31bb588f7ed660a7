"""The user's turns that a realtime model has taken, and of which it has not told yet what it heard:
it tells when it likes, or never."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from livekit.agents import UserInputTranscribedEvent, llm

from .turn import AWAITED_NS, UserTurn


class Told(NamedTuple):
    """What a realtime model said that it heard."""

    item_id: str | None
    """The id of the message that LiveKit makes of it, where the event names it (not in 1.5)."""
    words: str

    def is_of(self, message: llm.ChatMessage) -> bool:
        """Whether LiveKit has made this message of it: it does so at once (voice/agent_activity.py,
        ``_on_input_audio_transcription_completed``)."""
        if self.item_id is not None:
            return message.id == self.item_id
        return message.text_content == self.words


class AwaitedWords:
    """The turns of one session whose words are awaited, the oldest first.

    Args:
        end: Ends a turn, with the words that there are.
    """

    def __init__(self, end: Callable[[UserTurn], object]) -> None:
        self._turns: deque[UserTurn] = deque()
        self._end = end
        self._told: Told | None = None
        self._taken: UserTurn | None = None
        """The last turn that was taken with the words that the model told."""

    def add(self, turn: UserTurn) -> None:
        """Await the words of a turn."""
        self._turns.append(turn)

    def next(self, now: int) -> UserTurn | None:
        """The turn that the next words are of."""
        while self._turns and now - self._turns[0].moments["committed"] > AWAITED_NS:
            self.end_next()
        return self._turns[0] if self._turns else None

    def end_next(self) -> UserTurn:
        """Wait no more for the words of the oldest turn."""
        turn = self._turns.popleft()
        turn.wordless = not turn.text()
        self._end(turn)
        return turn

    def end_all(self) -> None:
        """Wait for nothing more."""
        while self._turns:
            self.end_next()

    def claim(self, message: llm.ChatMessage) -> UserTurn | None:
        """The oldest turn, if its words are there, which LiveKit adds to the history."""
        if not self.told(message) or not self._turns or not self._turns[0].finals:
            return None
        turn = self._turns[0]
        turn.take_message(message)
        return turn if turn.goes_on() else self.end_next()

    def announce(self, turn: UserTurn | None, event: UserInputTranscribedEvent) -> None:
        """The model will tell the words of a stretch of speech, or has understood none.

        Args:
            turn: Who was spoken in, if that is known.
        """
        if not event.is_final:
            if turn is not None:
                turn.announced += 1
        elif self._turns:
            turn = self._turns[0]
            turn.announced -= 1
            if not turn.goes_on():
                self.end_next()

    def note_told(self, event: UserInputTranscribedEvent) -> None:
        """The model has told what it heard."""
        self._told = Told(getattr(event, "item_id", None), event.transcript)

    def note_taken(self, turn: UserTurn, message: llm.ChatMessage) -> None:
        """A turn was taken with a message that LiveKit adds to the history."""
        self._taken = turn if self.told(message) else None

    def claim_told(self, message: llm.ChatMessage) -> UserTurn | None:
        """The turn that LiveKit calls the hook for with this message, if the model told its words
        before: LiveKit waits for the speech before, and knows no words of its own."""
        turn, self._taken = self._taken, None
        return turn if not message.text_content else None

    def told(self, message: llm.ChatMessage) -> bool:
        """Whether LiveKit adds a message because the model has just told what it heard."""
        return self._told is not None and self._told.is_of(message)
