"""A way to write a call down by hand, as it was heard. Times are seconds into the call.

    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(heard=1.4, until=2.0, answers=q1)
    assert call.silences() == [Silence(q1, ended_by=a1, ms=700)]

What is not written down is filled in with what is usual: a VAD that needs 200 ms, a final
transcript at its end, a model and a voice that were asked just before the first sound. Whether a
question was still open when a speech was first heard, and which was the newest when it was created,
follows from the times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from prefactor_agent.conversation import (
    AgentSide,
    Latency,
    ModelCall,
    Part,
    Question,
    Segment,
    Speech,
    Timeline,
    ToolRun,
    UserSide,
    VoiceCall,
    latency_of,
    later_answer,
    silence_ended_by,
)

VAD = 0.2
"""How long the voice detector takes to be sure that the user has stopped."""
LEAD = 0.05
"""How much silence each stretch of the agent's audio begins with."""
_EPOCH = 5_000_000_000_000


def ns(seconds: float) -> int:
    """A moment of the call on the clock of the facts."""
    return _EPOCH + round(seconds * 1_000_000) * 1000


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else ns(seconds)


def _length(seconds: float) -> int:
    return round(seconds * 1_000_000) * 1000


@dataclass(frozen=True)
class Tool:
    """A call of a tool; ``ended=None``: it still runs."""

    name: str
    began: float
    ended: float | None = None


@dataclass(frozen=True)
class Silence:
    """A silence as a test expects it."""

    question: str
    ended_by: str
    ms: float
    filler: bool = False


@dataclass(frozen=True)
class User:
    """A turn of the user's, with each of its sounds."""

    id: str
    sounds: Sequence[tuple[float, float]]
    committed: float | None
    side: dict[str, Any]
    more: dict[str, Any]

    @property
    def began(self) -> float:
        return self.sounds[0][0]

    def known(self, until: float | None = None) -> Question:
        """The facts of it, as they are known at a moment of the call."""
        heard = [
            (begin, end)
            for begin, end in self.sounds
            if until is None or (begin <= until and end + VAD <= until)
        ]
        speaks_again = until is not None and any(
            begin <= until and (begin, end) not in heard for begin, end in self.sounds
        )
        end = heard[-1][1] if heard else None
        vad = end + VAD if end is not None and not speaks_again else None
        moments: dict[str, float | None] = {
            "vad_ended": vad,
            "final_transcript": vad,
            "committed": self.committed,
            "hook_done": self.committed,
            **self.side,
        }
        if "heard_until" in moments:
            end = moments.pop("heard_until")  # nobody measured its loudness
        typed = moments.pop("typed", False)
        soundless = moments.pop("soundless", False)
        if typed or soundless:
            end = None
            moments |= {"vad_ended": None}
        before = {
            name: moment if until is None or moment is None or moment <= until else None
            for name, moment in moments.items()
        }
        return Question(
            id=self.id,
            began=ns(self.began),
            side=UserSide(
                heard_until=_ns(end),
                typed=bool(typed),
                soundless=bool(soundless),
                **{name: _ns(moment) for name, moment in before.items()},
            ),
            **self.more,
        )


