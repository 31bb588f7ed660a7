"""When each sample of streamed audio was played."""

from __future__ import annotations

from collections.abc import Sequence


class Playout:
    """The playing of audio that comes in frames.

    A player that has begun plays on until it has nothing left, waits for the next frame, and plays
    on from there: audio never plays before it came, and every wait delays all that follows. So all
    that has to be known of how the audio came is the frames that were later, against their place
    in the audio, than every frame before them.

    Args:
        started: When playback started, in nanoseconds.
        late: These frames, as pairs of the place in the audio and of the arrival less that place,
            both in nanoseconds.
    """

    def __init__(self, started: int, late: Sequence[tuple[int, int]]) -> None:
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

    def gaps(self, until: int | None = None) -> list[tuple[int, int]]:
        """The waits of a player that had nothing to play: when each began, and how long it was.

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
