"""The format of a recorded call's file. Offsets are in microseconds."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Part):
    """Pieces of text, each with its offset in microseconds."""

    offset_us: tuple[int, ...] = ()
    text: tuple[str, ...] = ()


class Audio(_Part):
    """What was recorded of audio: when each chunk came, how long and how loud it was."""

    sample_rate: int
    offset_us: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    """Samples of one channel."""
    dbfs: tuple[int, ...] = ()


class Event(_Part):
    """An event of the STT."""

    offset_us: int
    type: str
    text: str = ""
    confidence: float | None = None


class Utterance(_Part):
    """One stretch of the user's speech. Offsets count from its first sound."""

    at_us: int
    """Its first sound, after the turn's."""
    audio: Audio | None = None
    events: tuple[Event, ...] = ()


class UserTurn(_Part):
    """What the user said, and after what. Offsets count from its first sound."""

    number: int
    modality: str = "audio"
    text: str = ""
    at_us: int | None = None
    """Its first sound, after the start of the session: where it is in the recording of the call."""
    answered: bool = True
    """The agent was heard between the user's turn before (or the start) and this one."""
    pause_us: int = 0
    """From the end of what the agent said (else: from the user's last turn, or the start) to
    here."""
    over_us: int | None = None
    """How far into the agent's speech the user cut in; ``None``: the agent was not speaking."""
    speech_ended_us: int | None = None
    vad_started_us: int | None = None
    vad_ended_us: int | None = None
    utterances: tuple[Utterance, ...] = ()


class Asked(_Part):
    """One thing that an LLM request was about: what the user said, a call of a tool, a result."""

    kind: Literal["user", "call", "result"]
    name: str = ""
    text: str


class Call(_Part):
    """A tool call as the model wrote it."""

    call_id: str
    name: str
    arguments: str


class Failure(_Part):
    error_type: str
    message: str


class Request(_Part):
    """One LLM request: what it asked since the user's last words, and the recorded reply."""

    number: int
    turn: int
    """The user's turn that it belongs to; 0: before the first."""
    asked: tuple[Asked, ...] = ()
    output: Text = Text()
    tool_calls: tuple[Call, ...] = ()
    usage: dict[str, Any] | None = None
    failed: Failure | None = None
    optional: bool = False
    """It was dropped or interrupted: whether the agent makes it again depends on timing."""


class Speech(_Part):
    """One TTS request: the text as it came in, the audio as it came out."""

    given: Text
    audio: Audio
    failed: Failure | None = None


class Recording(_Part):
    """A whole call."""

    format: Literal["prefactor-agent/replay"] = "prefactor-agent/replay"
    version: Literal[1] = 1
    session_id: str
    agent: str
    started_at: str
    turns: tuple[UserTurn, ...]
    requests: tuple[Request, ...]
    speeches: tuple[Speech, ...]

    def dump(self) -> str:
        """The text of the file: JSON with each list of plain values on one line, for readable
        diffs."""
        head = {"format": self.format, "version": self.version}
        return _dump(head | self.model_dump(mode="json", exclude_defaults=True), "")


def _dump(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, dict) and any(isinstance(part, dict | list) for part in value.values()):
        lines = [f"{inner}{json.dumps(key)}: {_dump(part, inner)}" for key, part in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        lines = [inner + _dump(part, inner) for part in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