@dataclass(frozen=True)
class Agent:
    """A speech of the agent's, with each stretch of its audio from its first to its last sound."""

    id: str
    created: float
    sounds: Sequence[tuple[float, float]] = ()
    shown: float | None = None
    """When its text came out, without audio."""
    answers: str | None = None
    asks_model: bool = True
    by_program: bool = False
    screened: float | None = None
    realtime: bool = False
    cause: str | None = None
    tools: Sequence[Tool] = ()
    entered: tuple[float, float, float] | None = None
    """The agent before began to leave, ``on_enter`` began and ended."""
    resumed: tuple[float, Tool, str] | None = None
    """A task came back: when, to which tool, and the last speech of the task."""
    previous_ended: float | None = None
    inside: str | None = None
    ended: float | None = None
    interrupted: bool = False
    played: float | None = None
    """Seconds that were played of the last stretch."""
    reports_playback: bool = True
    thinks: float = 0.15
    """From a request to the model to its first token."""

    def _before(self, until: float | None) -> Iterator[tuple[float, float]]:
        for heard, ended in self.sounds:
            if until is None or heard - LEAD <= until:
                yield heard, ended

    def known(self, until: float | None, questions: Sequence[User]) -> Speech:
        """The facts of it, as they are known at a moment of the call."""
        sounds = list(self._before(until))
        tools = [tool for tool in self.tools if until is None or tool.began <= until]
        runs = tuple(
            ToolRun(
                tool.name,
                ns(tool.began),
                _ns(tool.ended) if until is None or (tool.ended or 0) <= until else None,
            )
            for tool in tools
        )
        voices = [self._voice(heard, ended) for heard, ended in sounds]
        segments = tuple(self._segments(sounds, voices, until))
        models = [model for model in self._models() if until is None or model.called <= ns(until)]
        shown = self.shown if until is None or (self.shown or 0) <= until else None
        parts = [Part(self._side(models, runs, voices, segments, shown, 0.0), self.cause)]
        if self.resumed is not None and (until is None or self.resumed[0] <= until):
            at, tool, last = self.resumed
            parts.append(
                Part(self._side(models, runs, voices, segments, shown, at, tool), last, ns(at))
            )
        first = segments[0].started if segments else _ns(shown)
        during = _open_at(questions, segments, self.resumed is not None)
        ended = self.ended if until is None or (self.ended or 0) <= until else None
        return Speech(
            id=self.id,
            created=ns(self.created),
            parts=tuple(parts),
            question=self.answers,
            latest=_latest(questions, self.created),
            asks_model=self.asks_model,
            by_program=self.by_program,
            heard=first is not None,
            during=during,
            user_until=_heard_over_until(questions, during, until),
            inside=self.inside,
            ended=_ns(ended),
            tools=runs,
            segments=segments,
        )

    def _models(self) -> Iterator[ModelCall]:
        if not self.asks_model or self.realtime:
            return
        called = self.created
        for tool in self.tools:
            yield self._model(called, tool.began, (tool.name,))
            if tool.ended is None:
                return
            called = tool.ended
        heard = [heard for heard, _ in self.sounds if heard > called]
        if self.tools and not heard:
            return  # the tool's result went to nobody, or another agent has the call
        until = heard[0] - LEAD if heard else None
        yield self._model(called, until, ())

    def _model(self, called: float, until: float | None, tools: tuple[str, ...]) -> ModelCall:
        first = called + self.thinks
        if until is not None:
            first = min(first, until)
        return ModelCall(ns(called), ns(first), ns(first if until is None else until), tools)

    def _voice(self, heard: float, ended: float) -> VoiceCall:
        frame = heard - LEAD
        asked = max(self.created, frame - 0.1)
        return VoiceCall(
            called=ns(asked),
            text=None if self.realtime else ns(asked),
            first_frame=ns(frame),
            sound_at=_length(LEAD),
            late=((0, ns(frame)),),
            llm=self.realtime,
            sound_until=_length(LEAD + ended - heard),
        )

    def _segments(
        self,
        sounds: Sequence[tuple[float, float]],
        voices: Sequence[VoiceCall],
        until: float | None,
    ) -> Iterator[Segment]:
        if not self.reports_playback:
            return
        for number, ((heard, ended), voice) in enumerate(zip(sounds, voices, strict=True), 1):
            last = number == len(self.sounds)
            over = until is None or ended <= until
            yield Segment(
                started=ns(heard - LEAD),
                finished=ns(ended) if over else None,
                played=_length(self.played) if last and over and self.played is not None else None,
                interrupted=self.interrupted and last and over,
                voice=voice,
            )

    def _side(
        self,
        models: Sequence[ModelCall],
        tools: Sequence[ToolRun],
        voices: Sequence[VoiceCall],
        segments: Sequence[Segment],
        shown: float | None,
        since: float,
        awaited: Tool | None = None,
    ) -> AgentSide:
        begin = ns(since)
        segment = next((one for one in segments if one.started >= begin), None)
        left, entered, entry_ended = self.entered or (None, None, None)
        return AgentSide(
            created=max(begin, ns(self.created)),
            screened=_ns(self.screened),
            models=[one for one in models if one.called >= begin],
            tools=[one for one in tools if one.began >= begin],
            voices=[one for one in voices if one.called >= begin],
            first_text=_ns(shown),
            left=_ns(left),
            enter_began=_ns(entered),
            enter_ended=_ns(entry_ended),
            awaited=ToolRun(awaited.name, begin, _ns(awaited.ended)) if awaited else None,
            previous_ended=_ns(self.previous_ended),
            playback_started=segment.started if segment is not None else None,
            played_ns=segment.played if segment is not None and segment.interrupted else None,
            silent=self.interrupted and segment is None,
        )


def _latest(questions: Iterable[User], moment: float) -> str | None:
    """The newest question at a moment that is more than a sound."""
    worded = [one for one in questions if one.more.get("has_words", True)]
    before = [one.id for one in worded if one.began <= moment]
    return before[-1] if before else None


def _open_at(
    questions: Iterable[User], segments: Sequence[Segment], again: bool
) -> Question | None:
    """The question that was open when a speech was first heard; after a task, that of the last
    time that there was one."""
    found = None
    for segment in segments if again else segments[:1]:
        moment = (segment.started - _EPOCH) / 1e9
        for user in questions:
            if user.side.get("typed"):
                continue
            if user.began <= moment and (user.committed is None or user.committed > moment):
                found = user.known(moment)
    return found


