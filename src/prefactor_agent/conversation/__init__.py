"""What a call was, made of the facts that were recorded: which answer belongs to which question,
where a silence begins and what ended it, what it was spent on, who interrupted whom.

Pure: no clock, no LiveKit, no SQL. Moments are integers in nanoseconds on any one monotonic clock;
a moment that was not seen is ``None``. Given half a call, it says what is known so far. The facts
are in :mod:`.timeline` and :mod:`.sides`; :mod:`.answers` and :mod:`.silences` decide;
``docs/latency.md`` shows each moment and stage on a picture.

There is one mechanism for stages (:mod:`.split`). A silence is a list of steps in the order in
which each *waits* for the one before (:mod:`.steps`); a cursor that only moves forward walks it
once. Whatever happened ahead of its place (a transcript that was final before the VAD was sure, a
language model that was asked before the turn was over) finds the cursor past it and gets nothing,
so no stage is negative, nothing is counted twice, and the stages sum to the whole exactly."""

from .answers import answered_question, question_of
from .gaps import gaps_of, starved
from .hangup import Departure, hung_up_by
from .interruptions import cut_in_us, interrupted_by, overlap_of
from .measure import Latency, exceeded, lengths, measure, so_far
from .pickup import Arrival, Pickup, Setup, arrived, clocks_apart, pickup_of, pickup_so_far
from .playout import Late, Playout, Wait, join_short_waits
from .sides import AgentSide, ModelCall, ToolRun, UserSide, VoiceCall
from .silences import (
    first_sound_after,
    latency_of,
    later_answer,
    silence_ended_by,
    silences_ended_by,
    waiting_so_far,
)
from .split import UNATTRIBUTED, Stage, totals
from .statistics import median, percentile, summarize
from .timeline import Part, Question, Segment, Speech, Timeline
from .unanswered import Asked, End, Replied, Unanswered, replied, unanswered

__all__ = [
    "UNATTRIBUTED",
    "AgentSide",
    "Arrival",
    "Asked",
    "Departure",
    "End",
    "Late",
    "Latency",
    "ModelCall",
    "Part",
    "Pickup",
    "Playout",
    "Question",
    "Replied",
    "Segment",
    "Setup",
    "Speech",
    "Stage",
    "Timeline",
    "ToolRun",
    "Unanswered",
    "UserSide",
    "VoiceCall",
    "Wait",
    "answered_question",
    "arrived",
    "clocks_apart",
    "cut_in_us",
    "exceeded",
    "first_sound_after",
    "gaps_of",
    "hung_up_by",
    "interrupted_by",
    "join_short_waits",
    "latency_of",
    "later_answer",
    "lengths",
    "measure",
    "median",
    "overlap_of",
    "percentile",
    "pickup_of",
    "pickup_so_far",
    "question_of",
    "replied",
    "silence_ended_by",
    "silences_ended_by",
    "so_far",
    "starved",
    "summarize",
    "totals",
    "unanswered",
    "waiting_so_far",
]
