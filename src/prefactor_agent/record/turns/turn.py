"""The two kinds of turn: the facts of each while it lasts."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from livekit.agents import llm

from ...conversation import Late, Question
from ...core.clock import from_wall
from ...core.json import JSON
from ...core.span import Span
from ..audio.agent_voice import AgentVoice
from ..spans.stream import LLMOutput, Stream
from .end_of_turn import EndOfTurn
from .utterance import Utterance

PARTIALS_KEPT = 50
WORDS_WITHIN_NS = 1_000_000_000
"""A sound of which an STT has said nothing for this long, counted from when the voice detector
reported its end, has no words: a cough, a door."""
AWAITED_NS = 15_000_000_000
"""How long a realtime model is waited for to tell what it heard."""
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
    announced: int = 0
    """How often a realtime model said that it will tell words: after each stretch of speech."""
    language: str | None = None
    speaker_id: str | None = None
    confidence: float | None = None
    message_id: str | None = None
    transcript: str | None = None
    metrics: JSON = field(default_factory=dict)
    measured: JSON = field(default_factory=dict)
    """LiveKit's measurements of single model calls, by kind of model."""
    network: JSON = field(default_factory=dict)
    """What the network did to its sound: see room/network.py."""
    reported_budgets: set[str] = field(default_factory=set)
    wordless: bool = False
    """A realtime model took it and did not say what it heard."""
    reply: AssistantTurn | None = None
    """The speech that a realtime model answers it with."""
    heard_by_model: bool = False
    """A realtime model hears it, and nobody else: what it tells of the words is not waited for."""
    ended_by_model: bool = False
    """A realtime model decided that it was over, not LiveKit."""
    soundless: bool = False
    """It began with words whose sound an earlier turn has."""
    inside: str | None = None
    """The tool call, by its span's id, whose ``AgentTask`` it was said to."""
    declined: bool = False
    """The agent's code, or the program, wanted no answer to it."""
    answer_due: bool = True
    """LiveKit was to have it answered: not if there is no model, or it was only noted down."""
    transcript_awaited: bool = False
    """A realtime model took it, and was to say what it heard."""
    end_of_turn: EndOfTurn = field(default_factory=EndOfTurn)
    """Why LiveKit waited before it took it."""
    end_of_turn_ns: int | None = None
    """When LiveKit decided that it was over."""
    hook_task: weakref.ref[asyncio.Task[Any]] | None = None
    """The task that ``on_user_turn_completed`` was called in: LiveKit makes its answer there."""
    moments: dict[str, int] = field(default_factory=dict)
    """Monotonic nanoseconds of what a later computation of latency needs; a missing one was not
    seen."""

    def text(self) -> str:
        return self.transcript if self.transcript is not None else " ".join(self.finals)

    @property
    def asks(self) -> bool:
        """Whether there are words in it, as far as anybody can tell."""
        return bool(self.text()) or (self.wordless and not self.transcript_awaited)

    def heard_anything(self) -> bool:
        return bool(self.finals or self.interims or self.utterance)

    def has_words(self, now: int) -> bool:
        """Whether something was understood of it, or still may be: it is more than a sound."""
        if self.finals or self.interims or self.transcript is not None:
            return True
        heard_by_stt = self.utterance is not None
        if not heard_by_stt and not self.heard_by_model:
            return False
        ended = self.moments.get("vad_ended")
        if ended is None:
            return self.utterance is None or not self.utterance.is_mute()
        return now - ended < (WORDS_WITHIN_NS if heard_by_stt else AWAITED_NS)

    def over_ns(self) -> int | None:
        """When the user was silent again: heard of a traced agent's, else as the VAD said."""
        return self.moments.get("speech_ended", self.moments.get("vad_ended"))

    def goes_on(self) -> bool:
        """Whether a realtime model, which has told some of the words, has more to tell: the user
        goes on, or has, after a pause."""
        known = self.moments.keys()
        speaks = "vad_started" in known and not known & {"vad_ended", "committed"}
        return self.heard_by_model and (speaks or len(self.finals) < self.announced)

    def take_message(self, message: llm.ChatMessage) -> None:
        """LiveKit took the turn with this message."""
        self.message_id = message.id
        if len(self.finals) > 1 and self.heard_by_model:
            self.transcript = self.text()  # the message has the last words alone
        else:
            self.transcript = message.text_content or self.text()
        # LiveKit says 0.0 where the STT tells no confidence.
        self.confidence = getattr(message, "transcript_confidence", None) or None
        self.metrics |= dict(message.metrics or {})

    def take_end(self, message: llm.ChatMessage) -> None:
        """LiveKit says with the turn's message when it decided that the turn was over (1.5: only
        when it adds the message to the history)."""
        metrics: Any = message.metrics or {}
        stopped, delay = metrics.get("stopped_speaking_at"), metrics.get("end_of_turn_delay")
        taken = self.moments.get("committed")
        if taken is not None and isinstance(stopped, float) and isinstance(delay, float):
            self.end_of_turn_ns = min(taken, from_wall(stopped + delay))

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
    late: list[Late] = field(default_factory=list)
    """What came to the output when it had nothing left to play, where the output tells."""


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


