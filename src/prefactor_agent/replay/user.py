"""The user's side of a recorded call: what they said, and after which words of the agent."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.values import mappings
from ..stored.span import StoredSpan
from ..view.model.calltree import CallTree, known_until
from ..view.model.turns import Node
from .format import Event, UserTurn, Utterance
from .streams import Words, audio_of

_WORDLESS = ("start_of_speech", "end_of_speech")
"""Events of an STT that have no words."""


class UserSide:
    def __init__(self, call: CallTree, words: Words) -> None:
        self._call, self._words = call, words
        said = [turn.user for turn in call.turns if turn.user and _said_something(turn.user)]
        self._said = sorted(said, key=lambda node: (node.span.started_us, known_until(node.span)))
        self._agent_heard = sorted(_agent_heard(call))

    def turns(self) -> tuple[UserTurn, ...]:
        before = [None, *(node.span for node in self._said)]
        return tuple(
            self._turn(number, node, previous)
            for number, (node, previous) in enumerate(zip(self._said, before, strict=False), 1)
        )

    def turn_at(self, moment_us: int) -> int:
        """The number of the turn that a moment (since the Unix epoch) belongs to; 0: it was before
        the first."""
        return sum(node.span.started_us <= moment_us for node in self._said)

    def _turn(self, number: int, node: Node, previous: StoredSpan | None) -> UserTurn:
        span, begun = node.span, node.span.started_us
        name = f"what the caller said (turn {number})"
        since, quiet_since = self._call.started_us, self._call.started_us
        if previous is not None:
            since, quiet_since = previous.started_us, known_until(previous)
        over = next((begun - at for at, until in self._agent_heard if at < begun < until), None)
        ends = [until for _, until in self._agent_heard if since < until <= begun]
        quiet_since = max(ends, default=quiet_since)

        def moment(key: str) -> int | None:
            at = self._call.moment(span, key)
            return at - begun if at is not None else None

        return UserTurn(
            number=number,
            modality=str(span.payload.get("modality") or "audio"),
            text=self._words.whole(name, span.result.get("transcript", "")),
            at_us=begun - self._call.started_us,
            answered=bool(ends) or over is not None,
            pause_us=max(0, begun - quiet_since) if over is None else 0,
            over_us=over,
            speech_ended_us=moment("speech_ended"),
            vad_started_us=moment("vad_started"),
            vad_ended_us=moment("vad_ended"),
            utterances=tuple(self._utterance(name, one, begun) for one in node.spans("stt")),
        )

    def _utterance(self, name: str, span: StoredSpan, begun: int) -> Utterance:
        return Utterance(
            at_us=span.started_us - begun,
            audio=audio_of(span),
            events=tuple(self._events(name, span)),
        )

    def _events(self, name: str, span: StoredSpan) -> Iterator[Event]:
        stream = span.stream("events")
        events = mappings(stream.get("event"))
        finals = [event for event in events if event.get("type") == "final_transcript"]
        for offset, event in zip(stream.get("offset_us", ()), events, strict=False):
            text = event.get("text")
            if text is None and len(finals) == 1 and event is finals[0]:
                text = span.result.get("transcript")
            if text is None and event.get("type") not in _WORDLESS:
                if event in finals:
                    self._words.lack(name)
                continue
            yield Event(
                offset_us=offset,
                type=str(event.get("type")),
                text=self._words.whole(name, text or ""),
                confidence=event.get("confidence"),
            )


def _said_something(node: Node) -> bool:
    return bool(node.span.result.get("transcript") or node.spans("stt"))


def _agent_heard(call: CallTree) -> Iterator[tuple[int, int]]:
    """The stretches of time in which the agent spoke; of a turn without audio, when it had."""
    for turn in call.turns:
        for answer in turn.answers:
            segments = mappings(answer.span.result.get("segments"))
            for segment in segments:
                begun = segment.get("started_us")
                ended = segment.get("finished_us", begun)
                if isinstance(begun, int) and isinstance(ended, int):
                    yield call.started_us + begun, call.started_us + ended
            if not segments and answer.span.result.get("spoken_text"):
                ended = known_until(answer.span)
                yield ended, ended
