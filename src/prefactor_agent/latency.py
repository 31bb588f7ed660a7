"""From the moments of a turn to the silence that the caller heard, cut into named stages.

Pure arithmetic: no clock, no LiveKit, nothing recorded. Moments are integers in nanoseconds on any
one monotonic clock; a moment that was not seen is ``None``. ``docs/latency.md`` shows each of them
on a picture.

There is one mechanism. A turn is a list of :class:`Step`\\ s in the order in which each *waits* for
the one before; :func:`split` walks it once with a cursor that only moves forward. Whatever happened
ahead of its place (a transcript that was final before the VAD was sure, a language model that was
asked before the turn was over) finds the cursor past it and gets nothing, so no stage is negative,
nothing is counted twice, and the stages sum to the whole exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

JSON = dict[str, Any]

UNATTRIBUTED = "unattributed"
GAP_NS = 200_000_000
"""Silence inside an answer that is longer than this is told."""
NOISE_NS = 200_000_000
"""Sound that goes on for so long after the VAD was sure that speech had ended is no speech."""
_CHAIN = 8


class Step(NamedTuple):
    """Something that the answer waited for."""

    name: str
    begin: int | None
    """``None``: from the end of whatever came before it."""
    end: int | None
    """``None``: it did not happen."""


class Stage(NamedTuple):
    name: str
    us: int


def split(start_ns: int, end_ns: int, steps: Iterable[Step]) -> list[Stage]:
    """Cut the time from start to end into stages, in order. Stages of no length are left out.

    They sum to ``end_ns // 1000 - start_ns // 1000`` exactly, and none is negative."""
    end = end_ns // 1000
    cursor = start_ns // 1000
    stages: list[Stage] = []

    def advance(name: str, to_ns: int) -> None:
        nonlocal cursor
        to = min(to_ns // 1000, end)
        if to > cursor:
            before = stages.pop().us if stages and stages[-1].name == name else 0
            stages.append(Stage(name, before + to - cursor))
            cursor = to

    for name, begin, finish in steps:
        if finish is None:
            continue
        if begin is not None:
            advance(UNATTRIBUTED, min(begin, finish))
        advance(name, finish)
    advance(UNATTRIBUTED, end_ns)
    return stages


# What is known of a turn


@dataclass(slots=True)
class Asked:
    """The user's side: from the last sound to the turn being handed on."""

    heard_until: int | None = None
    """The end of the last audible sound."""
    vad_estimate: int | None = None
    """When the VAD, afterwards, says that speech had ended."""
    vad_ended: int | None = None
    """When the VAD reported it."""
    final_transcript: int | None = None
    committed: int | None = None
    hook_done: int | None = None
    typed: bool = False
    """It came as text: it has no sound, and its end is the moment that it came in."""

    def end(self) -> tuple[int, str] | None:
        """When the user was done, and what that is based on."""
        if self.typed:
            return (self.committed, "text") if self.committed is not None else None
        heard = self.heard_until
        if heard is not None and self.vad_estimate is not None:
            # A detector is late, not early: sound that goes on past it is something else's.
            heard = heard if heard - self.vad_estimate <= NOISE_NS else None
        for moment, basis in (
            (heard, "audio"),
            (self.vad_estimate, "vad"),
            (self.vad_ended, "vad_end"),
            (self.final_transcript, "transcript"),
            (self.committed, "commit"),
        ):
            if moment is not None:
                return moment, basis
        return None


@dataclass(slots=True)
class ModelCall:
    called: int
    first_token: int | None = None
    ended: int | None = None
    tools: tuple[str, ...] = ()
    """The names of the tools that it asked for."""


@dataclass(slots=True)
class ToolRun:
    name: str
    began: int
    ended: int | None = None


@dataclass(slots=True)
class VoiceCall:
    called: int
    text: int | None = None
    """When the voice got its first text."""
    first_frame: int | None = None
    sound_at: int | None = None
    """How far into its audio the first audible sound is."""
    late: Sequence[tuple[int, int]] = ()
    """How the audio came, see :class:`Playout`."""
    llm: bool = False
    """The audio is the language model's own (a realtime model)."""


@dataclass(slots=True)
class Reply:
    """The agent's side: one speech."""

    created: int
    models: list[ModelCall] = field(default_factory=list)
    tools: list[ToolRun] = field(default_factory=list)
    voices: list[VoiceCall] = field(default_factory=list)
    first_text: int | None = None
    """When its first words came out as text."""
    left: int | None = None
    """When the agent before began to give the call to the one that it is the first speech of."""
    enter_began: int | None = None
    enter_ended: int | None = None
    """``on_enter`` of the agent that it is the first speech of."""
    awaited: ToolRun | None = None
    """The rest of the tool that a task came back to: the speech goes on after it. Everything of the
    speech before that is left out."""
    previous_ended: int | None = None
    """When the speech before it had played out."""
    playback_started: int | None = None
    played_ns: int | None = None
    """How much of its first stretch of audio was played; ``None``: all, or it still plays."""
    silent: bool = False
    """It was stopped before anything of it could be heard."""
    cause: Reply | None = None
    """The speech whose tool, or handoff, said this one."""

    def spoken_by(self) -> VoiceCall | None:
        """The call of the voice that its first sound comes from."""
        heard = (voice for voice in self.voices if voice.first_frame is not None)
        return min(heard, key=lambda voice: voice.first_frame or 0, default=None)

    def sound(self) -> tuple[int, str] | None:
        """When it was first heard, and what that is based on."""
        if self.silent:
            return None
        voice = self.spoken_by()
        if self.playback_started is not None:
            if voice is None or voice.sound_at is None:
                return self.playback_started, "playback"
            if self.played_ns is not None and self.played_ns <= voice.sound_at:
                return None  # stopped within the leading silence
            playout = Playout(self.playback_started, voice.late)
            return playout.moment(voice.sound_at), "audio"
        if voice is not None and voice.first_frame is not None:
            if voice.sound_at is None:
                return voice.first_frame, "first_frame"
            return Playout(voice.first_frame, voice.late).moment(voice.sound_at), "first_frame"
        return (self.first_text, "text") if self.first_text is not None else None


# The playing of streamed audio


class Playout:
    """Where in time each sample of streamed audio was played.

    A player that has begun plays on until it has nothing left, waits for the next frame, and plays
    on from there: audio never plays before it came, and every wait delays all that follows. So all
    that has to be known of how the audio came is the frames that were later, against their place
    in the audio, than every frame before them: ``late``, as pairs of the place in the audio and of
    the arrival less that place."""

    def __init__(self, started: int, late: Sequence[tuple[int, int]]) -> None:
        self._started = started
        # The first frame is what playback started with, however long it waited for its turn.
        self._late = [pair for pair in late if pair[0] > 0 and pair[1] > started]

    def moment(self, position: int) -> int:
        """When the sample at this place was played."""
        shift = self._started
        for place, latest in self._late:
            if place > position:
                break
            shift = max(shift, latest)
        return position + shift

    def gaps(self, until: int | None = None) -> list[tuple[int, int]]:
        """The waits of a player that had nothing to play: when each began, and how long it was."""
        gaps = []
        shift = self._started
        for place, latest in self._late:
            if until is not None and place >= until:
                break
            if latest > shift:
                gaps.append((place + shift, latest - shift))
                shift = latest
        return gaps


# The stages


@dataclass(slots=True)
class Latency:
    """The silence before an answer."""

    start: int
    end: int
    stages: list[Stage]
    since: str
    """What the beginning is based on: ``audio``, or the next best moment that there was."""
    until: str
    """What the end is based on."""
    filler: bool = False
    """The silence was ended by words that came before the answer itself."""
    over_budget: dict[str, float] = field(default_factory=dict)

    @property
    def perceived_us(self) -> int:
        return sum(stage.us for stage in self.stages)

    def as_json(self) -> JSON:
        return {
            "perceived_ms": self.perceived_us / 1000,
            "stages": [{"name": name, "ms": us / 1000} for name, us in self.stages],
            "basis": {"from": self.since, "to": self.until},
            **({"filler": True} if self.filler else {}),
            **({"over_budget": self.over_budget} if self.over_budget else {}),
            **({"overlap_ms": (self.start - self.end) // 1000 / 1000} if self.early else {}),
        }

    @property
    def early(self) -> bool:
        """The agent was heard while the user still spoke."""
        return self.end < self.start


def measure(asked: Asked, reply: Reply) -> Latency | None:
    """The latency of the reply that ended the silence; ``None`` if it was not heard."""
    begun, ended = asked.end(), reply.sound()
    if begun is None or ended is None:
        return None
    (start, since), (end, until) = begun, ended
    return Latency(
        start,
        end,
        split(start, end, steps(asked, reply, end)),
        since,
        until,
        filler=reply.cause is not None and reply.enter_began is None and reply.awaited is None,
    )


def so_far(asked: Asked, reply: Reply | None, now: int) -> Latency | None:
    """The same while the silence lasts: what it was spent on until ``now``."""
    begun = asked.end()
    if begun is None:
        return None
    start, since = begun
    waiting = steps(asked, reply, now) if reply is not None else _until_commit(asked, None)
    done = max((i for i, step in enumerate(waiting) if step.end is not None), default=-1)
    if done + 1 < len(waiting):
        # What comes after the last thing that happened is what is waited for now.
        waiting[done + 1] = waiting[done + 1]._replace(end=now)
    return Latency(start, now, split(start, now, waiting), since, "now")


def steps(asked: Asked, reply: Reply, end: int) -> list[Step]:
    """Everything that the first sound of ``reply`` waited for, in order."""
    chain = [reply]
    while chain[0].cause is not None and len(chain) < _CHAIN:
        chain.insert(0, chain[0].cause)
    ordered = _until_commit(asked, chain[0])
    for index, speech in enumerate(chain):
        follower = chain[index + 1] if index + 1 < len(chain) else None
        if follower is None:
            ordered += [*_entering(speech), *_thinking(speech, True, end)]
            continue
        # From here on it is the next speech that is waited for, whatever this one still does.
        until = follower.created if follower.enter_began is None else follower.enter_began
        until = until if follower.left is None else min(until, follower.left)
        own = [*_entering(speech), *_thinking(speech, False, until)]
        ordered += [_cut(step, until) for step in own]
    ordered += _speaking(reply)
    return ordered


def _until_commit(asked: Asked, first: Reply | None) -> list[Step]:
    hook_done = asked.hook_done
    if (
        hook_done is not None
        and first is not None
        and asked.committed is not None
        and asked.committed <= first.created < hook_done
    ):
        hook_done = first.created  # said by the hook itself
    return [
        Step("vad", None, asked.vad_ended),
        Step("transcript", None, asked.final_transcript),
        Step("endpointing", None, asked.committed),
        Step("on_user_turn_completed", None, hook_done),
    ]


def _entering(speech: Reply) -> list[Step]:
    if (tool := speech.awaited) is not None:
        return [
            Step("handoff", None, tool.began),
            Step(f"tool:{tool.name}", tool.began, tool.ended),
        ]
    if speech.enter_began is None:
        return []
    ended = speech.created if speech.enter_ended is None else speech.enter_ended
    return [
        Step("handoff", None, speech.enter_began),
        # What on_enter still does after it had the agent speak is nothing that is waited for.
        Step("on_enter", speech.enter_began, min(ended, speech.created)),
    ]


def _thinking(speech: Reply, speaks: bool, end: int) -> list[Step]:
    """The language model and the tools, up to the text that is spoken first."""
    voice = speech.spoken_by() if speaks else None
    models = _models_before(speech, voice)
    found: list[Step] = []
    for index, model in enumerate(models):
        number = f"_{index + 1}" if index else ""
        following = models[index + 1] if index + 1 < len(models) else None
        found.append(Step(f"llm_queue{number}", None, model.called))
        found.append(Step(f"llm_ttft{number}", model.called, model.first_token))
        if speaks and voice is not None and following is None:
            break  # what is spoken came out of this one
        limit = following.called if following is not None else end
        runs = [run for run in speech.tools if model.called <= run.began < limit]
        for name, began, ended in _critical(runs, limit):
            found.append(Step(f"llm_tool_call{number}", None, began))
            found.append(Step(f"tool:{name}", began, ended))
        waited = following is not None or (not speaks and model.tools)
        if not runs and waited and model.ended is not None:
            # Nobody watched the tool: all of the time until what came of it is its.
            found.append(Step(f"llm_tool_call{number}", None, model.ended))
            found.append(Step(f"tool:{'+'.join(model.tools) or 'unknown'}", model.ended, limit))
    return found


def _speaking(reply: Reply) -> list[Step]:
    voice = reply.spoken_by()
    models = _models_before(reply, voice)
    token = models[-1].first_token if models else None
    begun = token if token is not None else reply.created
    found: list[Step] = []
    if voice is None:
        if models:
            found.append(Step("first_sentence", begun, reply.first_text))
        if not reply.voices:
            # Ready-made audio, or text alone.
            found += [_previous(reply), Step("playback", begun, reply.playback_started)]
        return found
    if voice.llm:
        found.append(Step("realtime_response", None, reply.created))
        found.append(Step("realtime_ttfb", reply.created, voice.first_frame))
    else:
        found.append(Step("first_sentence", begun, voice.text))
        found.append(Step("tts_ttfb", voice.text or voice.called, voice.first_frame))
    found += [_previous(reply), Step("playback", voice.first_frame, reply.playback_started)]
    sound = reply.sound()
    playing = reply.playback_started or voice.first_frame
    if sound is not None and voice.sound_at is not None:
        found.append(Step("leading_silence", playing, sound[0]))
    return found


def _models_before(speech: Reply, voice: VoiceCall | None) -> list[ModelCall]:
    """The model's calls that what the voice says can have come from."""
    if voice is None:
        return speech.models
    text = voice.called if voice.text is None else voice.text
    return [one for one in speech.models if one.called <= text]


def _previous(reply: Reply) -> Step:
    return Step("previous_speech", None, reply.previous_ended)


def _cut(step: Step, at: int) -> Step:
    begin = step.begin
    if step.end is None or (begin is not None and begin > at):
        return step._replace(end=None)
    return step._replace(end=min(step.end, at))


def _critical(runs: Sequence[ToolRun], limit: int) -> list[tuple[str, int, int]]:
    """The runs that were waited for: of those at the same time, the one that ended last."""
    left = [(run.name, run.began, min(limit, run.ended or limit)) for run in runs]
    chosen: list[tuple[str, int, int]] = []
    until = limit
    while left:
        name, began, ended = max(left, key=lambda run: (min(run[2], until), -run[1]))
        if began < until:
            chosen.append((name, began, min(ended, until)))
            until = began
        left = [run for run in left if run[1] < until]
    return chosen[::-1]


# Inside an answer


def starved(reply: Reply, until: int | None = None) -> list[JSON]:
    """The silences inside an answer, because the player had nothing: when, how long, and why.

    The cause is the language model if it was still writing when the silence began, else the
    voice."""
    voice = reply.spoken_by()
    if voice is None or reply.playback_started is None:
        return []
    writing_until = max((one.ended or 0 for one in reply.models), default=0)
    sound_at = voice.sound_at or 0
    playout = Playout(reply.playback_started, voice.late)
    return [
        {"at_ns": at, "ms": length // 1000 / 1000, "cause": "llm" if writing_until > at else "tts"}
        for at, length in playout.gaps(until)
        if length > GAP_NS and at >= playout.moment(sound_at)
    ]


# Many turns


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: always one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def summarize(latencies: Sequence[Latency]) -> JSON | None:
    """What is said of a whole call."""
    if not latencies:
        return None
    perceived = [latency.perceived_us / 1000 for latency in latencies]
    sums: dict[str, int] = {}
    for latency in latencies:
        for name, us in lengths(latency).items():
            sums[name] = sums.get(name, 0) + us
    slowest = max(sums, key=lambda name: sums[name], default=None)
    over = sum(bool(latency.over_budget) for latency in latencies)
    return {
        "turns": len(perceived),
        "median_ms": round(median(perceived), 3),
        "p95_ms": percentile(perceived, 95),
        "worst_ms": max(perceived),
        **({"slowest_stage": slowest} if slowest else {}),
        **({"over_budget": over} if over else {}),
    }


def lengths(latency: Latency) -> dict[str, int]:
    """How long each stage took; one that came more than once with its sum."""
    sums: dict[str, int] = {}
    for name, us in latency.stages:
        sums[name] = sums.get(name, 0) + us
    return sums


def exceeded(latency: Latency, budgets: Mapping[str, float]) -> dict[str, float]:
    """The budgets (in seconds) that a turn is over: by name, how long it took, in seconds."""
    took = {"perceived": latency.perceived_us, **lengths(latency)}
    return {
        name: took[name] / 1e6
        for name, budget in budgets.items()
        if took.get(name, 0) > budget * 1e6
    }
