"""When the recorded caller speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents.voice.transcription import TranscriptSynchronizer

from ..replay import Recording, UserTurn
from .caller import CallerMicrophone
from .hearing import Place, speech_ends_us
from .script import ReplayMismatch
from .speaker import Speaker


class Conversation:
    """Speaks when the recorded user would have: after the agent's answer, however long the new one
    is, and then after the recorded pause; or over it, as far into it."""

    def __init__(
        self,
        recording: Recording,
        session: AgentSession[Any],
        microphone: CallerMicrophone,
        speed: float,
        patience: float,
    ) -> None:
        self._turns = recording.turns
        self._recording = recording
        self._session = session
        self._microphone = microphone
        self._speed = speed
        self._patience = patience
        self._spoken = any(turn.modality != "text" for turn in self._turns)
        self._ear = Speaker(speed=speed)
        self._synchronizer: TranscriptSynchronizer | None = None
        self._changed = asyncio.Event()
        self._answers: list[Place] = []
        """Where in the recorded call the caller was when the agent was heard to begin."""
        self._next: UserTurn | None = self._turns[0]
        """What is still to be said."""
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """The session closed by itself; LiveKit's word for why."""
        self._listeners: dict[Any, Callable[[Any], None]] = {
            "agent_state_changed": self._note,
            "conversation_item_added": self._on_item,
            "close": self._on_close,
        }

    async def hold(self, agent: Agent, start: dict[str, Any]) -> None:
        """The whole conversation."""
        for event, listener in self._listeners.items():
            self._session.on(event, listener)
        if self._spoken:
            # As in a room: of an interrupted answer, what was heard is what is remembered.
            self._synchronizer = TranscriptSynchronizer(
                next_in_chain_audio=self._ear, next_in_chain_text=None, speed=self._speed
            )
            self._ear.on("playback_started", self._on_voice)
            self._ear.on("playback_finished", self._note)
            self._session.input.audio = self._microphone
            self._session.output.audio = self._synchronizer.audio_output
            self._session.output.transcription = self._synchronizer.text_output
        await self._session.start(agent, **start)
        before: UserTurn | None = None
        for turn in self._turns:
            self._next = turn
            await self._wait_for(turn, before)
            self._microphone.say(turn)
            if turn.modality == "text":
                self._session.generate_reply(user_input=turn.text)
            else:
                await self._said(turn)
            before = turn
        self._next = None
        assert before is not None
        if before.modality != "text":
            await self._said(before, detected=True)
        if any(one.turn == before.number and one.output.text for one in self._recording.requests):
            await self._answered(before, quiet=0.2)

    async def hang_up(self) -> None:
        for event, listener in self._listeners.items():
            self._session.off(event, listener)
        await self._session.aclose()
        if self._synchronizer is not None:
            await self._synchronizer.aclose()

    async def _wait_for(self, turn: UserTurn, before: UserTurn | None) -> None:
        pause = turn.pause_us / 1e6 / self._speed
        if turn.over_us is not None:
            await self._talking(turn, before)
        elif turn.answered:
            await self._answered(before, quiet=pause)
        else:
            if before is not None and before.modality != "text":
                await self._said(before, detected=True)
            await asyncio.sleep(pause)

    async def _said(self, turn: UserTurn, *, detected: bool = False) -> None:
        """Wait until a turn was said."""
        limit = self._microphone.ends_us(turn, detected=detected) / 1e6 / self._speed
        try:
            async with asyncio.timeout(limit + self._patience):
                await self._microphone.said(turn, detected=detected)
        except TimeoutError:
            raise ReplayMismatch(
                f"the caller could not say user turn {turn.number}, “{turn.text}”: the session "
                "does not take in audio"
            ) from None

    def left_unsaid(self) -> ReplayMismatch | None:
        """The session closed: whether the recorded user went on."""
        if self._next is None:
            return None
        return ReplayMismatch(
            f"the new run ended before user turn {self._next.number} was over, "
            f"“{self._next.text}”: the session closed ({self.closed.result()})"
        )

    async def _answered(self, before: UserTurn | None, quiet: float) -> None:
        """Wait until the agent has spoken since the user's turn ``before``, and has then been
        silent for so many seconds."""
        while True:
            await self._until(lambda: self._spoke_since(before) and self._listens(), before)
            self._changed.clear()
            try:
                async with asyncio.timeout(quiet):
                    while self._listens():
                        await self._changed.wait()
                        self._changed.clear()
            except TimeoutError:
                return

    async def _talking(self, turn: UserTurn, before: UserTurn | None) -> None:
        """Wait until the agent has spoken for as long as when the user cut in, or has finished."""
        over = (turn.over_us or 0) / 1e6
        await self._until(lambda: self._spoke_since(before), before)
        # No event reports a position: it is asked for again when it should be reached.
        while self._playing and self._ear.position < over:  # noqa: ASYNC110
            await asyncio.sleep(max(0.005, (over - self._ear.position) / self._speed))

    async def _until(self, condition: Callable[[], bool], before: UserTurn | None) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise ReplayMismatch(
                f"the caller waited {self._patience:g} s {_after(before)}: the recorded agent "
                f"answered, the new one did not (it is {self._session.agent_state})"
            ) from None

    @property
    def _playing(self) -> bool:
        return self._ear.playing

    def _listens(self) -> bool:
        return self._session.agent_state in ("listening", "idle") and not self._playing

    def _spoke_since(self, before: UserTurn | None) -> bool:
        since = (before.number, speech_ends_us(before)) if before is not None else (0, -1)
        return any(place >= since for place in self._answers)

    def _on_voice(self, event: Any) -> None:
        self._answers.append(self._microphone.place)
        self._changed.set()

    def _on_item(self, event: Any) -> None:
        # Where nothing is played, the agent's words are all that is noticed of it.
        if not self._spoken and getattr(event.item, "role", "") == "assistant":
            self._answers.append(self._microphone.place)
        self._changed.set()

    def _on_close(self, event: Any) -> None:
        if not self.closed.done():
            self.closed.set_result(str(getattr(event.reason, "value", event.reason)))

    def _note(self, event: Any) -> None:
        self._changed.set()


def _after(before: UserTurn | None) -> str:
    return f"after user turn {before.number}, “{before.text}”" if before else "for the first words"
