"""A call as its page tells it: who said what, where the silence was, and what it was made of."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from prefactor_agent.journal.reader import StoredSpan

from .text import listing, mapping, ms, number, words

SESSION = "livekit:session"
USER_TURN = "livekit:user_turn"
ASSISTANT_TURN = "livekit:assistant_turn"
LLM = "livekit:llm"
STT = "livekit:stt"
TTS = "livekit:tts"
TRANSCRIPTION = "livekit:transcription"
REALTIME = "livekit:realtime"
TOOL = "livekit:tool"
TOOL_RESULT = "livekit:tool_result"
ERROR = "livekit:error"
HANDOFF = "livekit:handoff"
STATE = "livekit:state"

_STAGES: dict[str, tuple[str, str]] = {
    # How a stage is called on the page, and who is at work in it; in the order in which they follow
    # each other (see latency.py). A later round of the model has its number behind the name.
    "vad": ("end-of-speech detection", "hear"),
    "transcript": ("final transcript", "hear"),
    "endpointing": ("endpointing", "hear"),
    "on_user_turn_completed": ("on_user_turn_completed", "hook"),
    "handoff": ("handoff", "hook"),
    "on_enter": ("on_enter", "hook"),
    "llm_queue": ("before the LLM call", "llm"),
    "llm_ttft": ("LLM to first token", "llm"),
    "llm_tool_call": ("LLM to tool call", "llm"),
    "tool": ("tool", "tool"),
    "realtime_response": ("realtime response", "llm"),
    "realtime_ttfb": ("realtime to first audio", "llm"),
    "first_sentence": ("first token to TTS", "tts"),
    "tts_ttfb": ("TTS to first audio", "tts"),
    "previous_speech": ("previous speech", "play"),
    "playback": ("first audio to playback", "play"),
    "leading_silence": ("leading silence of the voice", "quiet"),
    "unattributed": ("unattributed", "none"),
}
_ROUND = re.compile(r"(llm_\w+?)_(\d+)$")
_ENDS = {
    # What the beginning of a silence is based on, and which moment of the user's turn that is.
    "audio": "speech_ended",
    "vad": "vad_estimate",
    "vad_end": "vad_ended",
    "transcript": "final_transcript",
    "commit": "committed",
    "text": "committed",
}


def is_tool(type_: str) -> bool:
    return type_ == TOOL or type_.startswith(TOOL + ":")


def _stage(name: str) -> tuple[str, int]:
    """The kind of a stage, and the round of the model that it belongs to."""
    if name.startswith("tool:"):
        return "tool", 1
    found = _ROUND.match(name)
    return (found[1], int(found[2])) if found else (name, 1)


def label_of(stage: str) -> str:
    kind, round_ = _stage(stage)
    if kind == "tool":
        return f"tool {stage.removeprefix('tool:')}" if ":" in stage else "tool"
    label = _STAGES[kind][0] if kind in _STAGES else stage.replace("_", " ")
    return f"{label} ({round_})" if round_ > 1 and kind in _STAGES else label


def family_of(stage: str) -> str:
    kind = _stage(stage)[0]
    return _STAGES[kind][1] if kind in _STAGES else "none"


def _place(stage: str) -> tuple[int, int, int]:
    """Where a stage stands among the others; one of an unknown name comes late."""
    kind, round_ = _stage(stage)
    order = list(_STAGES)
    if kind not in order:
        return (len(order), 0, 0)
    at, first, last = order.index(kind), order.index("llm_queue"), order.index("tool")
    return (first, round_, at) if first <= at <= last else (at, 0, 0)


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    ms: float

    @property
    def label(self) -> str:
        return label_of(self.name)


@dataclass(frozen=True, slots=True)
class Gap:
    """The dead air before one answer: from the caller's last sound to the agent's first."""

    span_id: str
    turn: str
    begins_us: int
    ms: float
    stages: tuple[Stage, ...]
    derived: bool
    """Nobody measured it: it was worked out from the moments of the turn."""

    @property
    def ends_us(self) -> int:
        return self.begins_us + round(self.ms * 1000)

    @property
    def slowest(self) -> Stage | None:
        named = [stage for stage in self.stages if stage.ms > 0]
        return max(named, key=lambda stage: stage.ms, default=None)


@dataclass(slots=True)
class Note:
    """Something inside a turn, or between turns: a tool call, an error, a handoff."""

    kind: str
    span_id: str
    at_us: int
    title: str
    status: str
    chips: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    """One turn of the conversation."""

    kind: str
    span_id: str
    at_us: int
    turn: str
    said: str
    unsaid: str = ""
    cut_s: float | None = None
    going_on: bool = False
    chips: list[tuple[str, str]] = field(default_factory=list)
    gap: Gap | None = None
    notes: list[Note] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """A stretch of a voice: when it begins, and its level for each 10 ms."""

    begins_us: int
    levels: bytearray = field(default_factory=bytearray)
    us: int = 0

    @property
    def ends_us(self) -> int:
        return self.begins_us + self.us


BIN_US = 10_000
SHADES = 3
_LEVELS = [bytes((level,)) for level in range(128)]
_APART_US = 60_000
"""Audio that comes later than this after what came before was preceded by a pause."""


class Reading:
    """Everything that the page says, worked out once from the spans of one call."""

    def __init__(self, spans: Sequence[StoredSpan]) -> None:
        self.spans = sorted(spans, key=lambda span: span.started_us)
        self.by_id = {span.id: span for span in self.spans}
        self.session = next((span for span in self.spans if span.type == SESSION), None)
        self.children: dict[str | None, list[StoredSpan]] = defaultdict(list)
        for span in self.spans:
            self.children[span.parent_id].append(span)
        self.origin_us = self._origin()
        self.user_voice = [run for span in self._of(STT) for run in self._heard(span)]
        self.agent_voice = [run for span in self._of(ASSISTANT_TURN) for run in self._played(span)]
        self.gaps = [gap for span in self._of(ASSISTANT_TURN) if (gap := self._gap(span))]
        self._gap_of = {gap.span_id: gap for gap in self.gaps}
        self.conversation = self._conversation()
        self.ends_us = max(
            [
                1,
                *(self._known_until(span) for span in self.spans),
                *(run.ends_us for run in (*self.user_voice, *self.agent_voice)),
                *(gap.ends_us for gap in self.gaps),
            ]
        )

    def _of(self, type_: str) -> Iterator[StoredSpan]:
        return (span for span in self.spans if span.type == type_)

    def _origin(self) -> int:
        """Where the axis of the call begins, in microseconds since the epoch."""
        if self.session is not None:
            return self.session.started_us
        for span in self.spans:
            created = number(mapping(span.result.get("moments_us")).get("created"))
            if created is not None:
                return span.started_us - int(created)
        return self.spans[0].started_us if self.spans else 0

    def at(self, span: StoredSpan) -> int:
        return span.started_us - self.origin_us

    def _known_until(self, span: StoredSpan) -> int:
        """Where a span ended; one that did not was alive at its last chunk."""
        if span.duration_us is not None:
            return self.at(span) + span.duration_us
        streams = mapping(span.result.get("streams")).values()
        last = [listing(mapping(stream).get("offset_us"))[-1:] for stream in streams]
        return self.at(span) + max((int(n) for at in last if (n := number(*at or (0,)))), default=0)

    def within(self, span: StoredSpan, *types: str) -> list[StoredSpan]:
        """The spans of these types anywhere under a span, in the order in which they began."""
        found: list[StoredSpan] = []
        waiting, seen = list(self.children[span.id]), {span.id}
        while waiting:
            child = waiting.pop()
            if child.id in seen or child.type in (USER_TURN, ASSISTANT_TURN):
                continue
            seen.add(child.id)
            if child.type in types or (TOOL in types and is_tool(child.type)):
                found.append(child)
            waiting.extend(self.children[child.id])
        return sorted(found, key=lambda child: child.started_us)

    def ancestors(self, span: StoredSpan) -> Iterator[StoredSpan]:
        """The span, its parent, and so on; ends where a parent is missing, or was seen before."""
        seen: set[str] = set()
        at: StoredSpan | None = span
        while at is not None and at.id not in seen:
            seen.add(at.id)
            yield at
            at = self.by_id.get(at.parent_id) if at.parent_id else None

    # Voices

    def _heard(self, span: StoredSpan) -> list[Run]:
        audio = span.stream("audio")
        rate = number(audio.get("sample_rate"))
        base, runs = self.at(span), list[Run]()
        for offset, size, level in _chunks(audio):
            begins = base + offset
            if not runs or begins - runs[-1].ends_us > _APART_US:
                runs.append(Run(begins))
            _append(runs[-1], _duration_us(size, rate, 20_000), level)
        return runs

    def _played(self, turn: StoredSpan) -> list[Run]:
        """The agent's audio at the time at which it was played, up to where it was cut."""
        voices = self.within(turn, TTS, REALTIME)
        streams = [list(_timed(span.stream("audio"))) for span in voices]
        segments = [
            segment
            for segment in map(mapping, listing(turn.result.get("segments")))
            if number(segment.get("started_us")) is not None
        ]
        if not segments:
            return [] if turn.finished_us is not None else self._arrived(voices, streams)
        if len(streams) != len(segments):
            streams = list(_split([c for stream in streams for c in stream], segments))
        pauses = _pauses(turn)
        runs: list[Run] = []
        for segment, stream in zip(segments, streams, strict=True):
            runs += _play(segment, stream, pauses)
        silence = number(voices[0].result.get("leading_silence_ms")) if voices else None
        if runs and silence:
            # A frame's one level does not tell where in it the voice begins; this does.
            quiet = min(len(runs[0].levels), int(silence * 1000) // BIN_US)
            runs[0].levels[:quiet] = bytes(quiet)
        return runs

    def _arrived(self, voices: list[StoredSpan], streams: list[list[tuple[int, int]]]) -> list[Run]:
        """The audio of a turn that is not over: nobody told yet when it was played."""
        runs = []
        for span, stream in zip(voices, streams, strict=True):
            offsets = listing(span.stream("audio").get("offset_us"))
            if offsets and stream:
                run = Run(self.at(span) + int(offsets[0]))
                for us, level in stream:
                    _append(run, us, level)
                runs.append(run)
        return runs

    # Dead air

    def _gap(self, turn: StoredSpan) -> Gap | None:
        moments = {
            name: int(value)
            for name, moment in mapping(turn.result.get("moments_us")).items()
            if (value := number(moment)) is not None
        }
        ended = moments.get("user_speech_ended")
        number_ = turn_number(turn)
        latency = mapping(turn.result.get("latency"))
        perceived = number(latency.get("perceived_ms"))
        if perceived is not None and perceived >= 0:
            stages = tuple(
                Stage(words(stage.get("name")) or "unattributed", max(0.0, taken))
                for stage in map(mapping, listing(latency.get("stages")))
                if (taken := number(stage.get("ms"))) is not None
            )
            since = _ENDS.get(words(mapping(latency.get("basis")).get("from")), "speech_ended")
            ended = moments.get(f"user_{since}", self._moment_of_user(turn, since))
            if ended is None:
                audible = moments.get("playback_started", self.at(turn))
                ended = audible - round(perceived * 1000)
            return Gap(turn.id, number_, ended, perceived, stages, derived=False)
        started = moments.get("playback_started")
        if ended is None or started is None:
            return None
        voices = self.within(turn, TTS, REALTIME)
        silence = number(voices[0].result.get("leading_silence_ms")) if voices else None
        audible = started + round((silence or 0) * 1000)
        if audible < ended:
            return None
        cuts = [*self._cuts(turn, moments), ("playback", started), ("leading_silence", audible)]
        stages = _consecutive(ended, audible, cuts)
        return Gap(turn.id, number_, ended, (audible - ended) / 1000, stages, derived=True)

    def _moment_of_user(self, turn: StoredSpan, name: str) -> int | None:
        """A moment of the user's turn that a turn answers."""
        user = self.by_id.get(words(turn.result.get("user_turn_id")))
        moment = number(mapping(user.result.get("moments_us")).get(name)) if user else None
        return None if moment is None else int(moment)

    def _cuts(self, turn: StoredSpan, moments: dict[str, int]) -> Iterator[tuple[str, int]]:
        """Where each stage ended, in the order of the stages."""
        for name, moment in (
            ("vad", "user_vad_ended"),
            ("transcript", "user_final_transcript"),
            ("endpointing", "user_committed"),
            ("on_user_turn_completed", "user_hook_done"),
        ):
            if moment in moments:
                yield name, moments[moment]
        voices = self.within(turn, TTS)
        first_audio = _first(voices[0].stream("audio")) if voices else None
        bound = self.at(voices[0]) + first_audio if voices and first_audio is not None else None
        calls = 0
        for span in self.within(turn, LLM, TOOL):
            at = self.at(span)
            if bound is not None and at > bound:
                break
            end = at + (span.duration_us or 0)
            if is_tool(span.type):
                yield f"tool:{span.name}", end
            elif listing(span.result.get("tool_calls")) and not words(span.result.get("text")):
                calls += 1
                yield "llm_tool_call" + (f"_{calls}" if calls > 1 else ""), end
            elif (first := _first(span.stream("output"))) is not None:
                calls += 1
                yield "llm_ttft" + (f"_{calls}" if calls > 1 else ""), at + first
        if voices:
            at = self.at(voices[0])
            first_text = _first(voices[0].stream("text"))
            if first_text is not None:
                yield "first_sentence", at + first_text
            if bound is not None:
                yield "tts_ttfb", bound

    # The conversation

    def _conversation(self) -> list[Entry | Note]:
        told: list[Entry | Note] = []
        for span in self.spans:
            if span.type == USER_TURN:
                told.append(self._user_entry(span))
            elif span.type == ASSISTANT_TURN:
                told.append(self._agent_entry(span))
            elif self._is_note(span) and self.turn_of(span) is None:
                told.append(self._note(span))
        return told

    def turn_of(self, span: StoredSpan) -> StoredSpan | None:
        """The turn that a span belongs to."""
        return next(
            (a for a in self.ancestors(span) if a.type in (USER_TURN, ASSISTANT_TURN)), None
        )

    def anchor_of(self, span: StoredSpan) -> str | None:
        """The id of the part of the conversation that stands for a span."""
        for ancestor in self.ancestors(span):
            if ancestor.type in (USER_TURN, ASSISTANT_TURN) or self._is_note(ancestor):
                return ancestor.id
        return None

    @staticmethod
    def _is_note(span: StoredSpan) -> bool:
        return is_tool(span.type) or span.type in (ERROR, HANDOFF)

    def _notes(self, span: StoredSpan) -> list[Note]:
        return [self._note(child) for child in self.within(span, TOOL, ERROR, HANDOFF)]

    def _user_entry(self, span: StoredSpan) -> Entry:
        said = words(span.result.get("transcript"))
        if not said:
            heard = [_last_words(child) for child in self.within(span, STT)]
            said = " ".join(part for part in heard if part)
        chips: list[tuple[str, str]] = []
        if span.payload.get("modality") == "text":
            chips.append(("typed", ""))
        told = (words(span.result.get(key)) for key in ("language", "speaker_id"))
        chips += [(value, "") for value in told if value]
        if confidence := number(span.result.get("confidence")):
            chips.append((f"{confidence:.0%} sure", ""))
        chips += _status_chips(span, "not taken as a turn")
        return Entry(
            "user",
            span.id,
            self.at(span),
            turn_number(span),
            said,
            chips=chips,
            notes=self._notes(span),
        )

    def _agent_entry(self, span: StoredSpan) -> Entry:
        result = span.result
        said = words(result.get("spoken_text"))
        generated = words(result.get("generated_text"))
        if span.finished_us is None and not generated:
            generated = "".join(
                words(text)
                for child in self.within(span, LLM)
                for text in listing(child.stream("output").get("text"))
            )
        chips: list[tuple[str, str]] = []
        cut = None
        if result.get("interrupted") is True:
            by = words(result.get("interrupted_by"))
            by = {"user": "the caller", "program": "the program"}.get(by, by)
            chips.append((f"interrupted by {by}" if by else "interrupted", "bad"))
            cut = number(result.get("playback_position_s"))
        if result.get("preemptive") == "dropped":
            chips.append(("begun early, then dropped", ""))
        elif result.get("preemptive") == "used":
            chips.append(("begun early", ""))
        if (source := words(span.payload.get("source"))) and source != "generate_reply":
            chips.append((source, ""))
        chips += _measured_chips(result)
        chips += _status_chips(span, "never spoken")
        notes = self._notes(span)
        error = mapping(result.get("error"))
        if error and not any(note.kind == "error" for note in notes):
            notes.append(
                Note(
                    "error",
                    span.id,
                    self.at(span),
                    words(error.get("error_type")) or "error",
                    "failed",
                    fields=[("message", words(error.get("message")))],
                )
            )
        return Entry(
            "agent",
            span.id,
            self.at(span),
            turn_number(span),
            said,
            unsaid=_rest(generated, said, cut is not None),
            cut_s=cut,
            going_on=span.finished_us is None,
            chips=chips,
            gap=self._gap_of.get(span.id),
            notes=notes,
        )

    def _note(self, span: StoredSpan) -> Note:
        at, payload, result = self.at(span), span.payload, span.result
        if span.type == ERROR:
            recoverable = payload.get("recoverable")
            chips = ["retried"] if recoverable is True else []
            title = words(payload.get("error_type")) or "error"
            fields = [("message", words(payload.get("message")))]
            if source := words(payload.get("source")):
                fields.append(("source", source))
            return Note("error", span.id, at, title, span.status, chips, fields)
        if span.type == HANDOFF:
            ends = [words(payload.get(k)) or words(result.get(k)) or "?" for k in ("from", "to")]
            title = f"{ends[0]} \u2192 {ends[1]}"
            fields = [("tool", tool)] if (tool := words(payload.get("tool"))) else []
            return Note("handoff", span.id, at, title, span.status, [], fields)
        name = words(payload.get("tool_name")) or span.name or span.type.removeprefix(TOOL + ":")
        chips = []
        if span.duration_us is None:
            chips.append("still running" if span.status == "active" else "no end")
        else:
            took = span.duration_us / 1000
            chips.append(f"{took:,.1f}\u202fms" if took < 10 else f"{took:,.0f}\u202fms")
        outcome = words(result.get("outcome"))
        if outcome and outcome != "returned":
            chips.append(outcome.replace("_", " "))
        fields = [("input", _json(payload["inputs"]))] if "inputs" in payload else []
        error = mapping(result.get("error"))
        outputs = result.get("outputs")
        if error:
            fields.append(("error", words(error.get("message")) or _json(error)))
        elif isinstance(outputs, dict) and set(outputs) == {"output"}:
            fields.append(("result", _json(outputs["output"])))
        elif outputs is not None:
            fields.append(("result", _json(outputs)))
        return Note("tool", span.id, at, name, span.status, chips, fields)

    # Figures

    @cached_property
    def turns(self) -> int:
        return sum(1 for _ in (*self._of(USER_TURN), *self._of(ASSISTANT_TURN)))

    @cached_property
    def interrupted(self) -> int:
        return sum(span.result.get("interrupted") is True for span in self._of(ASSISTANT_TURN))

    @cached_property
    def tools(self) -> list[StoredSpan]:
        return [span for span in self.spans if is_tool(span.type)]

    @cached_property
    def errors(self) -> int:
        """Errors that were told, and tools that failed."""
        failed = sum(span.status == "failed" for span in self.tools)
        return failed + sum(1 for _ in self._of(ERROR))

    @cached_property
    def worst(self) -> Gap | None:
        return max(self.gaps, key=lambda gap: gap.ms, default=None)

    @cached_property
    def median_ms(self) -> float | None:
        values = sorted(gap.ms for gap in self.gaps)
        if not values:
            return None
        middle = len(values) // 2
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    @cached_property
    def stage_names(self) -> list[str]:
        """The stages that occur in the call, in the order in which they follow each other."""
        seen = dict.fromkeys(stage.name for gap in self.gaps for stage in gap.stages)
        return sorted(seen, key=_place)

    @cached_property
    def stage_styles(self) -> dict[str, str]:
        """A colour for each stage: that of who is at work, in up to three shades."""
        styles: dict[str, str] = {}
        counts: dict[str, int] = defaultdict(int)
        for name in self.stage_names:
            family = family_of(name)
            styles[name] = f"{family}-{counts[family] % SHADES}"
            counts[family] += 1
        return styles


def turn_number(span: StoredSpan) -> str:
    index = span.payload.get("turn_index")
    return str(index) if isinstance(index, int) else ""


def _status_chips(span: StoredSpan, cancelled: str) -> list[tuple[str, str]]:
    if span.status == "active":
        return [("no end was recorded", "open")]
    if span.status == "failed":
        return [("failed", "bad")]
    return [(cancelled, "")] if span.status == "cancelled" else []


def _measured_chips(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What else was measured of a turn, where it says that something was wrong."""
    chips = []
    for name in mapping(mapping(result.get("latency")).get("over_budget")):
        what = "dead air" if name == "perceived" else label_of(name)
        chips.append((f"over budget: {what}", "bad"))
    if (spoke_on := number(result.get("barge_in_ms"))) is not None:
        chips.append((f"spoke on for {ms(spoke_on)}", ""))
    if holes := [number(mapping(hole).get("ms")) or 0.0 for hole in listing(result.get("gaps"))]:
        many = f"{len(holes)} gaps" if len(holes) > 1 else "a gap"
        chips.append((f"{many} in the audio, {ms(sum(holes))}", "bad"))
    return chips


def _rest(generated: str, said: str, interrupted: bool) -> str:
    """What was generated and not said. The two differ in white space: a tool call in between
    leaves two messages. Words that were changed on their way to the voice count as said."""
    at = 0
    for character in said:
        if character.isspace():
            continue
        while at < len(generated) and generated[at].isspace():
            at += 1
        if at >= len(generated) or generated[at] != character:
            return generated if interrupted else ""
        at += 1
    return generated[at:].strip()


def _last_words(stt: StoredSpan) -> str:
    events = listing(stt.stream("events").get("event"))
    texts = [text for event in events if (text := words(mapping(event).get("text")))]
    return texts[-1] if texts else ""


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _chunks(audio: dict[str, Any]) -> Iterator[tuple[int, int, int]]:
    columns = [listing(audio.get(name)) for name in ("offset_us", "size", "dbfs")]
    return zip(*columns, strict=False)


def _timed(audio: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """How long each chunk sounds, and how loud it is."""
    rate = number(audio.get("sample_rate"))
    for _, size, level in _chunks(audio):
        yield _duration_us(size, rate, 0), level


def _duration_us(size: int, rate: float | None, unknown: int) -> int:
    """A span that is still open does not tell its sample rate: LiveKit's usual one stands in."""
    if rate:
        return round(size * 1e6 / rate)
    return unknown or round(size * 1e6 / 24_000)


def _append(run: Run, us: int, level: int) -> None:
    """Add audio to a run. Lengths are summed before they are rounded: a frame may be shorter than
    a bin."""
    run.us += us
    bins = round(run.us / BIN_US) - len(run.levels)
    if bins > 0:
        run.levels += _LEVELS[min(127, max(0, 127 + int(level)))] * bins


def _split(
    chunks: list[tuple[int, int]], segments: list[dict[str, Any]]
) -> Iterator[list[tuple[int, int]]]:
    """Shares audio out to the segments that played it, by how much each of them played."""
    at = 0
    for index, segment in enumerate(segments):
        if index == len(segments) - 1:
            yield chunks[at:]
            return
        left = (number(segment.get("position_s")) or 0.0) * 1e6
        begin = at
        while at < len(chunks) and left > 0:
            left -= chunks[at][0]
            at += 1
        yield chunks[begin:at]


def _pauses(turn: StoredSpan) -> list[tuple[int, int]]:
    """When the playback stood still, as (from, to)."""
    pauses, since = [], None
    for pause in map(mapping, listing(turn.result.get("pauses"))):
        at = number(pause.get("at_us"))
        if at is None:
            continue
        if pause.get("state") == "paused":
            since = int(at)
        elif since is not None and "resumed" in words(pause.get("state")):
            pauses.append((since, int(at)))
            since = None
    for hole in map(mapping, listing(turn.result.get("gaps"))):
        at, lasted = number(hole.get("at_us")), number(hole.get("ms"))
        if at is not None and lasted is not None:  # the player had nothing to play
            pauses.append((int(at), int(at) + round(lasted * 1000)))
    return sorted(pauses)


def _play(
    segment: dict[str, Any], chunks: list[tuple[int, int]], pauses: list[tuple[int, int]]
) -> list[Run]:
    head = int(number(segment.get("started_us")) or 0)
    position = number(segment.get("position_s"))
    left = None if position is None else round(position * 1e6)
    waiting = [pause for pause in pauses if pause[0] >= head]
    runs = [Run(head)]
    for us, level in chunks:
        while us > 0:
            take = us if left is None else min(us, left)
            if waiting:
                take = min(take, max(0, waiting[0][0] - head))
            if take > 0:
                _append(runs[-1], take, level)
                head += take
                us -= take
                left = None if left is None else left - take
            if left is not None and left <= 0:
                return runs
            if waiting and head >= waiting[0][0]:
                head = waiting.pop(0)[1]
                runs.append(Run(head))
            elif take <= 0:
                break
    return runs


def _first(stream: dict[str, Any]) -> int | None:
    first = number(stream.get("first_us"))
    if first is None:
        first = number(next(iter(listing(stream.get("offset_us"))), None))
    return None if first is None else int(first)


def _consecutive(begins: int, ends: int, cuts: list[tuple[str, int]]) -> tuple[Stage, ...]:
    """Stages that follow each other without a gap and sum to the whole. A stage that ended before
    the one before it did (work that was begun early) took no time of its own."""
    stages: dict[str, int] = {}
    at = begins
    for name, cut in cuts:
        cut = min(max(cut, at), ends)
        if cut > at:
            stages[name] = stages.get(name, 0) + cut - at
        at = cut
    if at < ends:
        stages["unattributed"] = stages.get("unattributed", 0) + ends - at
    return tuple(Stage(name, us / 1000) for name, us in stages.items())
