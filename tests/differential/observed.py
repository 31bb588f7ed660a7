"""What was seen of a run, as plain data in which two runs of the same program are equal."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from livekit import rtc
from livekit.agents import Agent, llm
from livekit.agents.voice import SpeechHandle
from pydantic import BaseModel

Entry = tuple[Any, ...]


def plain(value: Any) -> Any:  # noqa: C901  # one list of kinds
    """``value`` with everything in it that can be compared: of a frame its audio, of a tool what
    the model is told, of anything unknown its type."""
    match value:
        case None | bool() | int() | bytes():
            return value
        case Enum():
            return value.value
        case str():
            marks = {name: plain(mark) for name, mark in getattr(value, "__dict__", {}).items()}
            return (type(value).__name__, str(value), marks) if marks else str(value)
        case float():
            return round(value, 6)
        case BaseException():
            return type(value).__name__, str(value), plain(value.__cause__)
        case rtc.AudioFrame():
            userdata = {name: plain(given) for name, given in value.userdata.items()}
            sound = zlib.crc32(bytes(value.data))
            return "frame", value.sample_rate, value.samples_per_channel, sound, userdata
        case SpeechHandle():
            return "speech", value.id, value.interrupted, value.allow_interruptions, value.done()
        case llm.FunctionTool():
            return "tool", llm.utils.build_legacy_openai_schema(value)
        case llm.RawFunctionTool():
            return "raw tool", plain(value.info.raw_schema)
        case Agent():
            return "agent", value.id
        case llm.ChatContext():
            return plain(value.items)
        case BaseModel():
            fields = type(value).model_fields.items()
            names = [name for name, field in fields if not field.deprecated]
            return type(value).__name__, {name: plain(getattr(value, name)) for name in names}
        case Mapping():
            return {plain(key): plain(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(one) for one in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            shown = [one for one in dataclasses.fields(value) if not one.name.startswith("_")]
            return type(value).__name__, {
                one.name: plain(getattr(value, one.name)) for one in shown
            }
        case _:
            return f"a {type(value).__name__}"


_RANDOM = re.compile(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])|0x[0-9a-f]+|Task-\d+")


def named(entries: list[Entry]) -> list[Entry]:
    """``entries`` with each random id replaced by the number of its first appearance."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"#{len(numbers) + 1}")

    return [_each_string(entry, lambda text: _RANDOM.sub(number, text)) for entry in entries]


def _each_string(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case list() | tuple():
            return type(value)(_each_string(one, change) for one in value)
        case dict():
            return {_each_string(k, change): _each_string(v, change) for k, v in value.items()}
        case _:
            return value


def first_difference(one: list[Entry], other: list[Entry]) -> str | None:
    """Where two runs part, with what came before; ``None`` if they are the same."""
    if one == other:
        return None
    at = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    before = "".join(f"    {entry}\n" for entry in one[max(0, at - 5) : at])
    return (
        f"the same up to entry {at}:\n{before}"
        f"  plain:  {one[at : at + 1] or 'the end'}\n"
        f"  traced: {other[at : at + 1] or 'the end'}"
    )
