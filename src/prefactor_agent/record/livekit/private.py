"""The private names of LiveKit that the tracer reads: all of them, in one place.

Each has no public counterpart, is read only, and may be missing in some version: the caller then
gets ``None`` and the trace lacks that one fact. ``tests/record/livekit/test_private.py`` runs on
the oldest and the newest supported version."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from contextvars import ContextVar
from operator import attrgetter
from typing import Any, NamedTuple

from livekit import rtc
from livekit.agents import llm
from livekit.agents.llm import utils as llm_utils
from livekit.agents.voice import agent_activity

_SPEECH: ContextVar[Any] | None = getattr(agent_activity, "_SpeechHandleContextVar", None)
_IS_TOOL_OUTPUT: Any = getattr(llm_utils, "_is_valid_function_output", None)
try:
    _TOOL_EXECUTOR: Any = importlib.import_module("livekit.agents.voice.tool_executor")
except ImportError:  # before 1.6
    _TOOL_EXECUTOR = None
try:
    _PRE_CONNECT: Any = importlib.import_module(
        "livekit.rtc._proto.track_pb2"
    ).AudioTrackFeature.TF_PRECONNECT_BUFFER
except (ImportError, AttributeError):
    _PRE_CONNECT = None
samples_of: Callable[[rtc.AudioFrame], bytes | bytearray | memoryview] = attrgetter(
    "_data" if hasattr(rtc.AudioFrame(bytes(2), 8000, 1, 1), "_data") else "data"
)
"""The bytes of a frame's samples. They are public, too, but ``AudioFrame.data`` (a function, which
makes three views of them) is half of what it costs to look at a frame that passes now and then."""
_CHAIN = 8
"""Outputs that pass on to one another."""


def running_function_call() -> llm.FunctionCall | None:
    """The function call that the current task was started for, if it runs a tool.

    A tool that asks for a ``RunContext`` gets this publicly. For one that does not, LiveKit
    notes it on the task (voice/generation.py ``_execute_tools_task``, voice/agent.py
    ``_set_activity_task_info``)."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a thread without a loop
        return None
    info = getattr(task, "__livekit_agents_activity_task", None)
    call = getattr(info, "function_call", None)
    return call if isinstance(call, llm.FunctionCall) else None


def running_speech() -> Any:
    """The ``SpeechHandle`` that the running code is at work for: LiveKit sets it in the context of
    each task of a speech, whatever was set in the one that the task is made from
    (voice/agent_activity.py, ``_create_speech_task``). Tasks that outlive a speech keep it."""
    return _SPEECH.get(None) if _SPEECH is not None else None


def interruption_source(speech: Any) -> str | None:
    """Why a speech was interrupted: ``audio_activity``, ``user_turn`` or ``programmatic`` (from 1.8
    on)."""
    source = getattr(speech, "_interrupt_source", None)
    return source if isinstance(source, str) else None


def task_error(task: Any) -> BaseException | None:
    """What an ``AgentTask`` ended with instead of a result; ``None``: it has one, or goes on
    (voice/agent.py, ``complete``)."""
    ended = getattr(task, "_AgentTask__fut", None)
    return failure(ended) if isinstance(ended, asyncio.Future) and ended.done() else None


def user_turn_claimed(session: Any) -> bool:
    """Whether the user "speaks" because a program says so, not because of a voice: LiveKit holds
    the state at ``speaking`` while it takes in a typed message (voice/agent_session.py
    ``_claim_user_turn``, voice/room_io/types.py ``_default_text_input_cb``; not in 1.5)."""
    claims = getattr(session, "_user_turn_claims", 0)
    return isinstance(claims, int) and claims > 0


def holds_words(session: Any) -> bool | None:
    """Whether LiveKit holds words of the user's that it has not taken yet: it empties its
    transcript when it takes a turn and when it gives one up (voice/audio_recognition.py,
    ``_audio_transcript``). ``None``: it is not known."""
    activity = getattr(session, "_activity", None)
    recognition = getattr(activity, "_audio_recognition", None)
    words = getattr(recognition, "_audio_transcript", None)
    return bool(words.strip()) if isinstance(words, str) else None


def is_closing(session: Any) -> bool:
    """Whether LiveKit has begun to take a session apart; it stays so when that breaks off
    (voice/agent_session.py, ``_teardown_activity``; ``_aclose_impl`` in 1.5.0)."""
    return getattr(session, "_closing", False) is True


def is_off(session: Any) -> bool:
    """Whether a session does not run: it has not started, or was taken apart. In 1.5.0 one whose
    closing broke off counts as running."""
    return getattr(session, "_started", None) is False


def closing_task(session: Any) -> asyncio.Task[Any] | None:
    """The task in which LiveKit closes a session by itself: for an error, when the caller leaves,
    after ``shutdown`` (voice/agent_session.py, ``_close_soon`` and ``_on_error``)."""
    task = getattr(session, "_closing_task", None)
    return task if isinstance(task, asyncio.Task) else None


def is_busy(session: Any) -> bool:
    """Whether LiveKit starts or closes a session at this moment: both have one lock."""
    lock = getattr(session, "_lock", None)
    return isinstance(lock, asyncio.Lock) and lock.locked()


def failure(task: asyncio.Future[Any]) -> BaseException | None:
    """What a task of LiveKit's or of the agent's raised. ``Task.exception`` would have asyncio take
    it for dealt with, and not log it."""
    error = getattr(task, "_exception", None)
    return error if isinstance(error, BaseException) else None


