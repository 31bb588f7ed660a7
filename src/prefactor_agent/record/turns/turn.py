"""The two kinds of turn: what is known of one while it runs, and what is said of it when it
ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...core.json import JSON, without_none
from ...core.span import Span
from ..audio.agent_voice import AgentVoice
from ..spans.stream import LLMOutput, Stream
from ..spans.tree import SpanTree
from .utterance import Utterance

PARTIALS_KEPT = 50
MEASURED_KEPT = 20
"""Requests that a turn keeps the metrics of, of each kind; a turn seldom has more than three."""


@dataclass(eq=False)
class UserTurn:
    span: Span
    index: int
    modality: str = "audio"
    utterance: Utterance | None = None
    was_heard: bool = False
    """It has spans of its own for what the STT said."""
    finals: list[str] = field(default_factory=list)
    interims: int = 0
    partials: deque[JSON] = field(default_factory=lambda: deque(maxlen=PARTIALS_KEPT))
    """The last interim transcripts: what there is of them where the STT node is not traced."""
    language: str | None = None
    speaker_id: str | None = None
    confidence: float | None = None
    message_id: str | None = None
    transcript: str | None = None
    metrics: JSON = field(default_factory=dict)
    measured: JSON = field(default_factory=dict)
    """LiveKit's measurements of single model calls, by kind of model."""
    network: JSON = field(default_factory=dict)
    """What the network did to its sound: see network.py."""
    told_budgets: set[str] = field(default_factory=set)
    wordless: bool = False
    """A realtime model took it and did not say what it heard."""
    reply: AssistantTurn | None = None
    """The speech that a realtime model answers it with."""
    answered: AssistantTurn | None = None
    """The speech whose sound ended the silence after it."""
    moments: dict[str, int] = field(default_factory=dict)
    """Monotonic nanoseconds of what a later computation of latency needs; a missing one was not
    seen."""

    def text(self) -> str:
        return self.transcript if self.transcript is not None else " ".join(self.finals)

    def heard_anything(self) -> bool:
        return bool(self.finals or self.interims or self.utterance)

    def take_utterance(self) -> Utterance | None:
        """The utterance that is open, which the turn has no more."""
        taken, self.utterance = self.utterance, None
        return taken


@dataclass(eq=False)
class Segment:
    """One stretch of agent audio that was handed to the output as a whole."""

    started_ns: int
    finished_ns: int | None = None
    position_s: float | None = None
    interrupted: bool = False
    spoken: str | None = None


@dataclass(eq=False)
class HeardVoice:
    """One call of the voice, as far as the latency of the turn needs it."""

    called_ns: int
    voice: AgentVoice
    text: Stream | None
    """What it was given to say; ``None``: a realtime model speaks for itself."""
    first_frame_ns: int | None = None
    asked_ns: int | None = None
    """When its first text went to the provider, if LiveKit told."""


@dataclass(eq=False)
class Resumed:
    """A task came back to the tool that awaited it: the speech of the tool's goes on, and what the
    user said last, in the task, may wait for it."""

    at: int
    tool: Span
    asked: UserTurn
    cause: AssistantTurn
    """The speech in the task that was made for what the user said, and ended the task."""


@dataclass(eq=False)
class AssistantTurn:
    span: Span
    index: int
    speech_id: str
    speech: Any
    """LiveKit's ``SpeechHandle``, while the turn lasts."""
    begun_before_commit: UserTurn | None = None
    """The user's turn that was still open when the speech was created: the generation is
    preemptive."""
    preemptive: str | None = None
    answers: UserTurn | None = None
    open_nodes: dict[str, Span] = field(default_factory=dict)
    outputs: list[LLMOutput] = field(default_factory=list)
    texts: list[Stream] = field(default_factory=list)
    """What went through the transcription node: the text of a ``say``, which no LLM generated."""
    spoken: list[str] = field(default_factory=list)
    """What LiveKit committed to the history: what the caller can have heard."""
    message: JSON | None = None
    """The last of it, as the history has it."""
    cut_short: bool = False
    uncommitted: bool = False
    """All of it was played, and LiveKit was told to keep it out of the history."""
    segments: list[Segment] = field(default_factory=list)
    pauses: list[tuple[int, str]] = field(default_factory=list)
    tools_executed: int = 0
    item_metrics: JSON = field(default_factory=dict)
    measured: dict[str, list[Callable[[], JSON]]] = field(default_factory=dict)
    """LiveKit's measurements of single model calls, by kind of model, to be told when they are
    kept."""
    tool_spans: list[Span] = field(default_factory=list)
    voices: list[HeardVoice] = field(default_factory=list)
    handed_over_by: Span | None = None
    """The tool that answered with another agent."""
    caused_by: AssistantTurn | None = None
    """The speech whose tool, or handoff, this one came out of, while the user waits."""
    caused_within: Resumed | None = None
    """The task from which that one had gone on by then."""
    follows: UserTurn | None = None
    """The user's turn that was handed on, or had just ended, when the speech was created."""
    entered: list[int | None] | None = None
    """When ``on_enter`` that it came out of began, and ended."""
    left_ns: int | None = None
    """When the agent before began to give the call to that one."""
    last_below: AssistantTurn | None = None
    """The latest speech in a task that a tool of this one awaits."""
    resumes: Resumed | None = None
    previous_ended_ns: int | None = None
    ends_silence_of: UserTurn | None = None
    error: JSON | None = None
    interrupted_by: str | None = None
    user_spoke_over_ns: int | None = None
    user_spoke_over: UserTurn | None = None
    moments: dict[str, int] = field(default_factory=dict)

    def begin_node(self, span: Span) -> None:
        """One of the turn's nodes is called."""
        self.open_nodes[span.type] = span

    def end_node(self, span: Span) -> None:
        """The node call is over, unless a newer one has taken its place."""
        if self.open_nodes.get(span.type) is span:
            del self.open_nodes[span.type]

    def add_tool(self, span: Span) -> None:
        """The model's call of a tool has a span."""
        self.tools_executed += 1
        self.tool_spans.append(span)

    def add_measured(self, kind: str, as_json: Callable[[], JSON]) -> None:
        """LiveKit measured a request of one of the turn's models."""
        if len(noted := self.measured.setdefault(kind, [])) < MEASURED_KEPT:
            noted.append(as_json)

    @property
    def playing(self) -> Segment | None:
        return (
            self.segments[-1] if self.segments and self.segments[-1].finished_ns is None else None
        )


