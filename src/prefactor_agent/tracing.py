"""Joins the parts: which session is traced, and where its spans go."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing.util
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from livekit.agents import Agent, AgentSession

from . import config
from .config import Settings
from .core.guard import guarded, logger
from .core.plain import plain
from .core.span import Sink
from .metrics.prometheus import collector
from .pipeline import Pipeline
from .record.intercept.forms import HookCall, NodeCall
from .record.livekit import private as livekit_private
from .record.livekit import toolsets
from .record.recorder import SessionRecorder
from .record.session.job import current_job

ATTACHING = frozenset({"stt_node", "on_enter"})
"""What LiveKit looks up first on an agent that it starts (voice/agent_activity.py,
``_start_session`` and ``start``)."""


DETACHED = "detached"
"""The close reason of a trace that ended before its session."""


class TraceOptions(NamedTuple):
    """What a program chose for the trace of one session."""

    sink: Sink | None
    about: dict[str, Any] | None = None
    """What it says itself of the session: goes into the session span's payload."""
    tool_types: Mapping[str, str] | None = None
    """By tool name, the span type of a tool."""


class SessionRegistry:
    """The traced sessions of this process. Implements :class:`.record.intercept.forms.Tracer`."""

    def __init__(self) -> None:
        self._traces: weakref.WeakKeyDictionary[AgentSession[Any], SessionRecorder] = (
            weakref.WeakKeyDictionary()
        )
        self._sink: Sink | None = None
        self._settled = False
        self._others: list[Pipeline] = []
        self._detached: weakref.WeakSet[AgentSession[Any]] = weakref.WeakSet()
        self._running: dict[str, tuple[SessionRecorder, asyncio.AbstractEventLoop]] = {}
        self._process = 0

    def send_to(self, sink: Sink | None) -> None:
        """Send the spans of new sessions here, instead of to the journal; ``None``: as the settings
        say."""
        self._sink = sink
        self._settled = sink is not None
        for other in self._others:
            other.stop()
        self._others.clear()

    @contextmanager
    def sending_to(self, sink: Sink) -> Iterator[None]:
        """Send the spans of the sessions that begin inside here; then go on as before."""
        before = self._sink, self._settled
        self._sink, self._settled = sink, True
        try:
            yield
        finally:
            self._sink, self._settled = before

    def flush(self, timeout: float) -> bool:
        """Have everything recorded so far kept and, with a token, delivered, within ``timeout``
        seconds. Returns whether it is. Waits: not for the event loop."""
        deadline = time.monotonic() + timeout
        sinks = [self._sink, *self._others]
        done = [sink.flush(max(0.0, deadline - time.monotonic())) for sink in sinks if sink]
        return all(done)

    @guarded("attach")
    def attach(self, agent: Any) -> SessionRecorder | None:
        """The trace of the session that the agent is in; begins one if there is none."""
        session = _session_of(agent)
        if session is None:
            return None
        if session not in self._traces:
            if session in self._detached:
                return None
            if livekit_private.is_closing(session):
                return None  # its trace is over: it was broken off, and is closed a second time
        return self.trace(session, agent)

    def trace(
        self, session: AgentSession[Any], agent: Agent | None, options: TraceOptions | None = None
    ) -> SessionRecorder | None:
        """The trace of a session; begins one if there is none.

        Args:
            agent: Whose session it is, if that is known yet.
            options: What a program chose for this session; otherwise all is as the settings say.
        """
        trace = self.find(session)
        if trace is None:
            return self._begin(session, agent, options or TraceOptions(self._find_sink()))
        if agent is not None:
            trace.meet(agent)
        return trace

    def _begin(
        self, session: AgentSession[Any], agent: Agent | None, options: TraceOptions
    ) -> SessionRecorder | None:
        sink = options.sink
        if sink is None:
            return None
        self._detached.discard(session)
        trace = self._traces[session] = SessionRecorder(
            session,
            agent,
            sink,
            about=options.about,
            tool_types=options.tool_types,
            record_beside=sink.records_beside() if isinstance(sink, Pipeline) else None,
        )
        session_id = trace.spans.root.id
        self._end_with_process()
        self._running[session_id] = (trace, asyncio.get_running_loop())
        trace.on_closed = functools.partial(self._forget, weakref.ref(session))
        trace.on_ended = functools.partial(self._running.pop, session_id, None)
        if isinstance(sink, Pipeline):
            sink.begin()
        _end_with_job(trace, sink)
        return trace

    @guarded("detach")
    def detach(self, session: AgentSession[Any]) -> None:
        """End the trace of a session that goes on."""
        if (trace := self.find(session)) is not None:
            self._detached.add(session)
            trace.close(DETACHED)

    def sink_for(self, chosen: Settings) -> Sink | None:
        """Where the spans of a session go for which a program chose its own settings; ``None``:
        tracing is turned off."""
        default = self._find_sink()
        if not isinstance(default, Pipeline):
            return default
        for known in (default, *self._others):
            if known.settings == chosen:
                return known
        made = Pipeline(chosen, self._terminate, apart=True)
        self._others.append(made)
        return made

    @guarded("quality")
    def record_quality(self, session: AgentSession[Any], name: str, payload: Any) -> bool:
        if name not in config.settings().quality_schemas:
            logger.warning("no quality is recorded: %r is not in quality_schemas", name)
            return False
        if not isinstance(payload, Mapping):
            logger.warning("no quality is recorded: the payload of %s must be a dict", name)
            return False
        if (trace := self.find(session)) is None:
            return False
        root = trace.spans.root
        records = {**root.payload.get("quality", {}), name: plain(dict(payload))}
        trace.spans.update(root, quality=records)
        return True

    def find(self, session: AgentSession[Any]) -> SessionRecorder | None:
        """The trace of a session, if it has one that goes on."""
        trace = self._traces.get(session)
        return None if trace is None or trace.closed else trace

    def _forget(self, session: weakref.ref[AgentSession[Any]]) -> None:
        """A trace is closed; its session may be kept by the program for as long as it likes."""
        if (ended := session()) is not None:
            self._traces.pop(ended, None)

    def _end_with_process(self) -> None:
        """Have what is still open looked at when the process exits, before the journal's last
        write."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._running.clear()  # after a fork: the other process's
        # Not atexit: see the journal's writer, whose priority is 100.
        multiprocessing.util.Finalize(None, self._on_exit, exitpriority=110)

    def _on_exit(self) -> None:
        for trace, _ in list(self._running.values()):
            trace.job.process_ends()

    def keep(self, agent: Agent, form: Callable[..., Any]) -> None:
        """Keep what an agent's node or hook is looked up as until its session's trace is closed."""
        session = _session_of(agent)
        if session is not None and (trace := self.find(session)) is not None:
            trace.forms.append(form)

    @guarded("node.begin")
    def open_node(
        self, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> NodeCall | None:
        trace = self.attach(agent)
        return trace.nodes.open(agent, name, args, kwargs) if trace else None

    @guarded("hook.begin")
    def open_hook(
        self, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HookCall | None:
        trace = self.attach(agent)
        return trace.hooks.begin(agent, name, args, kwargs) if trace else None

    def _find_sink(self) -> Sink | None:
        if not self._settled:
            self._settled = True
            try:
                chosen = config.settings()
            except config.ConfigurationError as error:
                logger.error("not tracing: %s", error)
                return None
            self._sink = None if chosen.disabled else Pipeline(chosen, self._terminate)
        return self._sink

    def _terminate(self, session_id: str, reason: str | None) -> None:
        """Prefactor wants a call to end. Called on the delivering thread."""
        running = self._running.get(session_id)
        if running is not None:
            trace, loop = running
            loop.call_soon_threadsafe(
                trace.termination.begin, reason, config.settings().on_terminate
            )


_SESSION: Any = vars(Agent)["session"].fget


def _session_of(agent: Agent) -> AgentSession[Any] | None:
    try:
        # Not the agent's own idea of it: a class may call something of its own ``session``.
        session: AgentSession[Any] = _SESSION(agent)
        return session
    except (RuntimeError, AttributeError):  # not running, or still in its constructor
        return None


def _end_with_job(trace: SessionRecorder, sink: Sink) -> None:
    """Have LiveKit's shutdown of the job wait, for a bounded time, until the trace is kept."""
    context = current_job()
    if context is None:
        return
    traced = weakref.ref(trace)

    async def end(reason: str = "") -> None:
        # All shutdown callbacks run together, the user's and the closing of a session among them:
        # let those go first. If one of them raises, LiveKit waits for none of the others.
        if (trace := traced()) is not None:
            trace.job.set_shutdown_reason(reason)
        del trace
        await asyncio.sleep(0.05)
        if (trace := traced()) is not None:
            trace.job.shut_down()
        await asyncio.to_thread(sink.flush, config.settings().flush_timeout)

    context.add_shutdown_callback(end)


