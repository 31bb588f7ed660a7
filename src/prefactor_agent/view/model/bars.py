"""A turn as bars on the axis of time, and the silence that they fill, for the waterfall.

Pure. Times are microseconds since the Unix epoch. The most important part of a bar is *what was
waited for*: for an LLM until its first token, for a TTS until its first byte, for a tool all of
it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ...conversation import stages
from ...core.values import as_list
from ...stored.span import StoredSpan
from . import stagenames
from .calltree import CallTree, known_until
from .moments import first, first_token, user_ended
from .silences import Silence
from .sounds import Sound, Stretch, heard, heard_answers, played
from .turns import Turn, kind, typed
from .updates import answered_us, over_us

NEGLIGIBLE_US = 20_000
"""Waits of the machinery that are too short to get a row."""


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
    """It has no end yet."""
    background: bool = False
    """It is a tool that had answered the model's call before it was over."""
    dropped: bool = False
    """It belongs to an answer that was thrown away."""
    span: StoredSpan | None = None

    @property
    def duration_us(self) -> int:
        return self.ended_us - self.started_us

    @property
    def is_moment(self) -> bool:
        """It stands where something was reported; how long that took is not known."""
        return self.span is not None and self.span.at_provider

    @property
    def is_voice(self) -> bool:
        """Of one of the two who speak; the others are of what is waited for between them."""
        return self.kind in {"user", "agent"}


class Slowest(NamedTuple):
    """What most of a silence was spent waiting for."""

    name: str
    us: int
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class TurnBars:
    bars: tuple[Bar, ...]
    zero_us: int
    """Where the axis has its zero: the caller's last sound or, without a question, the beginning of
    the answer."""
    silence: Silence | None
    slowest: Slowest | None
    window: tuple[int, int]
    """The part of the turn to draw: all that the caller waited for, and some speech around it."""


def turn_bars(call: CallTree, turn: Turn, silence: Silence | None) -> TurnBars:
    agent = _agent_bar(call, turn)
    bars = [*_user_bars(call, turn), *_node_bars(call, turn), *([agent] if agent else [])]
    ended = user_ended(call, turn)
    zero = silence.begins_us if silence else ended if ended is not None else turn.started_us
    return TurnBars(
        bars=tuple(bars),
        zero_us=zero,
        silence=silence,
        slowest=_slowest(silence, bars),
        window=_window(bars, turn, zero, silence, agent),
    )


def _user_bars(call: CallTree, turn: Turn) -> list[Bar]:
    """What the caller said, and how long it took to detect that the turn was over."""
    if turn.user is None or typed(turn.user):
        return []
    span, utterances = turn.user.span, turn.user.spans("stt")
    ended = user_ended(call, turn)
    until = ended if ended is not None else max(map(known_until, (span, *utterances)))
    sounds = [sound for utterance in utterances for sound in heard(utterance)]
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
    vad_ended = call.moment(span, "vad_ended")
    if ended is not None and vad_ended is not None and vad_ended > ended:
        bars.append(_wait("vad", ended, vad_ended))
        until = vad_ended
    bars += [_stt_bar(utterance, ended, until) for utterance in utterances]
    if ended is not None:
        bars += _committing_bars(call, turn, span, max(ended, until))
    return bars


def _stt_bar(utterance: StoredSpan, ended: int | None, until: int) -> Bar:
    """The wait for the final transcript. A detector needs some silence to call the speech over
    (``until``); an STT that does not stream begins only then."""
    final = known_until(utterance)
    begun = until if until < final else min(ended or until, final)
    return Bar(
        "stt",
        "stt",
        begun,
        final,
        waiting=(begun, final),
        open=utterance.finished_us is None,
        span=utterance,
    )


def _committing_bars(call: CallTree, turn: Turn, span: StoredSpan, detected: int) -> Iterator[Bar]:
    """The wait for the turn to be handed on, and the user's hook."""
    committed, hook_done = call.moment(span, "committed"), call.moment(span, "hook_done")
    for answer in turn.answers:  # the hook ends after its turn: the answer has noted when
        hook_done = hook_done or call.moment(answer.span, "user_hook_done")
    if committed is None:
        return
    understood = max(call.moment(span, "final_transcript") or detected, detected)
    if committed - understood >= NEGLIGIBLE_US:
        yield _wait("endpointing", understood, committed)
    if hook_done is not None and hook_done - committed >= NEGLIGIBLE_US:
        yield _wait("turn hook", committed, hook_done)


def _wait(label: str, begun: int, ended: int, span: StoredSpan | None = None) -> Bar:
    return Bar(label, "wait", begun, ended, waiting=(begun, ended), span=span)


def _node_bars(call: CallTree, turn: Turn) -> list[Bar]:
    bars = [
        bar
        for node in (*turn.answers, *turn.dropped)
        for span in node.spans("llm", "tool", "tts", "realtime", "handoff")
        if (bar := _node_bar(call, span, dropped=node in turn.dropped)) is not None
    ]
    return sorted(bars, key=lambda bar: (bar.waiting or (bar.started_us,))[0])


