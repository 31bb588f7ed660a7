"""Everything that the page says and draws, worked out once from the spans of one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ...stored.span import StoredSpan
from ..model import stagenames
from ..model.calltree import build
from ..model.pickup import pickup_of
from ..model.silences import silences
from ..model.summarize import summarize
from .conversation import anchors, conversation
from .curves import agent_curve, user_curve

SHADES = 3


class View:
    """One call. Times are microseconds from its beginning.

    Args:
        spans: All spans of the call.
        now_us: The present, in microseconds since the Unix epoch.
        alive: Whether the process that records the call still runs, if that is known.
    """

    def __init__(
        self, spans: Sequence[StoredSpan], now_us: int | None = None, alive: bool | None = None
    ) -> None:
        self.call = build(spans)
        self.silences = silences(self.call)
        self.summary = summarize(self.call, now_us, alive)
        self.conversation = conversation(self.call, self.silences)
        self.anchors = anchors(self.call)
        self.user, self.agent = user_curve(self.call), agent_curve(self.call)
        self.pickup = pickup_of(self.call)
        more = [stage.name for stage in self.pickup.stages] if self.pickup is not None else []
        self.styles = stage_styles(list(dict.fromkeys([*self.silences.stage_names, *more])))
        ended = sum(span.finished_us is not None for span in spans)
        self.progress = f"{len(spans)}.{ended}"
        """Another one when a span has begun or ended."""
        zero = self.call.started_us
        self.ends_us = max(
            [
                1,
                self.call.last_us - zero,
                *(run.ends_us for run in (*self.user, *self.agent)),
                *(silence.ends_us - zero for silence in self.silences.all),
            ]
        )


def stage_styles(stage_names: Sequence[str]) -> dict[str, str]:
    """A colour for each stage: that of who is at work, in up to three shades."""
    counts: dict[str, int] = defaultdict(int)
    styles = {}
    for name in stage_names:
        family = stagenames.family(name)
        styles[name] = f"{family}-{counts[family] % SHADES}"
        counts[family] += 1
    return styles
