"""Plays a call that was written down into the recorder's own turns, one fact after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from conversation.timelines import LEAD, VAD, Agent, Call, User, ns
from prefactor_agent.record.spans.tree import SpanTree
from prefactor_agent.record.turns.latency_inputs import question_of
from prefactor_agent.record.turns.recent import RecentTurns
from prefactor_agent.record.turns.results import EndedTurn
from prefactor_agent.record.turns.turn import AssistantTurn, HeardVoice, Segment, UserTurn

Event = tuple[float, int, Callable[[], Any]]


class Player:
    """The turns of a call, as the recorder has them at each moment.

    Args:
        spans: Those of a session; its turns' own are not among them.
        ended: Told of each speech that is over.
    """

    def __init__(self, call: Call, spans: SpanTree, ended: Callable[[EndedTurn], None]) -> None:
        self._recent = RecentTurns(lambda: None)
        self._spans = spans
        self._told = ended
        self._users: dict[str, UserTurn] = {}
        self._turns: dict[str, AssistantTurn] = {}
        self._call = call

    def play(self) -> None:
        """Let everything happen, in the order in which it did."""
        events = [
            event
            for told in (
                *(self._user(user) for user in self._call.users),
                *(self._agent(agent) for agent in self._call.agents),
            )
            for event in told
        ]
        for _, _, happen in sorted(events, key=lambda event: event[:2]):
            happen()

    # The user

    def _user(self, user: User) -> Iterator[Event]:
        typed, late = user.side.get("typed", False), user.side.get("soundless", False)
        words = user.more["has_words"]

        def begins() -> None:
            turn = UserTurn(
                _span(user.id, user.began), 0, modality="text" if typed else "audio", soundless=late
            )
            turn.interims = int(words)
            self._users[user.id] = turn
            self._recent.add_question(turn)

        yield user.began, 0, begins
        if not typed and not late:
            for began, ended in user.sounds:
                yield began, 1, lambda: self._users[user.id].moments.pop("vad_ended", None)
                yield ended + VAD, 1, lambda ended=ended: self._quiet(user.id, ended)
        if user.committed is not None:
            yield user.committed, 2, lambda: self._commit(user)

    def _quiet(self, id_: str, ended: float) -> None:
        moments = self._users[id_].moments
        moments |= {"speech_ended": ns(ended), "vad_ended": ns(ended + VAD)}

    def _commit(self, user: User) -> None:
        turn, at = self._users[user.id], ns(user.committed or 0)
        turn.moments |= {"committed": at, "hook_done": at}
        turn.transcript, turn.declined = "words", user.more["declined"]

    # The agent

    def _agent(self, agent: Agent) -> Iterator[Event]:
        yield agent.created, 3, lambda: self._create(agent)
        for tool in agent.tools:
            span = _span(tool.name, tool.began)
            yield tool.began, 3, lambda span=span: self._turns[agent.id].tool_spans.append(span)
            if tool.ended is not None:
                yield tool.ended, 3, lambda span=span, at=tool.ended: _end(span, at)
        for place, (heard, ended) in enumerate(agent.sounds):
            yield heard - LEAD, 4, lambda at=heard - LEAD: self._begins(agent.id, at)
            yield ended, 4, lambda place=place, at=ended: self._finishes(agent, place, at)
        yield agent.ended or agent.created, 5, lambda: self._over(agent)

    def _create(self, agent: Agent) -> None:
        span = _span(agent.id, agent.created)
        span.payload = {"source": "generate_reply" if agent.asks_model else "say"}
        turn = AssistantTurn(span, 0, agent.id, None)
        turn.moments["created"] = ns(agent.created)
        turn.latest = self._recent.latest_question()
        turn.question = self._users[agent.answers] if agent.answers is not None else None
        turn.caused_by = agent.cause
        if agent.entered is not None:
            left, began, ended = agent.entered
            turn.left_ns, turn.entered = ns(left), [ns(began), ns(ended)]
        self._turns[agent.id] = turn
        self._recent.add_speech(turn)

    def _begins(self, id_: str, at: float) -> None:
        turn = self._turns[id_]
        voice: Any = SimpleNamespace(
            sound_begins_ns=ns(LEAD) - ns(0),
            sound_ends_ns=None,
            late=((0, ns(at)),),
            catch_up=lambda: None,
        )
        turn.voices.append(HeardVoice(ns(at), voice, None, first_frame_ns=ns(at)))
        turn.segments.append(Segment(ns(at)))
        spoken = [
            user
            for user in self._users.values()
            if user.modality == "audio" and "committed" not in user.moments
        ]
        if spoken and not turn.came_out:
            turn.heard_over, turn.during = spoken[-1], question_of(spoken[-1])
        turn.came_out = True

    def _finishes(self, agent: Agent, place: int, at: float) -> None:
        turn = self._turns[agent.id]
        if place < len(turn.segments):
            turn.segments[place].finished_ns = ns(at)

    def _over(self, agent: Agent) -> None:
        turn = self._turns[agent.id]
        turn.ended_ns = ns(agent.ended or agent.created)
        facts = self._recent.end_speech(turn)
        self._told(EndedTurn(self._spans, facts, self._recent.later_timeline(), {}, {}))


def _span(id_: str, began: float) -> Any:
    return SimpleNamespace(id=id_, name=id_, started_ns=ns(began), finished_ns=None, open=True)


def _end(span: Any, at: float) -> None:
    span.finished_ns, span.open = ns(at), False