tracer = SessionRegistry()
collector.register()  # in the worker's process, too: it imports the agent's file as each job does
toolsets.listen()  # LiveKit sets them up before it calls anything of an agent's


def record_quality(session: AgentSession[Any], name: str, payload: Mapping[str, Any]) -> bool:
    """Record how a call went, in numbers and words of your own; Prefactor gets it when the call
    ends. A second record of the same name takes the place of the first.

    Never raises. What cannot be recorded is logged.

    Args:
        session: The call's session.
        name: Of one of the schemas in ``configure(quality_schemas=…)``.
        payload: What that schema describes.

    Returns:
        Whether it is recorded: ``False`` also where the session is not traced, or over.
    """
    return tracer.record_quality(session, name, payload) is True


class OffTheRecord:
    """A part of a call that is off the record: see :func:`off_the_record`."""

    def __init__(self, session: AgentSession[Any]) -> None:
        self._session = session
        self._trace: SessionRecorder | None = None

    def __enter__(self) -> None:
        self._trace = tracer.find(self._session)
        if self._trace is not None:
            self._trace.off_the_record.begin()

    def __exit__(self, *_: object) -> None:
        if self._trace is not None:
            self._trace.off_the_record.end()

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def off_the_record(session: AgentSession[Any]) -> OffTheRecord:
    """Keep a part of a call off the record: no sound, no words, no inputs and results of tools.

    Use it as ``with`` or ``async with``, around all of what is not to be kept: await the speeches
    and tasks in it. What is open when it begins (the tool that runs, the turn that it runs for) is
    kept without its words, too. Names, times and sizes stay, and the gap is shown. Never raises.

    Args:
        session: The call's session; of one that is not traced nothing is kept anyway.
    """
    return OffTheRecord(session)


def flush(timeout: float | None = None) -> bool:
    """Have all that was traced so far written to the journal and, with a token, delivered.

    The end of a job waits for this by itself. A script calls it before it reads the journal. It
    blocks: on an event loop, call ``await asyncio.to_thread(flush, 5)``.

    Args:
        timeout: Seconds to wait at most. Default: the setting ``flush_timeout``.

    Returns:
        Whether all of it was written and delivered in that time.
    """
    return tracer.flush(config.settings().flush_timeout if timeout is None else timeout)