class DispatchTimes(NamedTuple):
    """When a job went through the worker, in seconds since the Unix epoch."""

    received: float | None
    """The request for it came."""
    accepted: float | None
    assigned: float | None
    launched: float | None
    """A process that was ready got it."""


def dispatch_times(context: Any) -> DispatchTimes:
    """What LiveKit noted of a job's way to its process (job.py, ``RunningJobInfo``; not in 1.5,
    and not of a job that was resumed or is none)."""
    info = getattr(context, "_info", None)
    names = ("received_at", "accepted_at", "assigned_at", "launched_at")
    return DispatchTimes(*(_date(getattr(info, name, None)) for name in names))


def session_started(session: Any) -> float | None:
    """When ``AgentSession.start`` was called, in seconds since the Unix epoch."""
    return _date(getattr(session, "_started_at", None))


def _date(value: Any) -> float | None:
    return value if isinstance(value, float) and value > 0 else None


class TurnDetection(NamedTuple):
    """What decides when the user's turn is over, at this moment."""

    mode: str | None
    """``vad``, ``stt``, ``manual`` …; ``None``: a detector decides."""
    detector: Any
    """The turn detector, or the stream of one that listens to the audio."""
    prediction: float | None
    """The last of a detector that listens to the audio."""
    min_delay: float | None
    max_delay: float | None
    """How long LiveKit waits for more words, in seconds."""
    deciding: bool
    """Whether the running code is LiveKit's that asks whether the turn is over."""


def turn_detection(session: Any) -> TurnDetection | None:
    """How LiveKit finds the end of the user's turn (voice/audio_recognition.py). The detector is
    the program's own object, but which one is asked, and how long is waited (which ``dynamic``
    endpointing changes in the call), is told nowhere. ``None``: nobody listens."""
    recognition = getattr(getattr(session, "_activity", None), "_audio_recognition", None)
    if recognition is None:
        return None
    stream = getattr(recognition, "_turn_detector_stream", None)
    detector = stream if stream is not None else getattr(recognition, "_turn_detector", None)
    mode = getattr(recognition, "_turn_detection_mode", None)
    asked = getattr(recognition, "_turn_detector_prediction_fut", None)
    known = stream is not None and isinstance(asked, asyncio.Future) and asked.done()
    event = asked.result() if known and asked is not None and not asked.cancelled() else None
    delays = getattr(recognition, "_endpointing", None)
    deciding = getattr(recognition, "_end_of_turn_task", None)
    return TurnDetection(
        mode="vad" if mode is None and detector is None else mode,
        detector=detector if mode is None else None,
        prediction=getattr(event, "end_of_turn_probability", None),
        min_delay=getattr(delays, "min_delay", None),
        max_delay=getattr(delays, "max_delay", None),
        deciding=deciding is not None and deciding is asyncio.current_task(),
    )


def counts_discarded(output: Any) -> bool:
    """Whether an output counts as played what it threw away when it was paused: the room's does, in
    1.5 (voice/room_io/_output.py, ``_forward_audio`` and ``_wait_for_playout``; from 1.6.10 on at
    the latest it keeps account of it)."""
    for _ in range(_CHAIN):
        below = getattr(output, "next_in_chain", None)
        if below is None:
            break
        output = below
    return hasattr(output, "_audio_source") and not hasattr(output, "_source_discarded_duration")


def is_tool_output(value: Any) -> bool:
    """Whether LiveKit passes on to the model what a tool returned: in place of other values the
    model gets an error (llm/utils.py, ``make_function_call_output``)."""
    return _IS_TOOL_OUTPUT is None or _IS_TOOL_OUTPUT(value) is True


def added_tools(tools: list[Any]) -> list[Any]:
    """The tools that LiveKit offers the model besides, because some of ``tools`` can be cancelled
    (voice/agent_activity.py, ``AgentActivity.tools``)."""
    if _TOOL_EXECUTOR is None or not _TOOL_EXECUTOR.has_cancellable_tool(tools):
        return []
    return [_TOOL_EXECUTOR.cancel_task, _TOOL_EXECUTOR.get_running_tasks]


def has_pre_connect_audio(publication: Any) -> bool:
    """Whether a track comes with what its publisher said before the agent was connected
    (voice/room_io/_input.py, ``_forward_task``; the enum is not among livekit.rtc's own names)."""
    return _PRE_CONNECT is not None and _PRE_CONNECT in getattr(publication, "audio_features", ())


def pre_connect_audio(session: Any, sid: str) -> asyncio.Future[Any] | None:
    """What was said before the agent was connected, for a track that it has just subscribed to: a
    future of an object with ``frames``. LiveKit forgets it once the frames are on their way
    (voice/room_io/_pre_connect_audio.py, ``wait_for_data``)."""
    handler = getattr(getattr(session, "_room_io", None), "_pre_connect_audio_handler", None)
    found = getattr(handler, "_buffers", {}).get(sid)
    return found if isinstance(found, asyncio.Future) else None


def detects_menus(session: Any) -> bool:
    """Whether LiveKit's detection of telephone menus (IVR) runs: as an option of the session, or
    because answering machine detection found a menu (voice/agent_session.py,
    ``_start_ivr_detection``)."""
    return getattr(session, "_ivr_activity", None) is not None
