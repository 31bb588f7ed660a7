"""The facts of a session's turns in the form that :mod:`prefactor_agent.conversation` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ... import conversation
from ...conversation import (
    AgentSide,
    Asked,
    ModelCall,
    Part,
    Question,
    Speech,
    Timeline,
    ToolRun,
    UserSide,
    VoiceCall,
)
from ...core.clock import now_ns
from ...core.span import Span
from ..spans.stream import LLMOutput
from .facts import TurnFacts
from .segments import late_in, voice_of
from .turn import HeardVoice, Segment, UserTurn


class EndedSpeech:
    """The facts of a speech that is over, brought into the form of a timeline once."""

    def __init__(self, facts: TurnFacts) -> None:
        self._facts: TurnFacts | None = facts
        self._speech: Speech | None = None

    def speech(self, *, final: bool) -> Speech:
        """The speech, as it is known now.

        Args:
            final: Its streams can be absorbed: nobody is at them, and it is not the event loop that
                asks. From then on it stays as it is.
        """
        facts = self._facts  # read first: it is let go of last
        if self._speech is not None:
            return self._speech
        assert facts is not None
        if not final:
            return speech_of(facts)
        for output in facts.outputs:
            output.absorb()
        speech = self._speech = speech_of(facts)
        self._facts = None  # its streams are not needed any more
        return speech


def timeline_of(
    questions: Iterable[Question], turns: Iterable[EndedSpeech | TurnFacts], *, final: bool
) -> Timeline:
    """The facts of the last turns of a session.

    Args:
        final: See :meth:`EndedSpeech.speech`.
    """
    return Timeline(
        sorted(questions, key=lambda one: one.began),
        [
            turn.speech(final=final) if isinstance(turn, EndedSpeech) else speech_of(turn)
            for turn in turns
        ],
    )


def question_of(user: UserTurn) -> Question:
    """The facts of a user's turn, as they are now."""
    return Question(
        id=user.span.id,
        began=user.span.started_ns,
        side=user_side(user),
        has_words=user.has_words(now_ns()),
        inside=user.inside,
        declined=user.declined,
    )


def asked_of(user: UserTurn) -> Asked:
    """The same as far as the question is whether anybody answered."""
    side = user_side(user)
    end = side.end()
    return Asked(
        user.span.id,
        began=user.span.started_ns,
        ended=end[0] if end is not None else None,
        taken=side.committed,
        hook_done=side.hook_done,
        words=user.asks,
        declined=user.declined or not user.answer_due,
    )


def user_side(user: UserTurn) -> UserSide:
    """What is known of when the user spoke, and of what LiveKit did with it."""
    moments = user.moments
    return UserSide(
        heard_until=moments.get("speech_ended"),
        vad_estimate=moments.get("vad_estimate"),
        vad_ended=moments.get("vad_ended"),
        final_transcript=None if user.heard_by_model else moments.get("final_transcript"),
        committed=moments.get("committed"),
        hook_done=moments.get("hook_done"),
        typed=user.modality == "text",
        soundless=user.soundless,
        end_of_turn=user.end_of_turn_ns,
        ended_by_model=user.ended_by_model,
    )


def speech_of(turn: TurnFacts) -> Speech:
    """The facts of a speech."""
    parts = [Part(agent_side(turn), turn.caused_by)]
    if (resumed := turn.resumed) is not None:
        parts.append(Part(agent_side(turn, resumed.at), resumed.cause, resumed.at))
    return Speech(
        id=turn.id,
        created=turn.created_ns,
        parts=tuple(parts),
        question=turn.question,
        latest=turn.latest,
        by_program=turn.by_program,
        asks_model=turn.source == "generate_reply" or turn.from_hook,
        heard=turn.came_out,
        during=turn.during,
        tool_reply=turn.tool_reply,
        user_until=turn.user_until_ns,
        inside=turn.inside,
        ended=turn.ended_ns,
        declined=turn.declined,
        cut_off=turn.interrupted_by == "user",
        tools=tuple(map(_tool_run, turn.tools)),
        segments=tuple(_segment(segment, turn.voices) for segment in turn.segments),
    )


