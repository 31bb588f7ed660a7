"""The facts of a call, as far as it has gone: what the user said, and what the agent did.

Nothing is decided here. Moments are nanoseconds on one monotonic clock; ids are those of the turns'
spans. Which speech answers which question is in :mod:`.answers`, what ended a silence in
:mod:`.silences`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from .sides import AgentSide, ToolRun, UserSide, VoiceCall


@dataclass(frozen=True, slots=True)
class Question:
    """A turn of the user's."""

    id: str
    began: int
    side: UserSide
    has_words: bool = True
    """Something was understood of it, or will be: it is more than a sound."""
    inside: str | None = None
    """The tool call whose ``AgentTask`` it was said to."""
    declined: bool = False
    """The agent's code wanted no answer to it (``StopResponse``): nobody waits for one, but what is
    made for it all the same is one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the agent's audio that was handed to the player as a whole."""

    started: int
    finished: int | None = None
    played: int | None = None
    """How much of it was played; ``None``: not told."""
    interrupted: bool = False
    voice: VoiceCall | None = None
    """The request that its audio came from."""


@dataclass(frozen=True, slots=True)
class Part:
    """What there was of a speech: all of it, or only from where it went on after a task."""

    side: AgentSide
    cause: str | None = None
    """The speech that it came out of: whose context created it, or whose task came back to it."""
    since: int = 0


@dataclass(frozen=True)
class Speech:
    """A speech of LiveKit's: a turn of the assistant's."""

    id: str
    created: int
    parts: tuple[Part, ...]
    """The first is all of it."""
    question: str | None = None
    """The question that LiveKit itself made it for: the message that it generates an answer to, or
    the hook that the program created it in."""
    latest: str | None = None
    """The newest question when it was created."""
    by_program: bool = False
    """The program created it, for none of the turns that LiveKit took."""
    asks_model: bool = False
    """It was created by ``generate_reply``: what is said comes from a model."""
    heard: bool = False
    """Some of it came out: audio was played or, without audio, its text was shown."""
    tool_reply: bool = False
    """A realtime model answers by itself with it to the result of a tool of the speech that it
    came out of."""
    during: Question | None = None
    """The question that was still open when it was first heard, as it was known then."""
    user_until: int | None = None
    """When the user who spoke then stopped, if that was before the speech was over."""
    inside: str | None = None
    """The tool call whose ``AgentTask`` it was said in."""
    ended: int | None = None
    declined: bool = False
    """The tools that it called last wanted no words after them."""
    cut_off: bool = False
    """The user broke it off."""
    tools: tuple[ToolRun, ...] = ()
    segments: tuple[Segment, ...] = ()

    @property
    def side(self) -> AgentSide:
        """All that there was of it."""
        return self.parts[0].side

    @cached_property
    def sounds(self) -> list[int]:
        """When each stretch of it was first heard; nothing, if it was not."""
        found = [moment for moment, _ in self.stretches]
        unseen = self.heard and not found and self.side.playback_started is None
        if unseen and self.ended is not None:
            return [self.ended]  # text alone, of an agent whose nodes nobody saw
        return found

    def part_at(self, moment: int) -> Part:
        """The part that the speech was in at a moment."""
        return next((part for part in reversed(self.parts) if part.since <= moment), self.parts[0])

    @cached_property
    def stretches(self) -> list[tuple[int, Part]]:
        """When each stretch of it was first heard, with the part that it was in, as from there on.

        A speech with a tool has more than one: words, the tool, the rest."""
        return list(self._stretches()) if self.heard else []

    def _stretches(self) -> Iterator[tuple[int, Part]]:
        for part in self.parts:
            sound = part.side.sound()
            if sound is not None and self.part_at(sound[0]) is part:
                yield sound[0], part
        for segment in self.segments[1:]:
            part = self.part_at(segment.started)
            if part.side.playback_started in (None, segment.started):
                continue
            side = replace(
                part.side,
                voices=[segment.voice] if segment.voice is not None else [],
                playback_started=segment.started,
                played_ns=segment.played if segment.interrupted else None,
                previous_ended=None,
                held_until=None,
            )
            if (sound := side.sound()) is not None:
                yield sound[0], replace(part, side=side)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The last questions and speeches of a call, each in the order in which they began."""

    questions: Sequence[Question]
    speeches: Sequence[Speech]

    def question(self, id_: str | None) -> Question | None:
        """The question with this id, if it is known."""
        return next((one for one in self.questions if one.id == id_), None)

    def speech(self, id_: str | None) -> Speech | None:
        """The speech with this id, if it is known."""
        return next((one for one in self.speeches if one.id == id_), None)
