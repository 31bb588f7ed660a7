"""The stages of a turn as bars on the axis of time, and the silence that they fill.

Pure. Times are microseconds since the Unix epoch. Of a bar that matters most *what was waited for*:
for an LLM until its first token, for a TTS until its first byte, for a tool all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..journal.reader import StoredSpan
from .calltree import CallTree, Node, Turn, kind, known_until, mappings

NEGLIGIBLE_US = 20_000
"""Waits of the machinery that are too short to get a row."""


class Sound(NamedTuple):
    """A stretch of audio and how loud it was."""

    started_us: int
    ended_us: int
    dbfs: int


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    kind: str
    """``user``, ``stt``, ``wait``, ``llm``, ``tool``, ``tts``, ``realtime`` or ``agent``."""
    started_us: int
    ended_us: int
    waiting: tuple[int, int] | None = None
    """From when to when something was waited for; the rest of the bar is streaming."""
    mark_us: int | None = None
    """The first token or byte."""
    first_us: int | None = None
    """How long that took."""
    first_name: str = ""
    sounds: tuple[Sound, ...] = ()
    open: bool = False
    dropped: bool = False
    span: StoredSpan | None = None

    @property
    def duration_us(self) -> int:
        return self.ended_us - self.started_us


@dataclass(frozen=True, slots=True)
class TurnStages:
    bars: tuple[Bar, ...]
    zero_us: int
    """Where the axis has its 0: the user stopped speaking, or (nobody asked) the answer began."""
    silence: tuple[int, int] | None
    """From the user's last sound to the agent's first one; of a typed turn, from the message to the
    first text."""
    slowest: tuple[Bar, int] | None
    """The stage that most of the silence was spent waiting for, and how long."""
    window: tuple[int, int]
    """The part of the turn to draw: all that the caller waited for, and some speech around it."""


def stages(call: CallTree, turn: Turn) -> TurnStages:
    user_bars = _user_bars(call, turn)
    nodes = _node_bars(turn)
    agent = _agent_bar(call, turn)
    bars = [*user_bars, *nodes, *([agent] if agent else [])]
    silence = _silence(call, turn, agent, nodes)
    ended = _user_ended(call, turn)
    zero = ended if ended is not None else turn.started_us
    return TurnStages(
        bars=tuple(bars),
        zero_us=zero,
        silence=silence,
        slowest=_slowest(bars, silence),
        window=_window(bars, turn, zero, silence, agent),
    )


def sounds_of(span: StoredSpan, stream: str, at_us: int | None = None) -> list[Sound]:
    """The audio of a stream: each chunk where it passed or, with ``at_us``, one after the other
    from there on, as it is played."""
    data = span.stream(stream)
    rate = data.get("sample_rate")
    levels: list[int] = data.get("dbfs", [])
    if not rate or not levels:
        return []
    found: list[Sound] = []
    position = at_us
    for offset, size, dbfs in zip(data["offset_us"], data["size"], levels, strict=False):
        begun = span.started_us + offset if position is None else position
        ended = begun + size * 1_000_000 // rate
        if position is not None:
            position = ended
        found.append(Sound(begun, ended, dbfs))
    return found


def _user_ended(call: CallTree, turn: Turn) -> int | None:
    """When the user's last sound ended; of a typed message, when it came."""
    if turn.user is None:
        return None
    span = turn.user.span
    for name in ("speech_ended", "vad_ended", "final_transcript", "committed"):
        if (moment := call.moment(span, name)) is not None:
            return moment
    return span.finished_us


