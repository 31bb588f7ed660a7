"""Opens the record of each node call of one session."""

from __future__ import annotations

from typing import Any

from livekit.agents import Agent

from ...core.guard import guarded
from ..audio.clock import Hear
from ..intercept.forms import NodeCall
from ..livekit.messages import Messages
from ..turns.off_the_record import OffTheRecord
from ..turns.state import Scope
from ..turns.utterances import Utterances
from .fallbacks import Fallbacks
from .llm_node import LLMNodeCall
from .realtime import Realtime
from .stt_node import STTNodeCall
from .tts_input import TTSInputs
from .voice_nodes import RealtimeNodeCall, TranscriptionNodeCall, TTSNodeCall


class Nodes:
    """The nodes of one session's agents.

    Args:
        hear: Is given the user's audio.
    """

    def __init__(
        self,
        scope: Scope,
        hear: Hear,
        utterances: Utterances,
        realtime: Realtime,
        fallbacks: Fallbacks,
        off_the_record: OffTheRecord,
    ) -> None:
        self._scope = scope
        self._hear = hear
        self._utterances = utterances
        self._realtime = realtime
        self._fallbacks = fallbacks
        self._messages = Messages(off_the_record.hides)
        self._tts_inputs = TTSInputs()

    @guarded("node.begin")
    def open(
        self, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> NodeCall | None:
        """A node of ``agent`` is about to be called with these arguments."""
        call = (self._scope, self._fallbacks, agent, args, kwargs)
        match name:
            case "stt_node":
                return STTNodeCall(*call, self._hear, self._utterances)
            case "llm_node":
                return LLMNodeCall(*call, self._messages)
            case "tts_node":
                return TTSNodeCall(*call, self._tts_inputs)
            case "transcription_node":
                return TranscriptionNodeCall(*call)
            case "realtime_audio_output_node":
                return RealtimeNodeCall(*call, self._realtime)
        raise ValueError(f"{name} is no node")

    def stop(self) -> None:
        """The session is over."""
        self._tts_inputs.stop()
