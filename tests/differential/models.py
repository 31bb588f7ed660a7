"""The scripted models and ends of the line, noting everything that is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents.voice import io

from support.scripted import Microphone, ScriptedLLM, ScriptedSTT, ScriptedTTS, Speaker

Note = Callable[..., None]


class NotedLLM(ScriptedLLM):
    note: Note

    def chat(self, **asked: Any) -> Any:
        self.note("llm.chat", asked)
        return _noted(super().chat(**asked), "llm", self.note, "aclose")


class NotedSTT(ScriptedSTT):
    note: Note

    def stream(self, **asked: Any) -> Any:
        self.note("stt.stream", asked)
        stream = super().stream(**asked)
        return _noted(stream, "stt", self.note, "push_frame", "flush", "end_input", "aclose")


class NotedTTS(ScriptedTTS):
    note: Note

    def synthesize(self, text: str, **asked: Any) -> Any:
        self.note("tts.synthesize", text, asked)
        return _noted(super().synthesize(text, **asked), "tts", self.note, "aclose")

    def stream(self, **asked: Any) -> Any:
        self.note("tts.stream", asked)
        stream = super().stream(**asked)
        return _noted(stream, "tts", self.note, "push_text", "flush", "end_input", "aclose")


def _noted(stream: Any, name: str, note: Note, *methods: str) -> Any:
    for method in methods:
        setattr(stream, method, _noting(getattr(stream, method), f"{name} {method}", note))
    return stream


def _noting(method: Any, name: str, note: Note) -> Any:
    def call(*args: Any) -> Any:
        note(name, *args)
        return method(*args)

    return call


class NotedSpeaker(Speaker):
    note: Note

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self.note("audio out", frame)
        await super().capture_frame(frame)

    def flush(self) -> None:
        self.note("audio out: flush")
        super().flush()

    def clear_buffer(self) -> None:
        self.note("audio out: clear")
        super().clear_buffer()


class Transcript(io.TextOutput):
    """Where the agent's words are shown."""

    def __init__(self, note: Note) -> None:
        super().__init__(label="transcript", next_in_chain=None)
        self.note = note

    async def capture_text(self, text: str) -> None:
        self.note("text out", text)

    def flush(self) -> None:
        self.note("text out: flush")


__all__ = ["Microphone", "NotedLLM", "NotedSTT", "NotedSpeaker", "NotedTTS", "Transcript"]
