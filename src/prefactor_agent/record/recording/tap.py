"""Takes the sound of a session where it passes, for its recording.

The caller's is what the STT node, or a realtime model, is given. The agent's is what the session's
output is given: after the nodes, so that what a program says with audio of its own, and an agent
whose nodes are not traced, are recorded, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...stored import recording
from ..audio.clock import Hear
from ..spans.tree import SpanTree
from ..turns.signals import Signals
from .writer import RecordingWriter, Written

if TYPE_CHECKING:
    from livekit import rtc
    from livekit.agents.voice.io import AudioOutput


class CallRecording:
    """The recording of one session, while the session lasts.

    Args:
        journal: Beside which it is kept.
    """

    def __init__(self, journal: Path, spans: SpanTree, signals: Signals) -> None:
        self.session_id = spans.session_id
        self._spans = spans
        self._path = recording.path_of(journal, spans.session_id)
        self._writer = RecordingWriter(self._path)
        self._output: AudioOutput | None = None
        self._taps: dict[str, Any] = {}
        signals.output_followed.connect(self.follow)
        signals.playback.connect(self._writer.playback)
        self._writer.start()

    def hearing(self, hear: Hear) -> Hear:
        """``hear`` in a form that has what is heard recorded, too."""
        record = self._writer.hear

        def record_and_hear(frame: rtc.AudioFrame, arrived_ns: int) -> None:
            record(frame, arrived_ns)
            hear(frame, arrived_ns)

        return record_and_hear

    @guarded("recording.follow")
    def follow(self, output: AudioOutput | None) -> None:
        """Record what this output is given from now on, and no other."""
        if output is self._output:
            return
        self._let_go()
        self._output = output
        if output is not None:
            self._listen(output)

    def _listen(self, output: AudioOutput) -> None:
        speak, whole = self._speak, self._whole
        capture, flush = output.capture_frame, output.flush

        def capture_frame(frame: rtc.AudioFrame, *args: Any, **more: Any) -> Any:
            speak(frame)
            return capture(frame, *args, **more)

        def flushed(*args: Any, **more: Any) -> None:
            flush(*args, **more)
            whole()

        # LiveKit looks both up on the object at each frame (voice/generation.py), so nothing of
        # the session is exchanged for something of ours.
        self._taps = {"capture_frame": capture_frame, "flush": flushed}
        output.__dict__.update(self._taps)

    @guarded("recording.frame")
    def _speak(self, frame: rtc.AudioFrame) -> None:
        self._writer.speak(frame, now_ns())

    def hide(self, off: bool, at: int) -> None:
        """From a moment on both voices are off the record, or on it again."""
        if off:
            self._writer.hide(at)
        else:
            self._writer.show(at)

    @guarded("recording.flush")
    def _whole(self) -> None:
        self._writer.flush()

    def _let_go(self) -> None:
        output, self._output = self._output, None
        for name, tap in self._taps.items():
            if output is not None and output.__dict__.get(name) is tap:
                del output.__dict__[name]
        self._taps = {}

    @guarded("recording.end")
    def end(self) -> None:
        """The session is over."""
        self._let_go()
        self._writer.end()

    def result(self) -> JSON:
        """What the session's span says of its recording. Called off the event loop."""
        written = self._writer.result()
        if written is None:
            return {}
        return {
            "recording": without_none(
                {
                    **self._place(written),
                    "missing_s": round(written.missing_s, 3) or None,
                    "error": written.error,
                }
            )
        }

    def _place(self, written: Written) -> JSON:
        if written.begins_ns is None:
            return {}
        return {
            "file": f"{self._path.parent.name}/{self._path.name}",
            "offset_ms": self._spans.offset_us(written.begins_ns) / 1000,
            "duration_s": round(written.seconds, 3),
        }
