"""Toolsets that could not be set up: an MCP server that does not start, say.

LiveKit goes on without their tools, and emits no event. It logs the exception as an error
(voice/agent_activity.py, ``_setup_toolsets`` and its ``_do_setup``; before there were toolsets that
are set up, ``_list_mcp_tools_task`` of ``_start_session``), before the trace of its session begins.
So the tracer reads these records, and keeps what failed until the trace of a session with this
toolset asks for it. The traceback says which toolset it was."""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from livekit.agents import llm

from ...core.guard import guarded

_LOGGER = logging.getLogger("livekit.agents")
_LINES = ("Error in _do_setup", "Error in _list_mcp_tools_task")
_LOCALS = ("toolset", "mcp_server", "self")
_DEPTH = 100
"""Frames of a traceback, and toolsets inside one another."""


@dataclass(eq=False)
class SetupFailure:
    """A toolset, or an MCP server, that could not be set up."""

    source: str
    """The toolset's id."""
    error: Exception
    """Of the same type by name, and with the same words, as the one that was raised: that one would
    keep alive what its traceback passed."""
    taken: bool = False
    """Some session's trace has it."""


_failures: dict[int, SetupFailure] = {}
"""By the ``id`` of each toolset and server that the exception passed: they need not have a hash."""


def listen() -> None:
    """Read LiveKit's log from now on; once is enough."""
    _LOGGER.addFilter(_look)  # the same filter is not added twice


def take_failures(tools: Iterable[Any], servers: Iterable[Any]) -> list[SetupFailure]:
    """What failed of these tools and MCP servers, and was not taken before."""
    found: list[SetupFailure] = []
    for one in (*_toolsets(tools), *servers):
        failure = _failures.get(id(one))
        if failure is not None and not failure.taken:
            failure.taken = True
            found.append(failure)
    return found


def forget(failures: Iterable[SetupFailure]) -> None:
    """The session is over: the toolset may be set up again."""
    gone = list(failures)
    for key in [key for key, failure in _failures.items() if failure in gone]:
        del _failures[key]


def names(tools: Iterable[Any]) -> Iterator[str]:
    """The names of the tools, those inside toolsets among them that could be set up."""
    for tool in _flat(tools):
        if isinstance(name := getattr(tool, "id", None), str):
            yield name


def _flat(tools: Iterable[Any], depth: int = 0) -> Iterator[Any]:
    for tool in tools:
        if not isinstance(tool, llm.Toolset):
            yield tool
        elif id(tool) not in _failures and depth < _DEPTH:
            yield from _flat(tool.tools, depth + 1)


def _toolsets(tools: Iterable[Any], depth: int = 0) -> Iterator[llm.Toolset]:
    for tool in tools:
        if isinstance(tool, llm.Toolset) and depth < _DEPTH:
            yield tool
            yield from _toolsets(tool.tools, depth + 1)


def _look(record: logging.LogRecord) -> bool:
    _logged(record)
    return True


@guarded("toolset")
def _logged(record: logging.LogRecord) -> None:
    if record.msg not in _LINES or not isinstance(record.exc_info, tuple):
        return
    _, error, traceback = record.exc_info
    if error is None:
        return
    passed = list(_passed(traceback))
    if not passed:
        return
    toolsets = [one for one in passed if isinstance(one, llm.Toolset)]
    source = toolsets[-1].id if toolsets else type(passed[-1]).__name__
    kind = type(type(error).__name__, (Exception,), {})
    failure = SetupFailure(source, kind(str(error)))
    for one in passed:
        key = id(one)
        _failures[key] = failure
        weakref.finalize(one, _failures.pop, key, None)


def _passed(traceback: TracebackType | None) -> Iterator[Any]:
    """The toolsets and MCP servers that an exception passed, the innermost last."""
    mcp: Any = sys.modules.get("livekit.agents.llm.mcp")
    kinds = (llm.Toolset, mcp.MCPServer) if mcp is not None else (llm.Toolset,)
    for _ in range(_DEPTH):
        if traceback is None:
            return
        known = traceback.tb_frame.f_locals
        for name in _LOCALS:
            if isinstance(known.get(name), kinds):
                yield known[name]
        traceback = traceback.tb_next
