"""What is known of a turn: the moments of both sides. All are nanoseconds on one monotonic clock;
``None``: it was not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .playout import Playout

NOISE_NS = 200_000_000
"""Sound that goes on for so long after the VAD was sure that speech had ended is no speech."""


@dataclass(frozen=True, slots=True)
class UserSide:
    """The user's side: from the last sound to the turn being handed on."""

    heard_until: int | None = None
    """The end of the last audible sound."""
    vad_estimate: int | None = None
    """When the VAD, afterwards, says that speech had ended."""
    vad_ended: int | None = None
    """When the VAD reported it."""
    final_transcript: int | None = None
    committed: int | None = None
    hook_done: int | None = None
    """When ``on_user_turn_completed`` returned."""
    typed: bool = False
    """It came as text: it has no sound, and its end is the moment that it came in."""
    soundless: bool = False
    """Its words are of a sound that an earlier turn has: there is no silence after it."""
    end_of_turn: int | None = None
    """When LiveKit decided that the turn was over, if it says so."""
    ended_by_model: bool = False
    """A realtime model decided by itself that the turn was over: LiveKit waited for nothing."""
    held_by: str | None = None
    """What LiveKit waited for from there until it took the turn: ``previous_speech``, or
    ``tool:NAME``."""

    def is_over(self) -> bool:
        """Whether the user has stopped speaking, as far as is known."""
        return self.vad_ended is not None or self.committed is not None

    def until(self, moment: int, heard: int) -> UserSide:
        """All that a speech can have waited for that was created at a ``moment``, was ``heard``,
        and has nothing to do with the question: what was before it was created, and that the user
        was found to be silent, before which LiveKit lets no speech be heard."""
        return replace(
            self,
            final_transcript=_before(self.final_transcript, moment),
            vad_estimate=_before(self.vad_estimate, moment),
            vad_ended=_before(self.vad_ended, max(moment, heard)),
            end_of_turn=_before(self.end_of_turn, moment),
            committed=_before(self.committed, moment),
            hook_done=_before(self.hook_done, moment),
        )

    def end(self) -> tuple[int, str] | None:
        """When the user was done, and what that is based on."""
        if self.soundless:
            return None
        if self.typed:
            return (self.committed, "text") if self.committed is not None else None
        heard = self.heard_until
        if heard is not None and self.vad_estimate is not None:
            # A detector is late, not early: sound that goes on past it is something else's.
            heard = heard if heard - self.vad_estimate <= NOISE_NS else None
        for moment, basis in (
            (heard, "audio"),
            (self.vad_estimate, "vad"),
            (self.vad_ended, "vad_end"),
            (self.final_transcript, "transcript"),
            (self.committed, "commit"),
        ):
            if moment is not None:
                return moment, basis
        return None


def _before(moment: int | None, limit: int) -> int | None:
    return moment if moment is not None and moment <= limit else None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to the language model."""

    called: int
    first_token: int | None = None
    ended: int | None = None
    tools: tuple[str, ...] = ()
    """The names of the tools that it asked for."""
    realtime: bool = False
    """A reply of a realtime model, which thinks and speaks in one: ``called`` is when the model
    said that it makes one."""


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One call of a tool."""

    name: str
    began: int
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class VoiceCall:
    """One request to the voice: a TTS, or a realtime model."""

    called: int
    text: int | None = None
    """When the voice got its first text."""
    first_frame: int | None = None
    sound_at: int | None = None
    """How far into its audio the first audible sound is."""
    late: Sequence[tuple[int, int]] = ()
    """How the audio came, see :class:`.playout.Playout`."""
    llm: bool = False
    """The audio is the language model's own (a realtime model)."""
    sound_until: int | None = None
    """How far into its audio the last audible sound ends."""


@dataclass(frozen=True, slots=True)
class AgentSide:
    """The agent's side: one speech."""

    created: int
    by_program: bool = False
    """The program had it said by itself, for no turn that LiveKit took: until it was created,
    nothing but the program was waited for."""
    screened: int | None = None
    """When the answering machine detection, which holds speeches back, was done."""
    models: Sequence[ModelCall] = ()
    tools: Sequence[ToolRun] = ()
    voices: Sequence[VoiceCall] = ()
    first_text: int | None = None
    """When its first words came out as text."""
    left: int | None = None
    """When the agent before began to give the call to the one that it is the first speech of."""
    enter_began: int | None = None
    enter_ended: int | None = None
    """``on_enter`` of the agent that it is the first speech of."""
    awaited: ToolRun | None = None
    """The rest of the tool that a task came back to: the speech goes on after it. Everything of the
    speech before that is left out."""
    previous_ended: int | None = None
    """When the speech before it was over."""
    held_until: int | None = None
    """When LiveKit let its audio be played, after it had held it back for a sound of the user's
    that was no interruption."""
    playback_started: int | None = None
    played_ns: int | None = None
    """How much of its first stretch of audio was played; ``None``: all, or it still plays."""
    silent: bool = False
    """It was stopped before anything of it could be heard."""
    cause: AgentSide | None = None
    """The speech whose tool, or handoff, said this one."""

    def spoken_by(self) -> VoiceCall | None:
        """The call of the voice that its first sound comes from."""
        heard = (voice for voice in self.voices if voice.first_frame is not None)
        return min(heard, key=lambda voice: voice.first_frame or 0, default=None)

    def sound(self) -> tuple[int, str] | None:
        """When it was first heard, and what that is based on."""
        if self.silent:
            return None
        voice = self.spoken_by()
        if self.playback_started is not None:
            if voice is None or voice.sound_at is None:
                return self.playback_started, "playback"
            if self.played_ns is not None and self.played_ns <= voice.sound_at:
                return None  # stopped within the leading silence
            playout = Playout(self.playback_started, voice.late)
            return playout.moment(voice.sound_at), "audio"
        if voice is not None and voice.first_frame is not None:
            if voice.sound_at is None:
                return voice.first_frame, "first_frame"
            return Playout(voice.first_frame, voice.late).moment(voice.sound_at), "first_frame"
        return (self.first_text, "text") if self.first_text is not None else None

    def models_before(self, voice: VoiceCall | None) -> Sequence[ModelCall]:
        """The requests to the model that what the voice says can have come from."""
        if voice is None:
            return self.models
        text = voice.called if voice.text is None else voice.text
        return [model for model in self.models if model.called <= text]
