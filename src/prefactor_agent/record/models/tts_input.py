"""What a TTS is given to say, below the node: a node may say something else than it is asked to
(one field of a structured answer, a translation, what a filter left).

A node of the program's calls the TTS itself, or ``Agent.default.tts_node``, which does: nothing of
that passes the agent. So the two ways to use a TTS, ``stream`` and ``synthesize``, are observed on
the model itself, as long as one of its sessions is traced. LiveKit's ``StreamAdapter`` turns the
first into the second (tts/stream_adapter.py)."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from livekit.agents import tts

from ...core.guard import guarded
from ..spans.stream import TEXT_LIMIT


class GivenText:
    """The text that one node call gave to its TTS."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._parts: list[str] = []
        self._size = 0
        self._streamed = False
        self._over = False

    def text(self) -> str:
        """All of it, as far as it is kept."""
        return "".join(self._parts)

    def end(self) -> None:
        """The node call is over: what its context does from now on is none of its own."""
        self._over = True

    @guarded("tts.stream")
    def streams(self, stream: Any) -> None:
        """The node gives its text to this stream."""
        if self._over:
            return
        self._streamed = True
        hand_over = stream.push_text

        def push_text(token: str, *args: Any, **kwargs: Any) -> Any:
            self._push(token)
            return hand_over(token, *args, **kwargs)

        stream.push_text = push_text

    @guarded("tts.synthesize")
    def synthesizes(self, text: Any) -> None:
        """The node, or LiveKit's adapter for it, has the TTS say this."""
        if not self._streamed and not self._over:
            if self._parts:
                self._push(" ")  # LiveKit's adapter cuts the text into sentences
            self._push(text)

    @guarded("tts.push_text")
    def _push(self, text: Any) -> None:
        if isinstance(text, str) and self._size < TEXT_LIMIT:
            self._parts.append(str.__str__(text)[: TEXT_LIMIT - self._size])
            self._size += len(text)


_giving: ContextVar[GivenText | None] = ContextVar("prefactor_agent_tts_input", default=None)


def giving(given: GivenText) -> None:
    """The running code, and what it starts, works for the node call with this text."""
    _giving.set(given)


class _Observed:
    """Stands in for a method of a TTS."""

    def __init__(self, owner: Any, name: str, look: Callable[[GivenText, Any, Any], None]) -> None:
        self.users = 1
        self.replaced = vars(owner).get(name)
        self.__wrapped__ = getattr(owner, name)
        self._look = look

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = self.__wrapped__(*args, **kwargs)
        given = _giving.get()
        if given is not None:
            self._look(given, answer, args[0] if args else kwargs.get("text"))
        return answer


_LOOKS: dict[str, Callable[[GivenText, Any, Any], None]] = {
    "stream": lambda given, stream, _: given.streams(stream),
    "synthesize": lambda given, _, text: given.synthesizes(text),
}


class TTSInputs:
    """The TTS models of one session's nodes."""

    def __init__(self) -> None:
        self._followed: weakref.WeakSet[Any] = weakref.WeakSet()

    @guarded("tts.follow")
    def follow(self, owner: Any) -> None:
        """Observe a TTS that a node is about to use."""
        if not isinstance(owner, tts.TTS) or owner in self._followed:
            return
        self._followed.add(owner)
        for name, look in _LOOKS.items():
            present = vars(owner).get(name)
            if isinstance(present, _Observed):
                present.users += 1
            else:
                setattr(owner, name, _Observed(owner, name, look))

    @guarded("tts.stop")
    def stop(self) -> None:
        """Observe none any more."""
        for owner in list(self._followed):
            for name in _LOOKS:
                _leave(owner, name)
        self._followed.clear()


def _leave(owner: Any, name: str) -> None:
    present = vars(owner).get(name)
    if not isinstance(present, _Observed):
        return  # the program has put something else there
    present.users -= 1
    if present.users:
        return
    if present.replaced is not None:
        setattr(owner, name, present.replaced)
    else:
        delattr(owner, name)