def _node_bar(call: CallTree, span: StoredSpan, *, dropped: bool) -> Bar | None:
    begun, ended = span.started_us, max(known_until(span), span.started_us)
    match kind(span):
        case "handoff":
            short = ended - begun < NEGLIGIBLE_US
            return None if short else _wait("handoff", begun, ended, span)
        case "tool":
            bar = _tool_bar(call, span, ended)
        case "tts":
            bar = _tts_bar(span, ended)
        case model:
            bar = _model_bar(span, model, ended)
    return replace(bar, open=span.finished_us is None, dropped=dropped, span=span)


def _tool_bar(call: CallTree, span: StoredSpan, ended: int) -> Bar:
    """The bar of a tool, for as long as it ran. The dialogue of a tool that talks (an AgentTask) is
    not waited for, nor one that goes on in the background."""
    begun, ended = span.started_us, max(ended, over_us(call, span) or ended)
    answered = answered_us(call, span)
    others = (call.dialogue_starts.get(span.id), answered)
    until = min([ended, *(max(at, begun) for at in others if at is not None)])
    background = answered is not None and answered < ended
    return Bar(span.name, "tool", begun, ended, waiting=(begun, until), background=background)


def _tts_bar(span: StoredSpan, ended: int) -> Bar:
    """The bar of a TTS. Its node is called together with the LLM's, and then waits for text."""
    text, mark = first(span, "text"), first(span, "audio")
    begun = text if text is not None else span.started_us
    waiting = (begun, mark if mark is not None else ended) if text is not None else None
    return Bar(
        "tts",
        "tts",
        begun,
        max(ended, begun),
        waiting=waiting,
        mark_us=mark,
        first_us=mark - begun if mark is not None and text is not None else None,
        first_name="ttfb",
    )


def _model_bar(span: StoredSpan, model: str, ended: int) -> Bar:
    """The bar of an LLM or a realtime model. A request that asks for tools is waited for until its
    end."""
    begun = span.started_us
    mark = first_token(span) if model == "llm" else first(span, "audio")
    asks_for_tools = span.result.get("tool_calls") and not any(
        as_list(span.stream("output").get("size"))
    )
    return Bar(
        model,
        model,
        begun,
        ended,
        waiting=(begun, mark if mark is not None and not asks_for_tools else ended),
        mark_us=mark,
        first_us=mark - begun if mark is not None else None,
        first_name="ttft" if model == "llm" else "ttfb",
    )


def _agent_bar(call: CallTree, turn: Turn) -> Bar | None:
    """What was played of the answers, with its loudness at the place where it was played."""
    stretches: list[Stretch] = []
    sounds: list[Sound] = []
    for answer in turn.answers:
        times, audio = played(call, answer)
        stretches += times
        sounds += audio if times else []
    if not stretches or not heard_answers(turn):
        return None
    return Bar(
        "agent",
        "agent",
        min(begun for begun, _ in stretches),
        max(ended for _, ended in stretches),
        sounds=tuple(sounds or (Sound(*stretch, dbfs=0) for stretch in stretches)),
        open=any(answer.span.finished_us is None for answer in turn.answers),
    )


def _slowest(silence: Silence | None, bars: Sequence[Bar]) -> Slowest | None:
    stage = silence.slowest if silence else None
    if silence is None or stage is None:
        return None
    request = stages.base(stage.name)[1]
    label = stagenames.bar(stage.name)
    shown = stages.tool_name(stage.name)
    found = [bar for bar in bars if bar.label == label and not bar.dropped]
    if label in {"llm", "tts"}:  # llm_ttft_2 is of the second request
        found = sorted(found, key=lambda bar: bar.started_us)[request - 1 :]
    return Slowest(shown, round(stage.ms * 1000), found[0] if found else None)


def _window(
    bars: Sequence[Bar], turn: Turn, zero: int, silence: Silence | None, agent: Bar | None
) -> tuple[int, int]:
    """The part of a turn to draw. Speech takes seconds, but readers look for the wait in between:
    the window holds only as much speech as leaves the wait a good part of the width."""
    if not bars:
        return turn.started_us, turn.started_us + 1
    earliest, last = min(bar.started_us for bar in bars), max(bar.ended_us for bar in bars)
    answered = silence.ends_us if silence else agent.started_us if agent else last
    waited = max(answered - zero, 0)
    others = [bar for bar in bars if not bar.is_voice]
    begun = min((bar.started_us for bar in others), default=zero)
    settled = max((bar.waiting[1] for bar in others if bar.waiting), default=answered)
    begin = min(max(earliest, min(begun, zero - waited // 4 - 200_000)), zero)
    end = min(last, max(settled, answered + waited * 2 // 5 + 300_000))
    return begin, max(end, begin + 1)
