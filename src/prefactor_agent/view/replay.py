"""A recorded call as a file that a test can play again: what the user said and when, what each
model answered and with what timing. ``prefactor_agent.testing.replay`` plays it.

Pure: takes what :meth:`prefactor_agent.journal.reader.Journal.call` returns. Only what was recorded
is in it; where words that a replay needs are not in the trace, it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..journal.reader import JournalError, StoredSpan
from ..record.clock import unix_us_to_rfc3339
from ..redact import HIDDEN, REDACTED
from .calltree import CallTree, Node, Turn, build, kind, known_until, mapping, mappings

JSON = dict[str, Any]
FORMAT = "prefactor-agent/replay"

_GONE = re.compile(
    rf"<\d+ (?:characters|bytes)(?: of base64)?>|{re.escape(REDACTED)}|{re.escape(HIDDEN)}"
    r"|… \[\d+ more (?:characters|items)\]"
)
"""What stands in the place of words that the trace does not have (redact.py, bounds.py)."""
_WHOLE = re.compile(r"<(?:int|float|bool)>")


_WORDLESS = ("start_of_speech", "end_of_speech")


class NotReplayableError(JournalError):
    """The trace of a call lacks what a replay needs. The message says what."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Part):
    """Pieces of text, each with its offset in microseconds."""

    offset_us: tuple[int, ...] = ()
    text: tuple[str, ...] = ()


class Audio(_Part):
    """Audio as far as it was recorded: when each chunk came, how long and how loud it was."""

    sample_rate: int
    offset_us: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    """Samples of one channel."""
    dbfs: tuple[int, ...] = ()


class Event(_Part):
    """What the STT told."""

    offset_us: int
    type: str
    text: str = ""
    confidence: float | None = None


class Utterance(_Part):
    """One stretch of the user's speech. Offsets count from its first sound."""

    at_us: int
    """Its first sound, after the turn's."""
    audio: Audio | None = None
    events: tuple[Event, ...] = ()


class UserTurn(_Part):
    """What the user said, and what it was said after. Offsets count from its first sound."""

    number: int
    modality: str = "audio"
    text: str = ""
    answered: bool = True
    """The agent was heard between the user's turn before (or the start) and this one."""
    pause_us: int = 0
    """From the end of what the agent said (else: from the user's last turn, or the start) to
    here."""
    over_us: int | None = None
    """How far into the agent's speech the user cut in; ``None``: the agent was not speaking."""
    speech_ended_us: int | None = None
    vad_started_us: int | None = None
    vad_ended_us: int | None = None
    utterances: tuple[Utterance, ...] = ()


class Asked(_Part):
    """One thing that an LLM request was about: what the user said, a call of a tool, a result."""

    kind: Literal["user", "call", "result"]
    name: str = ""
    text: str


class Call(_Part):
    """A tool call as the model wrote it."""

    call_id: str
    name: str
    arguments: str


class Failure(_Part):
    error_type: str
    message: str


class Request(_Part):
    """One LLM request: what it asked since the user's last words, and the recorded reply."""

    number: int
    turn: int
    """The user's turn that it belongs to; 0: before the first."""
    asked: tuple[Asked, ...] = ()
    output: Text = Text()
    tool_calls: tuple[Call, ...] = ()
    usage: dict[str, Any] | None = None
    failed: Failure | None = None
    optional: bool = False
    """It was thrown away or broken off: whether it is made depends on who is faster."""


class Speech(_Part):
    """One TTS request: the text as it came in, the audio as it came out."""

    given: Text
    audio: Audio
    failed: Failure | None = None


class Recording(_Part):
    """A whole call."""

    format: Literal["prefactor-agent/replay"] = FORMAT  # type: ignore[assignment]
    version: Literal[1] = 1
    session_id: str
    agent: str
    started_at: str
    turns: tuple[UserTurn, ...]
    requests: tuple[Request, ...]
    speeches: tuple[Speech, ...]

    def dump(self) -> str:
        """The file: JSON, with each list of plain values on one line, to be read in a diff."""
        return _dump(_HEAD | self.model_dump(mode="json", exclude_defaults=True), "")


_HEAD: JSON = {"format": FORMAT, "version": 1}


def asked_in(messages: Sequence[Any]) -> tuple[Asked, ...]:
    """What a request is about: the user's last message and what followed it, in the form of
    ``inputs.messages`` of the trace format.

    The agent's instructions and its earlier words are not in it: the one is what a changed agent
    changes, the other depends on when the user cut in."""
    items = mappings(list(messages))
    users = [index for index, item in enumerate(items) if item.get("role") == "user"]
    tail = items[users[-1] :] if users else items
    found = [one for item in tail if (one := _asked(item)) is not None]
    # Tools that run side by side end in any order.
    return tuple(sorted(found, key=lambda one: (one.kind != "user", one.kind, one.name, one.text)))


