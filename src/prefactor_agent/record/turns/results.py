"""What is said of a turn when it has ended: the results of the spans of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...conversation import (
    Asked,
    End,
    Latency,
    Replied,
    Speech,
    Timeline,
    answered_question,
    cut_in_us,
    exceeded,
    gaps_of,
    latency_of,
    later_answer,
    overlap_of,
    replied,
    silence_ended_by,
    summarize,
    unanswered,
)
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..audio.echo import Echo
from ..spans.stream import Stream
from ..spans.tree import SpanTree
from .echo import echo_in, echo_json, summarize_echoes
from .facts import TurnFacts
from .segments import waits_in
from .turn import HeardMeanwhile, UserTurn

_UNANSWERED_KEPT = 100
"""Questions that nobody answered, of which a session's result has the ids."""


class EndedTurn:
    """What comes of the facts of an assistant's turn that is over.

    Read on the journal's thread, by the turn's own span and by that of the session: it is worked
    out once, and is the same whoever asks first.

    Args:
        timeline: Gives the facts of the session's last turns.
        budgets: Seconds that a turn may take, by what they are for.
        networks: What the network did to the sound of the user's turns, by their ids.
        heard: What came in of the caller while it was played.
    """

    def __init__(
        self,
        spans: SpanTree,
        facts: TurnFacts,
        timeline: Callable[[], Timeline],
        budgets: Mapping[str, float],
        networks: Mapping[str, JSON],
        heard: HeardMeanwhile | None = None,
    ) -> None:
        self._spans = spans
        self._inputs: tuple[TurnFacts, Callable[[], Timeline], Mapping[str, JSON]] | None
        self._inputs = facts, timeline, networks
        self._heard, self.has_sound = heard, heard is not None
        self._echo: Echo | None = None
        self._budgets = budgets
        self._latency: Latency | None = None
        self._question: str | None = None
        self._replied: Replied | None = None
        self._measured: JSON = {}

    @property
    def question(self) -> str | None:
        """The user's turn that it answers, by its span's id."""
        self._resolve()
        return self._question

    @property
    def replied(self) -> Replied | None:
        """What it may have answered; ``None``: it was dropped, or that is not known."""
        self._resolve()
        return self._replied

    @property
    def latency(self) -> Latency | None:
        """The silence that it ended; ``None``: it ended none."""
        self._resolve()
        return self._latency

    @property
    def echo(self) -> Echo | None:
        """The agent's own voice in what came in of the caller; ``None``: it is not there, or was
        not looked for."""
        self._resolve()
        return self._echo

    @property
    def measured(self) -> JSON:
        """The part of its span's result that is measured: its latency, its gaps, how the user spoke
        over it."""
        self._resolve()
        return self._measured

    def _resolve(self) -> None:
        inputs, self._inputs = self._inputs, None  # the rest of the call need not keep its streams
        if inputs is not None:
            self._look_for_echo()
            self._work_out(*inputs)
            if self._echo is not None:
                self._measured["echo"] = echo_json(self._echo)

    @guarded("echo")
    def _look_for_echo(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            self._echo = echo_in(heard)

    @guarded("latency")
    def _work_out(
        self,
        facts: TurnFacts,
        make_timeline: Callable[[], Timeline],
        networks: Mapping[str, JSON],
    ) -> None:
        timeline = make_timeline()
        speech = timeline.speech(facts.id)
        if speech is None:
            return
        latency = self._latency = latency_of(timeline, speech)
        network = None
        if latency is not None and (ended := silence_ended_by(timeline, speech)) is not None:
            latency.over_budget = exceeded(latency, self._budgets)
            network = networks.get(ended.question.id)
        if facts.preemptive != "dropped":
            self._replied = replied(timeline, speech)
        question = answered_question(timeline, speech)
        self._question = question.id if question is not None else None
        self._measured = without_none(
            {
                "latency": {
                    "at_us": self._spans.offset_us(latency.start),
                    **latency.as_json(),
                }
                if latency is not None
                else None,
                "network_estimate": network or None,
                "gaps": self._gaps(timeline, speech, facts) or None,
                **_overlap(speech, facts),
                **_later_answer(timeline, speech),
            }
        )

    def _gaps(self, timeline: Timeline, speech: Speech, facts: TurnFacts) -> list[JSON]:
        paused = next((moment for moment, state in facts.pauses if state == "paused"), None)
        return [
            {"at_us": self._spans.offset_us(gap.at), "ms": gap.us / 1000, "cause": gap.cause}
            for gap in gaps_of(speech, timeline)
            if paused is None or gap.at < paused
        ]


def echo_summary(ended: Iterable[EndedTurn]) -> JSON | None:
    """The echoes of all turns of a session."""
    looked = [one for one in ended if one.has_sound]
    return summarize_echoes(len(looked), (one.echo for one in looked if one.echo is not None))


def latency_summary(ended: Iterable[EndedTurn]) -> JSON | None:
    """The latencies of all turns of a session."""
    return summarize([one.latency for one in ended if one.latency is not None])


@guarded("unanswered")
def unanswered_summary(
    asked: Sequence[Asked], ended: Iterable[EndedTurn], end: End, machine_until: int | None
) -> JSON:
    """The questions of a session that nobody answered."""
    replies = [one.replied for one in ended]
    found = unanswered(asked, [one for one in replies if one is not None], end, machine_until)
    longest = max((one.waited_us for one in found), default=None)
    return without_none(
        {
            "turns": len(found),
            "longest_ms": longest / 1000 if longest is not None else None,
            # Always there: Prefactor's evals take a group of nothing but small numbers beside a
            # text for the agent's verdict on its own run.
            "user_turn_ids": [one.id for one in found[:_UNANSWERED_KEPT]],
        }
    )


def _overlap(speech: Speech, facts: TurnFacts) -> JSON:
    found = overlap_of(
        speech.segments, facts.pauses, facts.spoke_over_ns, facts.spoke_over_until_ns
    )
    if found is None:
        cut_in = cut_in_us(speech)
        return {"overlap_ms": cut_in / 1000} if cut_in is not None else {}
    barge_in = found.barge_in_us
    return without_none(
        {
            "barge_in_ms": barge_in / 1000 if barge_in is not None else None,
            "overlap_ms": found.overlap_us / 1000,
        }
    )


def _later_answer(timeline: Timeline, speech: Speech) -> JSON:
    found = later_answer(timeline, speech)
    if found is None:
        return {}
    return {"first_sound_by": found.first_sound_by, "answer_ms": found.wait_us / 1000}


def assistant_turn_result(
    spans: SpanTree,
    facts: TurnFacts,
    question: str | None,
    status: str,
    interrupted: bool,
    finished_at: float,
) -> JSON:
    """The part of an assistant turn's result that is not measured. Called off the event loop."""
    sources: list[Stream] = [*facts.outputs] or [*facts.texts]
    for source in sources:
        source.absorb()
    # Of an agent that is not traced nobody saw what it generated.
    generated = _joined("".join(source.text) for source in sources) if sources else None
    spoken = _joined(facts.spoken)
    if generated is not None and (facts.uncommitted or generated.split() == spoken.split()):
        spoken = generated  # all of it: LiveKit commits it without the blanks around it
    measured = {kind: [read() for read in readings] for kind, readings in facts.measured.items()}
    played = [segment for segment in facts.segments if segment.position_s is not None]
    return without_none(
        {
            "status": status,
            "outputs": without_none({"text": spoken, "message": facts.message}),
            "generated_text": generated if sources else None,
            "spoken_text": spoken,
            "interrupted": interrupted,
            "interrupted_by": facts.interrupted_by,
            "preemptive": facts.preemptive,
            "playback_position_s": round(sum(s.position_s or 0.0 for s in played), 6)
            if played
            else None,
            "segments": _segments(spans, facts) or None,
            "pauses": [
                {"at_us": spans.offset_us(moment), "state": state} for moment, state in facts.pauses
            ]
            or None,
            "user_turn_id": question,
            "tool_calls": facts.tools_executed,
            "declined": facts.declined or None,
            "metrics": {**facts.item_metrics, **measured} or None,
            "error": facts.error,
            "finished_at": finished_at,
            "moments_us": _offsets(spans, facts.moments),
        }
    )


def _segments(spans: SpanTree, facts: TurnFacts) -> list[JSON]:
    return [
        without_none(
            {
                "started_us": spans.offset_us(segment.started_ns),
                "finished_us": spans.offset_us(segment.finished_ns)
                if segment.finished_ns is not None
                else None,
                "position_s": segment.position_s,
                "interrupted": segment.interrupted,
                "spoken_text": segment.spoken,
                "waits": [
                    {"at_us": spans.offset_us(at), "ms": round(lasted / 1e6, 3)}
                    for at, lasted in waits_in(segment, facts.voices, facts.pauses)
                ]
                or None,
            }
        )
        for segment in facts.segments
    ]


def user_turn_result(spans: SpanTree, turn: UserTurn, status: str, finished_at: float) -> JSON:
    """The result of a user's turn, which nothing changes any more."""
    metrics = turn.metrics
    return without_none(
        {
            "status": status,
            "transcript": turn.text() or (None if turn.wordless else ""),
            "language": turn.language,
            "speaker_id": turn.speaker_id,
            "confidence": turn.confidence,
            "is_final": status == "completed",
            "declined": turn.declined or None,
            "interim_revisions": turn.interims
            if turn.modality == "audio" and not turn.wordless
            else None,
            "partial_transcripts": None if turn.was_heard else list(turn.partials) or None,
            "end_of_turn_delay_ms": _ms(metrics.get("end_of_turn_delay")),
            "end_of_turn": turn.end_of_turn.as_json(spans.offset_us),
            "transcription_delay_ms": _ms(metrics.get("transcription_delay")),
            "metrics": {**metrics, **turn.measured} or None,
            "metadata": {},
            "finished_at": finished_at,
            "moments_us": _offsets(spans, turn.moments),
        }
    )


def _offsets(spans: SpanTree, moments: Mapping[str, int]) -> JSON:
    """Moments on the axis of the call, in microseconds, in the order in which they happened."""
    return {
        name: spans.offset_us(moment)
        for name, moment in sorted(moments.items(), key=lambda item: item[1])
    }


def _ms(seconds: Any) -> float | None:
    return round(seconds * 1000, 3) if isinstance(seconds, int | float) else None


def _joined(texts: Iterable[str]) -> str:
    """Texts one after the other, with a blank between two that have none there."""
    whole = ""
    for text in texts:
        divided = not whole or not text or whole[-1].isspace() or text[0].isspace()
        whole += text if divided else f" {text}"
    return whole