def offsets(call: SpanTree, moments: dict[str, int]) -> JSON:
    """Moments on the axis of the call, in microseconds, in the order in which they happened."""
    return {
        name: call.offset_us(moment)
        for name, moment in sorted(moments.items(), key=lambda item: item[1])
    }


def user_turn_result(call: SpanTree, turn: UserTurn, status: str, finished_at: float) -> JSON:
    metrics = turn.metrics
    return without_none(
        {
            "status": status,
            "transcript": turn.text() or (None if turn.wordless else ""),
            "language": turn.language,
            "speaker_id": turn.speaker_id,
            "confidence": turn.confidence,
            "is_final": status == "completed",
            "interim_revisions": turn.interims
            if turn.modality == "audio" and not turn.wordless
            else None,
            "partial_transcripts": None if turn.was_heard else list(turn.partials) or None,
            "end_of_turn_delay_ms": _ms(metrics.get("end_of_turn_delay")),
            "transcription_delay_ms": _ms(metrics.get("transcription_delay")),
            "metrics": {**metrics, **turn.measured} or None,
            "metadata": {},
            "finished_at": finished_at,
            "moments_us": offsets(call, turn.moments),
        }
    )


def assistant_turn_result(
    call: SpanTree, turn: AssistantTurn, status: str, interrupted: bool, finished_at: float
) -> JSON:
    """Called off the event loop, after the turn's LLM streams were absorbed."""
    sources: list[Stream] = [*turn.outputs] or turn.texts
    for source in sources:
        source.absorb()
    # Of an agent that is not traced nobody saw what it generated.
    generated = "".join("".join(source.text) for source in sources) if sources else None
    spoken = generated or "" if turn.uncommitted else " ".join(turn.spoken)
    measured = {kind: [tell() for tell in told] for kind, told in turn.measured.items()}
    played = [segment for segment in turn.segments if segment.position_s is not None]
    return without_none(
        {
            "status": status,
            "outputs": without_none({"text": spoken, "message": turn.message}),
            "generated_text": generated if sources else None,
            "spoken_text": spoken,
            "interrupted": interrupted,
            "interrupted_by": turn.interrupted_by,
            "preemptive": turn.preemptive,
            "playback_position_s": round(sum(s.position_s or 0.0 for s in played), 6)
            if played
            else None,
            "segments": [
                without_none(
                    {
                        "started_us": call.offset_us(segment.started_ns),
                        "finished_us": call.offset_us(segment.finished_ns)
                        if segment.finished_ns is not None
                        else None,
                        "position_s": segment.position_s,
                        "interrupted": segment.interrupted,
                        "spoken_text": segment.spoken,
                    }
                )
                for segment in turn.segments
            ]
            or None,
            "pauses": [
                {"at_us": call.offset_us(moment), "state": state} for moment, state in turn.pauses
            ]
            or None,
            "user_turn_id": turn.answers.span.id if turn.answers else None,
            "tool_calls": turn.tools_executed,
            "metrics": {**turn.item_metrics, **measured} or None,
            "error": turn.error,
            "finished_at": finished_at,
            "moments_us": offsets(call, turn.moments),
        }
    )


def realtime_tokens(usage: JSON | None) -> JSON | None:
    """What a realtime model reported, in the words of Prefactor's readers."""
    if usage is None:
        return None
    names = {
        "prompt_tokens": "input_tokens",
        "completion_tokens": "output_tokens",
        "total_tokens": "total_tokens",
    }
    return {name: usage[theirs] for name, theirs in names.items()}


def _ms(seconds: Any) -> float | None:
    return round(seconds * 1000, 3) if isinstance(seconds, int | float) else None