def _asked(item: JSON) -> Asked | None:
    role = item.get("role")
    if role == "user":
        content = item.get("content")
        parts = content if isinstance(content, list) else [content]
        return Asked(kind="user", text=" ".join(p for p in parts if isinstance(p, str)))
    if role == "tool":
        return Asked(kind="result", name=str(item.get("name")), text=str(item.get("content")))
    if call := mapping(item.get("tool_call")):
        arguments = canonical(str(call.get("arguments")))
        return Asked(kind="call", name=str(call.get("name")), text=arguments)
    return None


def canonical(arguments: str) -> str:
    """JSON text of arguments in one spelling."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return arguments


def recording(spans: Sequence[StoredSpan]) -> Recording:
    """What is needed to play a call again.

    Raises:
        NotReplayableError: Words that a replay needs were redacted, cut or not captured; or there
            is nothing to replay.
    """
    if len({span.session_id for span in spans}) > 1:
        raise NotReplayableError("these are the spans of several calls: take those of one")
    tree = build(spans)
    if tree.session is None:
        raise NotReplayableError("the call cannot be replayed: the session's own span is missing")
    session = tree.session
    made = _Maker(tree, session)
    turns = tuple(made.turns())
    if not turns:
        raise NotReplayableError(f"call {session.id} cannot be replayed: the user said nothing")
    if any(kind(span) == "realtime" for span in spans):
        raise NotReplayableError(
            f"call {session.id} cannot be replayed: a realtime model's words were not recorded"
        )
    whole = Recording(
        session_id=session.id,
        agent=str(session.payload.get("agent_class") or session.payload.get("agent_name")),
        started_at=unix_us_to_rfc3339(session.started_us),
        turns=turns,
        requests=tuple(made.requests()),
        speeches=tuple(made.speeches()),
    )
    if made.missing:
        named = ", ".join(made.missing[:5])
        more = f" and {len(made.missing) - 5} more" if len(made.missing) > 5 else ""
        raise NotReplayableError(
            f"call {session.id} cannot be replayed, its trace does not have the words "
            f"(redacted, cut, or not captured) of: {named}{more}"
        )
    return whole


class _Maker:
    def __init__(self, tree: CallTree, session: StoredSpan) -> None:
        self._tree = tree
        self._session = session
        self.missing: list[str] = []
        said = [turn.user for turn in tree.turns if turn.user and _said_something(turn.user)]
        self._users = sorted(
            ((node.span, node) for node in said),
            key=lambda user: (user[0].started_us, known_until(user[0])),
        )
        self._heard = sorted(_heard(tree.turns, session))

    def turns(self) -> Iterator[UserTurn]:
        before = self._session.started_us
        for number, (span, node) in enumerate(self._users, start=1):
            begun = span.started_us
            yield self._turn(number, span, node, before, begun)
            before = known_until(span)

    def _turn(self, number: int, span: StoredSpan, node: Node, before: int, begun: int) -> UserTurn:
        name = f"what the user said (turn {number})"
        over = next((begun - from_ for from_, until in self._heard if from_ < begun < until), None)
        since = self._session.started_us if number == 1 else self._users[number - 2][0].started_us
        ends = [until for _, until in self._heard if since < until <= begun]
        after = max(ends, default=before)

        def moment(key: str) -> int | None:
            at = self._tree.moment(span, key)
            return at - begun if at is not None else None

        return UserTurn(
            number=number,
            modality=str(span.payload.get("modality") or "audio"),
            text=self._words(name, span.result.get("transcript", "")),
            answered=bool(ends) or over is not None,
            pause_us=max(0, begun - after) if over is None else 0,
            over_us=over,
            speech_ended_us=moment("speech_ended"),
            vad_started_us=moment("vad_started"),
            vad_ended_us=moment("vad_ended"),
            utterances=tuple(self._utterance(name, one, begun) for one in node.spans("stt")),
        )

    def _utterance(self, name: str, span: StoredSpan, begun: int) -> Utterance:
        heard = span.stream("events")
        told = mappings(heard.get("event"))
        finals = [event for event in told if event.get("type") == "final_transcript"]
        events = []
        for offset, event in zip(heard.get("offset_us", ()), told, strict=False):
            text, kept = (
                event.get("text"),
                event.get("type") in ("start_of_speech", "end_of_speech"),
            )
            if text is None and len(finals) == 1 and event is finals[0]:
                text = span.result.get("transcript")
            if text is None and not kept:
                if event in finals:
                    self._lacks(name)
                continue
            events.append(
                Event(
                    offset_us=offset,
                    type=str(event.get("type")),
                    text=self._words(name, text or ""),
                    confidence=event.get("confidence"),
                )
            )
        return Utterance(
            at_us=span.started_us - begun, audio=_audio(span, "audio"), events=tuple(events)
        )

    def requests(self) -> Iterator[Request]:
        spans = [span for span in self._nodes("llm") if span.finished_us is not None]
        dropped = {
            span.id
            for turn in self._tree.turns
            for node in turn.dropped
            for span in node.spans("llm")
        }
        for number, span in enumerate(spans, start=1):
            name = f"LLM request {number}"
            result, inputs = span.result, mapping(span.payload.get("inputs"))
            if span.payload.get("truncated") or result.get("truncated"):
                self._lacks(name)
            asked = asked_in(inputs.get("messages") or ())
            for one in asked:
                self._words(f"the input of {name}", one.text)
            calls = mappings(result.get("tool_calls"))
            yield Request(
                number=number,
                turn=sum(user.started_us <= span.started_us for user, _ in self._users),
                asked=asked,
                output=self._pieces(name, span, "output"),
                tool_calls=tuple(
                    Call(
                        call_id=str(call.get("call_id")),
                        name=str(call.get("name")),
                        arguments=self._words(name, call.get("arguments", "")),
                    )
                    for call in calls
                ),
                usage=mapping(result.get("usage")) or None,
                failed=_failure(span),
                optional=span.id in dropped or span.status == "cancelled",
            )

    def speeches(self) -> Iterator[Speech]:
        for number, span in enumerate(self._nodes("tts"), start=1):
            audio = _audio(span, "audio")
            failed = _failure(span)
            if span.finished_us is not None and (audio is not None or failed is not None):
                given = self._pieces(f"TTS request {number}", span, "text")
                yield Speech(given=given, audio=audio or Audio(sample_rate=24_000), failed=failed)

    def _nodes(self, name: str) -> list[StoredSpan]:
        return sorted(self._tree.spans(name), key=lambda span: span.started_us)

    def _pieces(self, name: str, span: StoredSpan, stream: str) -> Text:
        """A stream's text. Chunks kept without their words get them from the whole text, if nothing
        was taken out of that (a pattern that found nothing)."""
        data = span.stream(stream)
        texts = [str(text) for text in data.get("text", ())]
        sizes = data.get("size", ())
        whole = self._words(name, span.result.get("text", ""))
        if data.get("text_cut"):
            self._lacks(name)
        if sum(map(len, texts)) != sum(sizes):
            if sum(sizes) != len(whole):
                self._lacks(name)
            texts, position = [], 0
            for size in sizes:
                texts.append(whole[position : position + size])
                position += size
        for text in texts:
            self._words(name, text)
        return Text(offset_us=tuple(data.get("offset_us", ())), text=tuple(texts))

    def _words(self, name: str, text: Any) -> str:
        if not isinstance(text, str) or _GONE.search(text) or _WHOLE.fullmatch(text.strip('"')):
            self._lacks(name)
            return ""
        return text

    def _lacks(self, name: str) -> None:
        if name not in self.missing:
            self.missing.append(name)


def _said_something(node: Node) -> bool:
    return bool(node.span.result.get("transcript") or node.spans("stt"))


def _heard(turns: Sequence[Turn], session: StoredSpan) -> Iterator[tuple[int, int]]:
    """The stretches of time in which the agent spoke; of one without audio, when it had."""
    for turn in turns:
        for answer in turn.answers:
            segments = mappings(answer.span.result.get("segments"))
            for segment in segments:
                begun = segment.get("started_us")
                ended = segment.get("finished_us", begun)
                if isinstance(begun, int) and isinstance(ended, int):
                    yield session.started_us + begun, session.started_us + ended
            if not segments and answer.span.result.get("spoken_text"):
                ended = known_until(answer.span)
                yield ended, ended


def _audio(span: StoredSpan, stream: str) -> Audio | None:
    data = span.stream(stream)
    if not data.get("sample_rate") or not data.get("dbfs"):
        return None
    columns = {key: tuple(data[key]) for key in ("offset_us", "size", "dbfs")}
    return Audio(sample_rate=data["sample_rate"], **columns)


def _failure(span: StoredSpan) -> Failure | None:
    error = mapping(span.result.get("error"))
    if span.status != "failed" or not error:
        return None
    return Failure(error_type=str(error.get("error_type")), message=str(error.get("message")))


def _dump(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, dict) and any(isinstance(part, dict | list) for part in value.values()):
        lines = [f"{inner}{json.dumps(key)}: {_dump(part, inner)}" for key, part in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        lines = [inner + _dump(part, inner) for part in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