class HeardMeanwhile(NamedTuple):
    """What came in of the caller while a speech was played."""

    started_ns: int
    """When it began to be played."""
    played_ns: int
    """How much of it was."""
    voice: AgentVoice
    sample_rate: int
    frames: Sequence[tuple[int, int]]
    """Of the caller: when each began, and its samples and level."""


@dataclass(frozen=True, slots=True)
class MeasuredRequest:
    """A request to a model of an agent that is not traced, as LiveKit measured it once it was
    over."""

    called_ns: int
    first_ns: int | None
    """Its first token, or the first of its audio."""
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """A task came back to the tool that awaited it: the speech of the tool's goes on, and what the
    user said last, in the task, may wait for it."""

    at: int
    tool: Span
    cause: str
    """The speech in the task, by its span's id, that was made last: it ended the task."""


@dataclass(eq=False)
class AssistantTurn:
    span: Span
    index: int
    speech_id: str
    speech: Any
    """LiveKit's ``SpeechHandle``, while the turn lasts."""
    question: UserTurn | None = None
    """The user's turn that LiveKit itself made the speech for: see ``conversation/timeline.py``."""
    latest: UserTurn | None = None
    """The newest turn of the user's when the speech was created."""
    from_hook: bool = False
    """The program created it in a context that came out of that turn's hook."""
    asked_for: bool = False
    """The program asked for it, or LiveKit itself in its place: not a realtime model."""
    screened_ns: int | None = None
    """When the answering machine detection was done, if that was before it was heard."""
    ahead: bool = False
    """LiveKit generated it before it knew that the user's turn was over (preemptive)."""
    preemptive: str | None = None
    inside: str | None = None
    """The tool call, by its span's id, whose ``AgentTask`` it was said in."""
    heard_over: UserTurn | None = None
    """The user's turn that was open when the speech was first heard."""
    during: Question | None = None
    """The same turn as it was known then."""
    came_out: bool = False
    """Some of it was played or, without audio, shown as text."""
    ended_ns: int | None = None
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
    executed: Any = None
    """LiveKit's last ``FunctionToolsExecutedEvent`` of it, while it lasts."""
    declined: bool = False
    """The tools that it called last wanted no words after them."""
    item_metrics: JSON = field(default_factory=dict)
    measured: dict[str, list[Callable[[], JSON]]] = field(default_factory=dict)
    """LiveKit's measurements of single model calls, by kind of model, to be told when they are
    kept."""
    measured_models: list[MeasuredRequest] = field(default_factory=list)
    measured_voices: list[MeasuredRequest] = field(default_factory=list)
    """The requests of an agent whose nodes are not traced."""
    generations: list[int] = field(default_factory=list)
    """When a realtime model said that it makes a reply."""
    tool_spans: list[Span] = field(default_factory=list)
    voices: list[HeardVoice] = field(default_factory=list)
    handed_over_by: Span | None = None
    """The tool that answered with another agent."""
    caused_by: str | None = None
    """The speech, by its span's id, in whose context (a tool, a handoff) this one was created."""
    replies_for: AssistantTurn | None = None
    """The speech to the result of whose tool a realtime model replies by itself with this one."""
    entered: list[int | None] | None = None
    """When ``on_enter`` that it came out of began, and ended."""
    left_ns: int | None = None
    """When the agent before began to give the call to that one."""
    last_below: AssistantTurn | None = None
    """The latest speech in a task that a tool of this one awaits."""
    resumed: Resumed | None = None
    previous_ended_ns: int | None = None
    heard_meanwhile: HeardMeanwhile | None = None
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

    def settle_tools(self, *, interrupted: bool) -> None:
        """The speech is over: did its tools want it to end there? They say so by raising
        ``StopResponse`` or returning nothing; LiveKit says it of all that it breaks off, too."""
        event, self.executed = self.executed, None
        if event is not None and not interrupted:
            self.declined = not (event.has_tool_reply or event.has_agent_handoff)

    def add_measured(self, kind: str, as_json: Callable[[], JSON]) -> None:
        """LiveKit measured a request of one of the turn's models."""
        if len(noted := self.measured.setdefault(kind, [])) < MEASURED_KEPT:
            noted.append(as_json)

    @property
    def is_paused(self) -> bool:
        """Whether its audio stands still for what may be an interruption."""
        turned = (state for _, state in reversed(self.pauses) if state in ("paused", "resumed"))
        return next(turned, None) == "paused"

    def was_paused_since(self, moment: int) -> bool:
        """Whether its audio has stood still after a moment."""
        return any(at >= moment and state == "paused" for at, state in self.pauses)

    @property
    def by_program(self) -> bool:
        """Whether the program created it, for none of the user's turns that LiveKit took."""
        return self.asked_for and self.question is None and not self.ahead

    @property
    def modality(self) -> str | None:
        """How the input of the speech came in, by LiveKit's word: ``text`` or ``audio``."""
        details = getattr(self.speech, "input_details", None)
        return getattr(details, "modality", None)

    def has_words(self) -> bool:
        """Whether there was something to say, or something was said."""
        texts = [*self.texts, *(voice.text for voice in self.voices if voice.text is not None)]
        return bool(
            self.segments
            or any(text.first is not None for text in texts)
            or any(voice.first_frame_ns is not None for voice in self.voices)
        )

    @property
    def playing(self) -> Segment | None:
        return (
            self.segments[-1] if self.segments and self.segments[-1].finished_ns is None else None
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