def agent_side(turn: TurnFacts, since: int = 0) -> AgentSide:
    """What there was of a speech, all of it or only from a moment on, at which it came back from a
    task."""
    segment = next((one for one in turn.segments if one.started_ns >= since), None)
    entered = turn.entered or (None, None)
    position = segment.position_s if segment is not None and segment.interrupted else None
    resumed = turn.resumed if since else None
    texts = (
        one.first
        for one in (*turn.texts, *turn.outputs)
        if one.first is not None and one.started_ns >= since
    )
    return AgentSide(
        created=max(since, turn.created_ns),
        screened=turn.screened_ns,
        models=_model_calls(turn, since),
        tools=[_tool_run(span) for span in turn.tools if span.started_ns >= since],
        voices=_voice_calls(turn, since),
        first_text=next(texts, None),
        left=None if since else turn.left_ns,
        enter_began=None if since else entered[0],
        enter_ended=None if since else entered[1],
        awaited=ToolRun(resumed.tool.name, resumed.at, resumed.tool.finished_ns)
        if resumed is not None
        else None,
        previous_ended=turn.previous_ended_ns,
        held_until=None if since else _held_until(turn),
        playback_started=segment.started_ns if segment is not None else None,
        played_ns=int(position * 1e9) if position is not None else None,
        silent=turn.cut_short and segment is None,
    )


def _model_calls(turn: TurnFacts, since: int) -> list[ModelCall]:
    """The requests to the language model: as its node saw them, or as the realtime model said,
    else as LiveKit measured them."""
    seen = [_model_call(output) for output in turn.outputs if output.started_ns >= since]
    seen += [ModelCall(at, at, realtime=True) for at in turn.generations if at >= since]
    return seen or [
        ModelCall(one.called_ns, one.first_ns, one.ended_ns)
        for one in turn.measured_models
        if one.called_ns >= since
    ]


def _voice_calls(turn: TurnFacts, since: int) -> list[VoiceCall]:
    """The requests to the voice: as its node saw them, else as LiveKit measured them, who counts
    from the first text."""
    first = {voice_of(segment, turn.voices): segment for segment in reversed(turn.segments)}
    seen = [_voice_call(one, first.get(one)) for one in turn.voices if one.called_ns >= since]
    return seen or [
        VoiceCall(one.called_ns, text=one.called_ns, first_frame=one.first_ns)
        for one in turn.measured_voices
        if one.called_ns >= since
    ]


def _held_until(turn: TurnFacts) -> int | None:
    """When audio that was held back from its beginning went on. What was paused while it played
    tells of both, the pause and its end."""
    if not turn.pauses or turn.pauses[0][1] != "false_interruption_resumed":
        return None
    return turn.pauses[0][0]


def _model_call(output: LLMOutput) -> ModelCall:
    return ModelCall(
        called=output.started_ns,
        first_token=output.first,
        ended=output.last_ns,
        tools=tuple(dict.fromkeys(call["name"] for call in output.tool_calls)),
    )


def _tool_run(span: Span) -> ToolRun:
    return ToolRun(span.name, span.started_ns, span.finished_ns)


def _voice_call(one: HeardVoice, played: Segment | None) -> VoiceCall:
    """A request to the voice.

    Args:
        played: The first stretch of its audio.
    """
    return VoiceCall(
        called=one.called_ns,
        text=_text_sent(one.text.first if one.text is not None else None, one.asked_ns),
        first_frame=one.first_frame_ns,
        sound_at=one.voice.sound_begins_ns,
        late=late_in(one, played),
        llm=one.text is None,
        sound_until=one.voice.sound_ends_ns,
    )


def _segment(segment: Segment, voices: Sequence[HeardVoice]) -> conversation.Segment:
    """A stretch of audio with the request that it came from."""
    voice = voice_of(segment, voices)
    position = segment.position_s
    return conversation.Segment(
        started=segment.started_ns,
        finished=segment.finished_ns,
        played=int(position * 1e9) if position is not None else None,
        interrupted=segment.interrupted,
        voice=_voice_call(voice, segment) if voice is not None else None,
    )


def _text_sent(first: int | None, asked: int | None) -> int | None:
    # A voice collects text until it has a sentence: what it waits for is a sentence, not a word.
    if first is None or asked is None:
        return first if asked is None else asked
    return max(first, asked)
