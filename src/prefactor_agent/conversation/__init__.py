"""From the moments of a turn to the silence that the caller heard, cut into named stages.

Pure arithmetic: no clock, no LiveKit, nothing recorded. Moments are integers in nanoseconds on any
one monotonic clock; a moment that was not seen is ``None``. ``docs/latency.md`` shows each of them
on a picture. What goes in is in :mod:`.turn`, what comes out in :mod:`.measure`.

There is one mechanism (:mod:`.split`). A turn is a list of steps in the order in which each *waits*
for the one before (:mod:`.steps`); a cursor that only moves forward walks it once. Whatever
happened ahead of its place (a transcript that was final before the VAD was sure, a language model
that was asked before the turn was over) finds the cursor past it and gets nothing, so no stage is
negative, nothing is counted twice, and the stages sum to the whole exactly."""

from .budgets import exceeded
from .gaps import starved
from .measure import Latency, lengths, measure, so_far
from .playout import Playout
from .split import UNATTRIBUTED, totals
from .statistics import median, percentile, summarize
from .turn import Asked, ModelCall, Reply, ToolRun, VoiceCall

__all__ = [
    "UNATTRIBUTED",
    "Asked",
    "Latency",
    "ModelCall",
    "Playout",
    "Reply",
    "ToolRun",
    "VoiceCall",
    "exceeded",
    "lengths",
    "measure",
    "median",
    "percentile",
    "so_far",
    "starved",
    "summarize",
    "totals",
]
