"""What the first sound of an answer waited for, in the order in which each waits for the one
before: the names of the stages are these. ``docs/latency.md`` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, zip_longest

from . import stages
from .sides import AgentSide, ModelCall, ToolRun, UserSide
from .split import Step

_CHAIN = 8
"""How many speeches, each said by a tool or a handoff of the one before, a reply is followed back
through at most."""


def steps(asked: UserSide, reply: AgentSide, end: int) -> list[Step]:
    """Everything that the first sound of ``reply`` waited for, in order.

    Args:
        end: The end of the silence, in nanoseconds.
    """
    chain = _chain(reply)
    ordered = until_commit(asked, chain[0])
    for speech, follower in pairwise(chain):
        # From here on it is the next speech that is waited for, whatever this one still does.
        until = _taken_over(follower)
        own = [*_entering(speech), *_thinking(speech, until, speaks=False)]
        ordered += [_cut(step, until) for step in own]
    return ordered + _entering(reply) + until_heard(reply, end)


def until_heard(speech: AgentSide, end: int) -> list[Step]:
    """The model, the tools and the voice of one speech, up to its first sound.

    Args:
        end: When that was, in nanoseconds.
    """
    return _thinking(speech, end, speaks=True) + _speaking(speech)


def until_commit(asked: UserSide, first: AgentSide | None) -> list[Step]:
    """The user's side. ``first``: the speech that it led to first, if there is one yet."""
    hook_done = asked.hook_done
    if (
        hook_done is not None
        and first is not None
        and asked.committed is not None
        and asked.committed <= first.created < hook_done
    ):
        hook_done = first.created  # said by the hook itself
    vad = Step(stages.VAD, None, asked.vad_ended)
    if asked.ended_by_model:
        return [vad]  # LiveKit waited for nothing, and calls no hook
    return [
        vad,
        Step(stages.TRANSCRIPT, None, _awaited_transcript(asked)),
        *_endpointing(asked),
        Step(stages.TURN_HOOK, None, hook_done),
    ]


def _awaited_transcript(asked: UserSide) -> int | None:
    """The words that came before the turn was taken; the later ones were not waited for."""
    final, taken = asked.final_transcript, asked.committed
    return final if final is None or taken is None or final <= taken else None


def _endpointing(asked: UserSide) -> list[Step]:
    if asked.held_by is None:
        return [Step(stages.ENDPOINTING, None, asked.committed)]
    return [
        Step(stages.ENDPOINTING, None, asked.end_of_turn),
        Step(asked.held_by, None, asked.committed),
    ]


def _chain(reply: AgentSide) -> list[AgentSide]:
    """The speeches that led to this one, and it, in the order in which they were made."""
    chain = [reply]
    while chain[0].cause is not None and len(chain) < _CHAIN:
        chain.insert(0, chain[0].cause)
    return chain


def _taken_over(follower: AgentSide) -> int:
    """When the speech before ``follower`` was no longer what was waited for."""
    until = follower.created if follower.enter_began is None else follower.enter_began
    return until if follower.left is None else min(until, follower.left)


def _cut(step: Step, at: int) -> Step:
    if step.end is None or (step.begin is not None and step.begin > at):
        return step._replace(end=None)
    return step._replace(end=min(step.end, at))


def _entering(speech: AgentSide) -> list[Step]:
    """How the agent that speaks got the call, or got it back from a task."""
    if (tool := speech.awaited) is not None:
        return [
            Step(stages.HANDOFF, None, tool.began),
            Step(stages.of_tool(tool.name), tool.began, tool.ended),
        ]
    called = _called_by_program(speech) if speech.by_program else []
    if speech.enter_began is None:
        return called
    ended = speech.created if speech.enter_ended is None else speech.enter_ended
    return [
        Step(stages.HANDOFF, None, speech.enter_began),
        # What on_enter still does after it had the agent speak is nothing that is waited for.
        Step(stages.ON_ENTER, speech.enter_began, min(ended, speech.created)),
        *called,
    ]


def _called_by_program(speech: AgentSide) -> list[Step]:
    """What the program waited for before it had the agent speak."""
    screened = speech.screened
    if screened is not None and screened > speech.created:
        screened = None  # it was held back then, see _held_back
    return [
        Step(stages.ANSWERING_MACHINE, None, screened),
        Step(stages.PROGRAM_CALL, None, speech.created),
    ]


