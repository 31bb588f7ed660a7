"""What is true of a session at this moment: everybody reads it, and each field has one writer."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from livekit.agents import AgentSession

from ...core.json import JSON
from ...core.span import Span
from ..spans.tree import SpanTree
from .signals import Signals
from .turn import AssistantTurn, UserTurn


class LatestHandoff(NamedTuple):
    """When the latest change of the agent happened. Monotonic nanoseconds, 0: never."""

    left_ns: int = 0
    """The old agent began to give the call away."""
    changed_ns: int = 0
    """LiveKit changed the agent."""
    entered: list[int | None] | None = None
    """When ``on_enter`` of the new agent began, and ended; ``None``: it is not traced."""


_PARTIALS_KEPT = 100
"""Interim transcripts of a session, the latest."""


class Partial(NamedTuple):
    """An interim transcript."""

    turn: str
    """The span of the turn that it is of."""
    words: JSON
    """``transcript``, ``created_at``."""


@dataclass(eq=False, slots=True)
class SessionState:
    """The present state of one session. The comment behind each field names its writer."""

    session_ref: weakref.ref[AgentSession[Any]]  # SessionRecorder
    session_id: str  # SessionRecorder
    """The id of the session's span."""
    tool_types: dict[str, str]  # SessionRecorder
    """By tool name, the type of a tool's spans where it is not the usual one."""
    closed: bool = False  # SessionRecorder
    user_turn: UserTurn | None = None  # UserTurns
    """The user's turn that is open."""
    speeches: dict[str, AssistantTurn] = field(default_factory=dict)  # AssistantTurns
    """The open speeches by LiveKit's id, the oldest first."""
    turn_roles: list[str] = field(default_factory=list)  # next_turn_index
    """Whose turns have begun so far: ``user`` or ``assistant``."""
    partials: deque[Partial] = field(
        default_factory=lambda: deque(maxlen=_PARTIALS_KEPT)
    )  # UserTurns
    """The interim transcripts so far."""
    last_played: AssistantTurn | None = None  # Playback
    output_reports_playback: bool = False  # Playback
    in_hook: UserTurn | None = None  # Hooks
    """The user's turn that ``on_user_turn_completed`` is at work on."""
    owning_tool: Span | None = None  # Handoffs
    """The tool call that runs the agent which has the call; it may have ended."""
    latest_handoff: LatestHandoff = field(default_factory=LatestHandoff)  # Handoffs
    screened_ns: int | None = None  # AnsweringMachine
    """When the answering machine detection was done."""
    machine_until_ns: int | None = None  # AnsweringMachine
    """When that found that a machine, and no person, had taken the call."""
    realtime_used: bool = False  # Realtime
    realtime_transcribes: bool = False  # Realtime
    """The realtime model tells what it heard."""
    audio_committed: bool = False  # Realtime
    """LiveKit has just told the realtime model that the user's turn is over."""
    realtime_listens: bool = False  # Realtime
    """The user's audio is heard on its way to the realtime model: no STT node passes it."""
    untraced_spans: Mapping[str, Span] = field(default_factory=dict)  # ToolCalls
    """The open spans of calls whose tools are not traced, by LiveKit's id of the item."""

    @property
    def session(self) -> AgentSession[Any] | None:
        """LiveKit's session; ``None``: it is gone."""
        return self.session_ref()

    @property
    def playing(self) -> AssistantTurn | None:
        """The turn whose audio is being played right now."""
        last = self.last_played
        return last if last is not None and last.playing else None

    def speaking(self) -> AssistantTurn | None:
        """The turn of the speech that LiveKit has on its line."""
        session = self.session
        speech = session.current_speech if session is not None else None
        return self.speeches.get(speech.id) if speech is not None else None

    def open_utterance(self) -> Span | None:
        """The span of what the user says right now, if the STT has begun one."""
        turn = self.user_turn
        return turn.utterance.span if turn is not None and turn.utterance is not None else None

    def next_turn_index(self, role: str) -> int:
        """The number of a turn that is about to begin: 1, 2, 3 …"""
        self.turn_roles.append(role)
        return len(self.turn_roles)

    def tool_type(self, name: str, usual: str) -> str:
        """The type of a tool's spans: the program's word, or the usual one."""
        return self.tool_types.get(name, usual)

    def open_owning_tool(self) -> Span | None:
        """The open span of the tool call that runs the agent which has the call."""
        tool = self.owning_tool
        return tool if tool is not None and tool.open else None


class Scope(NamedTuple):
    """What every part of one session's recorder is given."""

    spans: SpanTree
    state: SessionState
    signals: Signals

    @property
    def session_id(self) -> str:
        return self.spans.session_id

    def owns(self, span: Span) -> bool:
        """Whether a span is one of this session."""
        return span.session_id == self.session_id
