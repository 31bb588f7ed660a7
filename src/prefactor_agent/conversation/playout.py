"""When each sample of streamed audio was played."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Late = tuple[int, int]
"""A frame that came later, against its place in the audio, than every frame before it: that place,
and the arrival less it, in nanoseconds."""
Wait = tuple[int, int]
"""When a player had nothing to play, and for how long, in nanoseconds."""


class Playout:
    """The playing of audio that comes in frames.

    A player that has begun plays on until it has nothing left, waits for the next frame, and plays
    on from there: audio never plays before it came, and every wait delays all that follows. So all
    that has to be known of how the audio came is the frames that were later, against their place
    in the audio, than every frame before them.

    Args:
        started: When playback started, in nanoseconds.
        late: These frames, in the order of their places.
    """

    def __init__(self, started: int, late: Sequence[Late]) -> None:
        self._started = started
        # The first frame is what playback started with, however long it waited for its turn.
        self._late = [pair for pair in late if pair[0] > 0 and pair[1] > started]

    def moment(self, position: int) -> int:
        """When the sample at this place in the audio (in nanoseconds) was played."""
        shift = self._started
        for place, latest in self._late:
            if place > position:
                break
            shift = max(shift, latest)
        return position + shift

    def position(self, moment: int) -> int:
        """How much was played by a moment, if there was as much."""
        shift = self._started
        for place, latest in self._late:
            if place >= moment - shift:
                break
            shift = max(shift, latest)
            if place >= moment - shift:
                return place  # it waits there
        return max(0, moment - shift)

    def gaps(self, until: int | None = None) -> list[Wait]:
        """The waits of a player that had nothing to play.

        Args:
            until: The place in the audio, in nanoseconds, up to which it was played; ``None``: all.
        """
        gaps = []
        shift = self._started
        for place, latest in self._late:
            if until is not None and place >= until:
                break
            if latest > shift:
                gaps.append((place + shift, latest - shift))
                shift = latest
        return gaps


def join_short_waits(waits: Iterable[Wait], least: int, most: int) -> list[Wait]:
    """The same waits in a shorter list: a short one is added to the next, so that what was played
    in between seems to have been played by so much too early, and nothing after it.

    Args:
        least: A wait that is shorter than this, in nanoseconds, is a short one.
        most: The length of the list at most: ``least`` is doubled until it is kept.
    """
    waits = list(waits)
    while True:
        joined = []
        owed = 0
        for at, lasted in waits:
            owed += lasted
            if owed >= least:
                joined.append((at + lasted - owed, owed))
                owed = 0
        if len(joined) <= most:
            return joined
        least *= 2