def _user_bars(call: CallTree, turn: Turn) -> list[Bar]:
    if turn.user is None:
        return []
    span = turn.user.span
    heard = turn.user.spans("stt")
    if span.payload.get("modality") == "text":
        return []
    ended = _user_ended(call, turn)
    until = ended if ended is not None else max(map(known_until, (span, *heard)))
    sounds = [sound for utterance in heard for sound in sounds_of(utterance, "audio")]
    bars = [
        Bar(
            "user",
            "user",
            span.started_us,
            max(until, span.started_us),
            sounds=tuple(sound for sound in sounds if sound.started_us < until),
            open=ended is None,
        )
    ]
    # A detector needs some silence to call the speech over; an STT that does not stream begins only
    # then.
    vad_ended = call.moment(span, "vad_ended")
    if ended is not None and vad_ended is not None and vad_ended > ended:
        bars.append(_wait("vad", ended, vad_ended))
        until = vad_ended
    for utterance in heard:
        final = known_until(utterance)
        from_ = until if until < final else min(ended or until, final)
        bars.append(
            Bar(
                "stt",
                "stt",
                from_,
                final,
                waiting=(from_, final),
                open=utterance.finished_us is None,
                span=utterance,
            )
        )
    committed, hook_done = call.moment(span, "committed"), call.moment(span, "hook_done")
    for answer in turn.answers:  # the hook ends after its turn: the answer has noted when
        hook_done = hook_done or call.moment(answer.span, "user_hook_done")
    if committed is not None and ended is not None:
        heard_us = max(call.moment(span, "final_transcript") or ended, ended, until)
        if committed - heard_us >= NEGLIGIBLE_US:
            bars.append(_wait("end of turn", heard_us, committed))
        if hook_done is not None and hook_done - committed >= NEGLIGIBLE_US:
            bars.append(_wait("turn hook", committed, hook_done))
    return bars


def _wait(label: str, begun: int, ended: int) -> Bar:
    return Bar(label, "wait", begun, ended, waiting=(begun, ended))


def _node_bars(turn: Turn) -> list[Bar]:
    bars = [
        _node_bar(span, dropped=node in turn.dropped)
        for node in (*turn.answers, *turn.dropped)
        for span in node.spans("llm", "tool", "tts", "realtime")
    ]
    return sorted(bars, key=lambda bar: (bar.waiting or (bar.started_us,))[0])


def _node_bar(span: StoredSpan, *, dropped: bool) -> Bar:
    node, ended = kind(span), known_until(span)
    begun = span.started_us
    waiting: tuple[int, int] | None = (begun, ended)
    mark = first = None
    label, name = node, ""
    if node == "tool":
        label = span.name
    elif node == "tts":
        # The node is called together with the LLM's, and then waits for text.
        text, name = _first(span, "text"), "ttfb"
        mark = _first(span, "audio")
        begun = text if text is not None else begun
        waiting = (begun, mark if mark is not None else ended) if text is not None else None
        first = mark - begun if mark is not None and text is not None else None
    else:
        mark = _first(span, "output" if node == "llm" else "audio")
        name = "ttft" if node == "llm" else "ttfb"
        first = mark - begun if mark is not None else None
        # Of a call of tools, the whole request is waited for.
        asks_for_tools = span.result.get("tool_calls") and not any(
            span.stream("output").get("size", [])
        )
        waiting = (begun, mark if mark is not None and not asks_for_tools else ended)
    return Bar(
        label,
        node,
        begun,
        max(ended, begun),
        waiting=waiting,
        mark_us=mark,
        first_us=first,
        first_name=name,
        open=span.finished_us is None,
        dropped=dropped,
        span=span,
    )


def _first(span: StoredSpan, stream: str) -> int | None:
    data = span.stream(stream)
    first = data.get("first_us")
    if first is None:
        first = next(iter(data.get("offset_us", [])), None)
    return span.started_us + first if first is not None else None


def _agent_bar(call: CallTree, turn: Turn) -> Bar | None:
    """What was played of the answers, with its loudness at the place where it was played."""
    played: list[tuple[int, int]] = []
    sounds: list[Sound] = []
    running = False
    for answer in turn.answers:
        speeches = [span for span in answer.spans("tts") if span.stream("audio").get("count")]
        for index, segment in enumerate(_segments(answer)):
            running = running or "finished_us" not in segment
            stretches = _played(call, answer, segment)
            played += stretches
            if index < len(speeches):
                sounds += _placed(sounds_of(speeches[index], "audio", 0), stretches)
    if not played:
        return None
    return Bar(
        "agent",
        "agent",
        min(begun for begun, _ in played),
        max(ended for _, ended in played),
        sounds=tuple(sounds or (Sound(*stretch, dbfs=0) for stretch in played)),
        open=running,
    )


