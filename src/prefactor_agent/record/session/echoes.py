"""What came in of the caller while the agent spoke, kept until it is known whether the agent's own
voice was in it (:mod:`..audio.echo`, which looks for it off the event loop)."""

from __future__ import annotations

from ...core.guard import guarded
from ..audio.echo import LEAST_MS
from ..audio.user_voice import UserVoice
from ..turns.turn import AssistantTurn, HeardMeanwhile


class Echoes:
    """Keeps the sound of both sides of each speech of one session's.

    A speech in several stretches, or with pauses, is left out: what was played when is not known
    to the hundredth of a second there, and a call has other speeches."""

    def __init__(self, voice: UserVoice) -> None:
        self._voice = voice

    @guarded("echo.speech_over")
    def on_speech_over(self, turn: AssistantTurn) -> None:
        """A speech is over."""
        rate = self._voice.sample_rate
        if rate is None or turn.pauses or len(turn.segments) != 1 or len(turn.voices) != 1:
            return
        (segment,), (heard,) = turn.segments, turn.voices
        if (segment.position_s or 0.0) * 1000 < LEAST_MS:
            return
        turn.heard_meanwhile = HeardMeanwhile(
            segment.started_ns,
            round((segment.position_s or 0.0) * 1e9),
            heard.voice,
            rate,
            self._voice.frames_since(segment.started_ns),
        )