def _thinking(speech: AgentSide, end: int, *, speaks: bool) -> list[Step]:
    """The language model and the tools, up to the text that is spoken first.

    Args:
        speaks: The silence ends with the sound of this speech, not of one that it led to.
    """
    voice = speech.spoken_by() if speaks else None
    models = speech.models_before(voice)
    found: list[Step] = []
    for number, (model, following) in enumerate(zip_longest(models, models[1:]), start=1):
        found += _asking(model, speech, number)
        if voice is not None and following is None:
            break  # what is spoken came out of this one
        until = following.called if following is not None else end
        waited = following is not None or (not speaks and bool(model.tools))
        found += _calling_tools(model, speech, until, number, waited=waited)
    return found


def _asking(model: ModelCall, speech: AgentSide, number: int) -> list[Step]:
    """One request to the model, up to the first that comes of it."""
    if not model.realtime:
        return [
            Step(stages.numbered(stages.LLM_QUEUE, number), None, model.called),
            Step(stages.numbered(stages.LLM_TTFT, number), model.called, model.first_token),
        ]
    response = Step(stages.REALTIME_RESPONSE, None, model.called)
    queued = Step(stages.PREVIOUS_SPEECH, None, speech.previous_ended)
    # LiveKit asks for a reply when the speech before it is over. One that the model makes by itself
    # is there before, and is not listened to until then.
    asked = queued.end is not None and queued.end <= model.called
    return [queued, response] if asked else [response, queued]


def _calling_tools(
    model: ModelCall, speech: AgentSide, until: int, number: int, *, waited: bool
) -> list[Step]:
    """The tools that one request asked for, up to the next request.

    Args:
        waited: Something came after them, whether or not they were seen to run.
    """
    runs = [run for run in speech.tools if model.called <= run.began < until]
    found: list[Step] = []
    queued = speech.previous_ended
    for name, began, ended in _critical(runs, until):
        if queued is not None and model.ended is not None and model.ended < queued <= began:
            # Its tools do not run before the speech before it is over.
            found.append(Step(stages.numbered(stages.LLM_TOOL_CALL, number), None, model.ended))
            found.append(Step(stages.PREVIOUS_SPEECH, None, queued))
        found.append(Step(stages.numbered(stages.LLM_TOOL_CALL, number), None, began))
        found.append(Step(stages.of_tool(name), began, ended))
    if not runs and waited and model.ended is not None:
        # Nobody watched the tool: all of the time until what came of it is its.
        found.append(Step(stages.numbered(stages.LLM_TOOL_CALL, number), None, model.ended))
        found.append(Step(stages.of_tool("+".join(model.tools) or "unknown"), model.ended, until))
    return found


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


def _speaking(reply: AgentSide) -> list[Step]:
    """From the text that is spoken first to its sound."""
    voice = reply.spoken_by()
    models = reply.models_before(voice)
    token = models[-1].first_token if models else None
    begun = token if token is not None else reply.created
    previous = Step(stages.PREVIOUS_SPEECH, None, reply.previous_ended)
    found: list[Step] = []
    if voice is None:
        if models:
            found.append(Step(stages.FIRST_SENTENCE, begun, reply.first_text))
        if not reply.voices:
            # Ready-made audio, text alone, or a realtime model's voice that nobody watched.
            found += [previous, *_held_back(reply, begun)]
            unseen = bool(models) and models[-1].realtime and reply.first_text is None
            name = stages.REALTIME_TTFB if unseen else stages.PLAYBACK
            found.append(Step(name, begun, reply.playback_started))
        return found
    if not models and voice.text is not None and (reply.previous_ended or 0) <= voice.text:
        found.append(previous)  # ready-made words are not given to the voice before
    if voice.llm:
        if not models:
            found.append(Step(stages.REALTIME_RESPONSE, None, reply.created))
        found.append(Step(stages.REALTIME_TTFB, begun, voice.first_frame))
    else:
        found.append(Step(stages.FIRST_SENTENCE, begun, voice.text))
        found.append(Step(stages.TTS_TTFB, voice.text or voice.called, voice.first_frame))
    found += [previous, *_held_back(reply, voice.first_frame)]
    found.append(Step(stages.PLAYBACK, voice.first_frame, reply.playback_started))
    sound = reply.sound()
    if sound is not None and voice.sound_at is not None:
        playing = reply.playback_started or voice.first_frame
        found.append(Step(stages.LEADING_SILENCE, playing, sound[0]))
    return found


def _held_back(reply: AgentSide, ready: int | None) -> list[Step]:
    """What LiveKit held the audio back for, from the moment at which there was some."""
    return [
        Step(name, ready, _before(until, reply.playback_started))
        for name, until in (
            (stages.ANSWERING_MACHINE, reply.screened),
            (stages.FALSE_INTERRUPTION, reply.held_until),
        )
    ]


def _before(moment: int | None, limit: int | None) -> int | None:
    return moment if moment is None or limit is None else min(moment, limit)