def _segments(answer: Node) -> list[dict[str, int]]:
    segments = mappings(answer.span.result.get("segments"))
    return [segment for segment in segments if isinstance(segment.get("started_us"), int)]


def _played(call: CallTree, answer: Node, segment: dict[str, int]) -> list[tuple[int, int]]:
    """The stretches of time in which a segment was played: without its pauses."""
    if call.session is None:
        return []
    zero = call.session.started_us
    begun: int | None = segment["started_us"]
    ended = max(segment.get("finished_us", call.last_us - zero), segment["started_us"])
    stretches = []
    for pause in mappings(answer.span.result.get("pauses")):
        at, state = pause.get("at_us"), pause.get("state")
        if not isinstance(at, int):
            continue
        if state == "paused" and begun is not None and begun <= at <= ended:
            stretches.append((begun, at))
            begun = None
        elif state == "resumed" and begun is None and at <= ended:
            begun = at
    if begun is not None:
        stretches.append((begun, ended))
    return [(zero + from_, zero + until) for from_, until in stretches]


def _placed(sounds: Iterable[Sound], stretches: Iterable[tuple[int, int]]) -> list[Sound]:
    """Audio that was counted from 0, on the stretches of time in which it was played."""
    placed = []
    waiting = list(sounds)
    position = 0
    for begun, ended in stretches:
        moved = begun - position
        while waiting and waiting[0].started_us + moved < ended:
            sound = waiting.pop(0)
            placed.append(Sound(sound.started_us + moved, sound.ended_us + moved, sound.dbfs))
        position += ended - begun
    return placed


def _silence(
    call: CallTree, turn: Turn, agent: Bar | None, nodes: Sequence[Bar]
) -> tuple[int, int] | None:
    ended = _user_ended(call, turn)
    if ended is None or not turn.answers:
        return None
    if agent is not None:
        # The voice begins with some silence of its own.
        first = next((bar for bar in nodes if bar.kind == "tts" and bar.span), None)
        leading = first.span.result.get("leading_silence_ms") if first and first.span else None
        leading = leading if isinstance(leading, int | float) else 0
        answered: int | None = agent.started_us + int(leading * 1000)
    else:
        texts = [
            moment
            for answer in turn.answers
            for span in answer.spans("transcription")
            if (moment := _first(span, "text")) is not None
        ]
        answered = min(texts, default=None)
    return (ended, answered) if answered is not None and answered > ended else None


def _slowest(bars: Iterable[Bar], silence: tuple[int, int] | None) -> tuple[Bar, int] | None:
    if silence is None:
        return None
    shares = [
        (min(bar.waiting[1], silence[1]) - max(bar.waiting[0], silence[0]), bar)
        for bar in bars
        if bar.waiting and not bar.dropped
    ]
    share, bar = max(shares, key=lambda item: item[0], default=(0, None))
    return (bar, share) if bar is not None and share > 0 else None


def _window(
    bars: Sequence[Bar], turn: Turn, zero: int, silence: tuple[int, int] | None, agent: Bar | None
) -> tuple[int, int]:
    """Speech takes seconds, and the wait in between is what is looked for: of the speech no more is
    drawn than leaves the wait a good part of the width."""
    if not bars:
        return turn.started_us, turn.started_us + 1
    first, last = min(bar.started_us for bar in bars), max(bar.ended_us for bar in bars)
    answered = silence[1] if silence else agent.started_us if agent else last
    waited = max(answered - zero, 0)
    others = [bar for bar in bars if bar.kind not in {"user", "agent"}]
    begun = min((bar.started_us for bar in others), default=zero)
    settled = max((bar.waiting[1] for bar in others if bar.waiting), default=answered)
    begin = min(max(first, min(begun, zero - waited // 4 - 200_000)), zero)
    end = min(last, max(settled, answered + waited * 2 // 5 + 300_000))
    return begin, max(end, begin + 1)