def _heard_over_until(
    questions: Iterable[User], during: Question | None, until: float | None
) -> int | None:
    """When the user who spoke then stopped, as it is known at a moment."""
    over = (one for one in questions if during is not None and one.id == during.id)
    user = next(over, None)
    return user.known(until).side.heard_until if user is not None else None


@dataclass
class Call:
    """A call that is written down."""

    users: list[User] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)

    def user(
        self,
        began: float,
        ended: float,
        *more: tuple[float, float],
        committed: float | None,
        words: bool = True,
        declined: bool = False,
        inside: str | None = None,
        **moments: Any,
    ) -> str:
        """The user speaks, with pauses if there are more sounds; LiveKit takes it as a turn."""
        rest = {"has_words": words, "declined": declined, "inside": inside}
        id_ = f"q{len(self.users) + 1}"
        self.users.append(User(id_, [(began, ended), *more], committed, moments, rest))
        return id_

    def types(self, at: float, **more: Any) -> str:
        """The user types, or the program passes words on."""
        moments = {"typed": True, "final_transcript": None, "hook_done": None}
        return self.user(at, at, committed=at, **moments, **more)

    def late_words(self, at: float, committed: float, **more: Any) -> str:
        """Words come out of the STT whose sound was that of the turn before."""
        return self.user(at, at, committed=committed, soundless=True, final_transcript=at, **more)

    def agent(
        self,
        heard: float | None = None,
        until: float | None = None,
        *,
        answers: str | None = None,
        created: float | None = None,
        then: Sequence[tuple[float, float]] = (),
        **more: Any,
    ) -> str:
        """The agent speaks, or would have: LiveKit or the program had the model answer.

        Args:
            then: The later stretches of the same speech.
        """
        if created is None:
            asked = next((one for one in self.users if one.id == answers), None)
            created = asked.committed if asked is not None else None
        if created is None:
            assert heard is not None
            created = heard - 0.3
        sounds = [] if heard is None else [(heard, heard + 0.6 if until is None else until), *then]
        if "ended" not in more and sounds:
            more["ended"] = sounds[-1][1]
        id_ = f"a{len(self.agents) + 1}"
        self.agents.append(Agent(id_, created, sounds, answers=answers, **more))
        return id_

    def say(
        self, heard: float, until: float | None = None, *, created: float | None = None, **more: Any
    ) -> str:
        """The program says words of its own."""
        created = heard - LEAD if created is None else created
        return self.agent(heard, until, created=created, asks_model=False, **more)

    def timeline(self, until: float | None = None) -> Timeline:
        """The facts of the call, as far as it has gone at a moment."""
        questions = sorted(self.users, key=lambda one: one.began)
        speeches = sorted(self.agents, key=lambda one: one.created)
        return Timeline(
            [one.known(until) for one in questions if until is None or one.began <= until],
            [
                one.known(until, questions)
                for one in speeches
                if until is None or one.created <= until
            ],
        )

    def silences(self, until: float | None = None) -> list[Silence]:
        """The silences of the call, by what ended them."""
        return silences_of(self.timeline(until))

    def latency(self, speech: str) -> Latency | None:
        timeline = self.timeline()
        found = timeline.speech(speech)
        assert found is not None
        return latency_of(timeline, found)

    def stages(self, speech: str) -> list[str]:
        """The names of the stages of the silence that a speech ended."""
        latency = self.latency(speech)
        assert latency is not None
        assert sum(stage.us for stage in latency.stages) == latency.perceived_us
        return [stage.name for stage in latency.stages]

    def answer_ms(self, speech: str) -> tuple[str, float] | None:
        """The speech that was heard before an answer, and how long that was waited for."""
        timeline = self.timeline()
        found = timeline.speech(speech)
        assert found is not None
        later = later_answer(timeline, found)
        return (later.first_sound_by, later.wait_us / 1000) if later is not None else None


def silences_of(timeline: Timeline) -> list[Silence]:
    """The silences of a timeline in the order in which they ended."""
    found: list[tuple[int, Silence]] = []
    for speech in timeline.speeches:
        ended, latency = silence_ended_by(timeline, speech), latency_of(timeline, speech)
        assert (ended is None) == (latency is None), speech.id
        if ended is None or latency is None or latency.early:
            continue
        silence = Silence(
            ended.question.id, speech.id, latency.perceived_us / 1000, filler=latency.filler
        )
        found.append((latency.end, silence))
    return [silence for _, silence in sorted(found, key=lambda pair: pair[0])]


def shuffled(timeline: Timeline, order: Sequence[int]) -> Timeline:
    """The same timeline with its speeches in another order."""
    return replace(timeline, speeches=[timeline.speeches[place] for place in order])
