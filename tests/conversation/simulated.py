"""Random calls of which the truth is known: who was heard when, kept beside the facts.

A simulated call plays a user who asks, pauses, goes on, types, cuts in or waits, and an agent that
answers, says something before it, drops answers, calls tools and hands over. Times are in
hundredths of a second. The truth needs the sounds of both voices, and what each speech was made
for; the rules of :mod:`prefactor_agent.conversation` are not in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import strategies as st

from conversation.timelines import Agent, Call, Tool

LEAD = 5
VAD = 20


class Sound(NamedTuple):
    """A stretch of one voice."""

    began: int
    ended: int
    of: str
    """The question or the speech."""


class TrueSilence(NamedTuple):
    """A silence as it was heard."""

    question: str
    ended_by: str
    began: int
    ended: int


@dataclass
class Truth:
    """What was heard, and what each speech was made for."""

    user: list[Sound] = field(default_factory=list)
    agent: list[Sound] = field(default_factory=list)
    asked: list[tuple[int, str]] = field(default_factory=list)
    """When each question with words began."""
    answers: dict[str, str | None] = field(default_factory=dict)
    declined: set[str] = field(default_factory=set)
    sound_of: dict[str, str] = field(default_factory=dict)
    """The question whose sound the late words of another are of."""

    def silences(self) -> Iterator[TrueSilence]:
        """From the user's last sound to the first of the agent's after it."""
        for sound in sorted(self.agent):
            before = [one for one in self.user if one.began < sound.began]
            if not before or before[-1].ended > sound.began:
                continue
            last = before[-1]
            if any(last.ended <= other.began < sound.began for other in self.agent):
                continue
            answered = self.answers[sound.of]
            if last.of in self.declined and self.sound_of.get(answered or "", answered) != last.of:
                continue
            yield TrueSilence(last.of, sound.of, last.ended, sound.began)


@dataclass
class Reply:
    """A speech that is being planned."""

    created: int
    sounds: list[tuple[int, int]] = field(default_factory=list)
    answers: str | None = None
    asks_model: bool = True
    cause: Reply | None = None
    tools: list[tuple[int, int]] = field(default_factory=list)
    entered: bool = False
    goes_on: bool = False
    """The user may not interrupt it."""
    later: bool = False
    """The program had the model answer what was asked last."""
    id: str = ""
    interrupted: bool = False
    ended: int = 0

    def stop(self, at: int) -> None:
        """The user speaks: what was not heard yet never is, and what is heard ends soon."""
        if self.goes_on:
            return
        kept = [(begin, end) for begin, end in self.sounds if begin - LEAD < at]
        if kept and kept[-1][1] > at + 10:
            kept[-1] = (kept[-1][0], max(at + 10, kept[-1][0] + 1))
            self.interrupted = True
        elif len(kept) < len(self.sounds):
            self.interrupted = not kept
        self.sounds = kept


class Simulation:
    """A call in the making.

    Args:
        draw: Chooses a value of a Hypothesis strategy.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._now = 0
        self._call = Call()
        self._background: Reply | None = None
        """An answer of which a tool goes on, and may report."""
        self.truth = Truth()

    def _some(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def _maybe(self) -> bool:
        return self._draw(st.booleans())

    def run(self) -> Call:
        """Play a greeting and some exchanges."""
        if self._maybe():
            self._keep([Reply(2, [(10, 10 + self._some(5, 200))], asks_model=False)], None)
        for _ in range(self._some(1, 5)):
            self._exchange()
        return self._call

    def _exchange(self) -> None:
        kind = self._draw(
            st.sampled_from(["asked", "asked", "asked", "declined", "typed", "noise"])
        )
        began = self._now + self._some(1, 300)
        while any(sound.began == began for sound in self.truth.agent):
            began += 1  # what is first when both are at once, nobody can say
        if kind == "noise":
            ended = began + self._some(3, 15)
            self._call.user(began / 100, ended / 100, committed=None, words=False)
            self._now = ended + 1
            return
        planned: list[Reply] = []
        if kind == "typed":
            ended = committed = began
            question = self._call.types(began / 100)
            self.truth.user.append(Sound(began, began, question))
            self.truth.asked.append((began, question))
        else:
            question, ended, committed = self._spoken(began, kind == "declined", planned)
        if kind == "declined":
            self.truth.declined.add(question)
            self._after_declined(question, committed, planned)
        else:
            self._answered(question, committed, planned)
            if kind == "asked" and self._maybe():
                committed = self._late_words(question, committed, planned)
        self._goes_on(ended, committed, planned)

    def _spoken(self, began: int, declined: bool, planned: list[Reply]) -> tuple[str, int, int]:
        """A question aloud, with or without a pause, in which the program may say something."""
        sounds = [(began, began + self._some(10, 100))]
        # What a question was like when the later part of a speech was heard, nobody notes.
        heard_on = any(sound.began + LEAD >= began for sound in self.truth.agent)
        if not heard_on and self._maybe():
            pause, first = self._some(30, 150), sounds[0][1]
            sounds.append((first + pause, first + pause + self._some(10, 100)))
            if pause > VAD + LEAD + 2 and self._maybe():
                self._timer(first + self._some(VAD + LEAD + 1, pause - 1), planned)
        elif self._maybe():
            self._timer(began + self._some(LEAD + 1, 60), planned)
        ended = sounds[-1][1]
        committed = ended + self._some(VAD + 2, 150)
        pairs = [(begin / 100, end / 100) for begin, end in sounds]
        question = self._call.user(
            *pairs[0], *pairs[1:], committed=committed / 100, declined=declined
        )
        self.truth.user += [Sound(begin, end, question) for begin, end in sounds]
        self.truth.asked.append((began, question))
        if not planned and self._maybe():
            self._timer(ended + self._some(LEAD + 1, 140), planned)
        elif not planned and self._background is not None and self._maybe():
            self._timer(ended + self._some(LEAD + 2, 140), planned)
            planned[0].cause = self._background
        return question, ended, committed

    def _timer(self, heard: int, planned: list[Reply]) -> None:
        """The program says something of its own."""
        while any(sound.began == heard for sound in self.truth.agent):
            heard += 1  # one speech is played after the other
        sounds = [(heard, heard + self._some(5, 60))]
        planned.append(Reply(heard - LEAD - 1, sounds, asks_model=False))

    def _after(self, at: int, planned: list[Reply]) -> int:
        """When something can be heard next: one speech is played after the other."""
        earlier = (sound.ended for sound in self.truth.agent)
        busy = max([*earlier, *(end for reply in planned for _, end in reply.sounds)], default=0)
        return max(at, busy) + LEAD + self._some(2, 100)

    def _after_declined(self, question: str, committed: int, planned: list[Reply]) -> None:
        """The hook wants no answer of LiveKit's: it may speak itself, now or later."""
        how = self._draw(st.sampled_from(["nothing", "hook", "say", "model"]))
        if how == "nothing":
            return
        heard = self._after(committed + 2, planned)
        sounds = [(heard, heard + self._some(5, 100))]
        if how == "hook":
            planned.append(Reply(committed + 1, sounds, question, asks_model=False))
        else:
            created = heard - LEAD - 1
            planned.append(Reply(created, sounds, asks_model=how == "model", later=how == "model"))

    def _answered(self, question: str, committed: int, planned: list[Reply]) -> None:
        typed = any(sound == (committed, committed, question) for sound in self.truth.user)
        if not typed and self._maybe():  # generated ahead, and not used
            planned.append(Reply(committed - 1, answers=question))
        if self._maybe():
            heard = self._after(committed + 1, planned)
            sounds = [(heard, heard + self._some(5, 60))]
            planned.append(Reply(committed, sounds, question, asks_model=False))
        answer = Reply(committed + 1, answers=question)
        planned.append(answer)
        how = self._draw(
            st.sampled_from(["plainly", "plainly", "tool", "filler", "preamble", "handoff"])
        )
        if how == "preamble":
            heard = self._after(committed + 1, planned)
            answer.sounds.append((heard, heard + self._some(5, 60)))
            answer.goes_on = self._maybe()
        if how != "plainly":
            self._use_tool(how, answer, planned)
        else:
            heard = self._after(committed + 1, planned)
            answer.sounds.append((heard, heard + self._some(5, 200)))
        answer.ended = max((end for _, end in answer.sounds), default=committed + 2)
        if how == "handoff":
            answer.ended = answer.tools[-1][1]

    def _late_words(self, question: str, committed: int, planned: list[Reply]) -> int:
        """The STT sends more words of the same sound: LiveKit makes a turn of them, and drops what
        it was about to say."""
        came = committed + self._some(2, 150)
        taken = came + self._some(1, 50)
        late = self._call.late_words(came / 100, committed=taken / 100)
        self.truth.asked.append((came, late))
        self.truth.sound_of[late] = question
        planned[:] = [reply for reply in planned if reply.created < taken]
        for reply in planned:
            reply.stop(taken)
        heard = self._after(taken + 1, planned)
        sounds = [(heard, heard + self._some(5, 100))]
        planned.append(Reply(taken + 1, sounds, late))
        return taken

    def _use_tool(self, how: str, answer: Reply, planned: list[Reply]) -> None:
        began = answer.created + self._some(1, 30)
        ended = began + self._some(1, 300)
        if how in ("filler", "handoff"):
            created = self._some(began, ended) if how == "filler" else ended + 1
            heard = self._after(created + 1, planned)
            sounds = [(heard, heard + self._some(5, 60))]
            words = Reply(created, sounds, asks_model=False, cause=answer)
            words.entered = how == "handoff"
            planned.append(words)
        elif self._maybe():  # a watchdog
            self._timer(self._after(began, planned), planned)
        answer.tools.append((began, ended))
        if how != "handoff":
            heard = self._after(max(ended, *(reply.created for reply in planned)), planned)
            answer.sounds.append((heard, heard + self._some(5, 200)))

    def _goes_on(self, ended: int, committed: int, planned: list[Reply]) -> None:
        """The user waits for all of it, or does not."""
        over = max((end for reply in planned for _, end in reply.sounds), default=committed) + 5
        until = self._some(committed + 5, over) if over > committed + 5 and self._maybe() else None
        self._now = over if until is None else until
        self._keep(planned, until)

    def _keep(self, planned: list[Reply], until: int | None) -> None:
        """Write down what was heard, and what was made for nothing."""
        for reply in planned:
            if until is not None:
                reply.stop(until)
        # The next question is asked from ``until`` on: what would be created then is not.
        kept = [one for one in planned if until is None or one.created <= until]
        for number, reply in enumerate(kept, len(self._call.agents) + 1):
            reply.id = f"a{number}"
            last = max((end for _, end in reply.sounds), default=reply.created + 1)
            reply.ended = max(last, reply.ended) if until is None else max(last, until + 30)
        if kept and kept[-1].tools:
            self._background = kept[-1]
        for reply in kept:
            self.truth.agent += [Sound(begin, end, reply.id) for begin, end in reply.sounds]
        for reply in kept:
            self.truth.answers[reply.id] = self._made_for(reply)
            self._call.agents.append(self._agent(reply))

    def _made_for(self, reply: Reply) -> str | None:
        if reply.answers is not None:
            return reply.answers
        asked = [id_ for began, id_ in self.truth.asked if began <= reply.created]
        if not asked:
            return None
        if (cause := reply.cause) is not None:
            if cause.answers != asked[-1]:
                return None  # something newer was asked
            running = cause.ended > reply.created
            waited = running or not self._heard_since(asked[-1], reply.created)
            return cause.answers if waited else None
        if not reply.later or self._heard_since(asked[-1], reply.created):
            return None
        return asked[-1]

    def _heard_since(self, question: str, until: int) -> bool:
        end = max(sound.ended for sound in self.truth.user if sound.of == question)
        return any(end <= sound.began < until for sound in self.truth.agent)

    def _agent(self, reply: Reply) -> Agent:
        created = reply.created / 100
        entered = (created - 0.01, created - 0.01, created + 0.01) if reply.entered else None
        return Agent(
            id=reply.id,
            created=created,
            sounds=[(begin / 100, end / 100) for begin, end in reply.sounds],
            answers=reply.answers,
            asks_model=reply.asks_model,
            cause=reply.cause.id if reply.cause is not None else None,
            tools=[Tool("look", begin / 100, end / 100) for begin, end in reply.tools],
            entered=entered,
            ended=reply.ended / 100,
            interrupted=reply.interrupted,
        )


@st.composite
def calls(draw: st.DrawFn) -> tuple[Call, Truth]:
    """A random call, and what was heard of it."""
    simulation = Simulation(draw)
    call = simulation.run()
    return call, simulation.truth
