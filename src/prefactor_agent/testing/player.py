"""Play a recorded call to an agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from livekit.agents import Agent, AgentSession
from pydantic import ValidationError

from ..replay import Recording, recording
from ..stored.span import StoredSpan
from .caller import CallerMicrophone
from .conversation import Conversation
from .hearing import Place, ReplaySTT, ReplayVAD
from .models import ReplayLLM, ReplayTTS, sample_rate_of
from .script import ReplayMismatch, Script
from .voice import CallerVoice

PATIENCE = 10.0
"""Seconds that the caller waits for what the recorded agent did, beyond the time it took."""


def replay(
    call: str | PathLike[str] | Recording | Sequence[StoredSpan],
    *,
    speed: float = 1.0,
    tool_results: Literal["same", "any"] = "same",
    words: Literal["same", "any"] = "same",
    voice: str | PathLike[str] | None = None,
    patience: float = PATIENCE,
) -> Replay:
    """A recorded call, to be played to an agent.

    Args:
        call: A file written by ``prefactor-agent export --format replay``; or the spans of a call
            that the test itself recorded (``trace.calls[0].spans``).
        speed: How many times faster than it was. What LiveKit itself waits for (endpointing,
            ``aec_warmup_duration`` …) takes as long as ever, and ``latency`` means little then.
        tool_results: ``same``: a tool has to return what it returned, as the recorded LLM answered
            to that. ``any``: the recorded answer is given whatever the tool returns.
        words: ``same``: the caller has to be understood as they were. ``any``: the recorded answer
            is given whatever another STT made of it.
        voice: The recording of the call (``prefactor-agent export --format ogg``): the caller
            speaks with their own voice, which any STT and VAD understands. At ``speed=1`` only.
        patience: Seconds that the caller waits for an answer that was recorded.

    Raises:
        ValueError: The file is none of ours, or of a newer version; or the recording is that of
            another call.
        OSError: The file cannot be read.
        NotReplayableError: The spans lack words that a replay needs.
    """
    if speed <= 0:
        raise ValueError(f"speed must be above 0, not {speed}")
    if voice is not None and speed != 1:
        raise ValueError(f"a real voice is played at speed=1, not {speed}")
    if isinstance(call, str | PathLike):
        recorded = _read(Path(call))
    else:
        recorded = call if isinstance(call, Recording) else recording(call)
    script = Script(recorded, any_result=tool_results == "any", any_words=words == "any")
    real = CallerVoice(Path(voice), recorded) if voice is not None else None
    return Replay(recorded, script, CallerMicrophone(speed, real), speed, patience)


def _read(path: Path) -> Recording:
    try:
        return Recording.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(
            f"{path} is no replay file that this version reads ({where}: {first['msg']}): write it "
            "with prefactor-agent export --format replay"
        ) from None


class Replay:
    """The models and the caller of one recorded call; good for one run.

    Give ``stt``, ``llm``, ``tts`` and ``vad`` to the ``AgentSession``, or models of your own in
    the place of some, and the session with the agent to :meth:`run`."""

    def __init__(
        self,
        recorded: Recording,
        script: Script,
        microphone: CallerMicrophone,
        speed: float,
        patience: float,
    ) -> None:
        self.recording = recorded
        self._script = script
        self._microphone = microphone
        self._speed = speed
        self._patience = patience
        self._left: asyncio.Future[None] | None = None
        self.mismatch: ReplayMismatch | None = None
        """Where the new run left the recorded one; ``None``: it has not."""
        turns = recorded.turns
        self.stt = ReplaySTT(turns, self._place)
        self.llm = ReplayLLM(script, speed, self._leave)
        self.tts = ReplayTTS(script, speed, sample_rate_of(recorded))
        self.vad = ReplayVAD(turns, self._place)

    def __repr__(self) -> str:
        said = ", ".join(f"“{turn.text}”" for turn in self.recording.turns)
        return f"<Replay of {self.recording.agent}, {self.recording.started_at}: {said}>"

    async def run(self, session: AgentSession[Any], agent: Agent, **start: Any) -> None:
        """Start the session, play the whole call, and close the session.

        Args:
            session: Not started yet; its audio input and output become the caller's.
            agent: The agent under test.
            **start: For ``session.start``.

        Raises:
            ReplayMismatch: The agent asked its LLM what was not recorded, did not answer, or ended
                the call before the recorded one ended. The message says where.
            RuntimeError: It was played already.
        """
        if self._left is not None:
            raise RuntimeError("a replay is good for one run: make another one with replay()")
        loop = asyncio.get_running_loop()
        self._left = loop.create_future()
        caller = Conversation(
            self.recording, session, self._microphone, self._speed, self._patience
        )
        conversation = asyncio.create_task(caller.hold(agent, start))
        try:
            ends: list[asyncio.Future[Any]] = [conversation, self._left, caller.closed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if conversation.done():
                await conversation
            elif self.mismatch is None:
                self.mismatch = caller.left_unsaid()
        except ReplayMismatch as mismatch:
            self.mismatch = self.mismatch or mismatch
        finally:
            conversation.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await conversation
            await caller.hang_up()
        if self.mismatch is None and self.llm in (session.llm, agent.llm):
            unasked = self._script.unasked()
            self.mismatch = ReplayMismatch(unasked) if unasked is not None else None
        if self.mismatch is not None:
            raise self.mismatch

    def _place(self) -> Place:
        return self._microphone.place

    def _leave(self, mismatch: ReplayMismatch) -> bool:
        """Returns whether somebody acts on it."""
        self.mismatch = self.mismatch or mismatch
        if self._left is None:
            return False
        if not self._left.done():
            self._left.set_result(None)
        return True
