"""Bars in a row of character cells, to scale."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..model.bars import Bar
from ..model.sounds import Sound
from .glyphs import Glyphs

CURVE_DB = 28
"""From the top of a loudness curve to its foot."""
_TICK_STEPS_US = [step * 10**power for power in range(2, 10) for step in (1, 2, 5)]


@dataclass(frozen=True, slots=True)
class Scale:
    """Which column a moment (microseconds since the Unix epoch) falls into."""

    begin_us: int
    end_us: int
    width: int

    def column(self, moment_us: int) -> int:
        span = max(self.end_us - self.begin_us, 1)
        return (moment_us - self.begin_us) * self.width // span

    def range(self, begin_us: int, end_us: int) -> range:
        """The columns of a stretch of time: what is on the axis has at least one."""
        first = self.column(begin_us)
        last = max(self.column(end_us), first + 1)
        return range(min(max(first, 0), self.width), min(max(last, 0), self.width))


def bar_cells(bar: Bar, scale: Scale, glyphs: Glyphs) -> list[str]:
    """A bar in a row of its own: a voice as its loudness, all else as what was waited for, and
    what streamed after that."""
    cells = [" "] * scale.width
    if bar.is_voice:
        draw_voice(cells, bar, scale, glyphs)
    else:
        _fill(cells, scale.range(bar.started_us, bar.ended_us), glyphs.flow)
        if bar.waiting is not None:
            _fill(cells, scale.range(*bar.waiting), glyphs.wait)
        if bar.mark_us is not None:
            marked = scale.column(bar.mark_us)
            # A mark must not hide the only cell of what was waited for.
            if bar.waiting and scale.column(bar.waiting[0]) == marked < scale.column(bar.ended_us):
                marked += 1
            _fill(cells, range(max(marked, 0), min(marked + 1, scale.width)), glyphs.mark)
    if bar.started_us < scale.begin_us and bar.ended_us > scale.begin_us:
        cells[0] = glyphs.more_left
    if bar.ended_us > scale.end_us or (bar.open and bar.ended_us >= scale.end_us):
        cells[-1] = glyphs.more_right
    return cells


def gap_cells(gap: tuple[int, int], label: str, scale: Scale, glyphs: Glyphs) -> list[str]:
    """``├╌╌ 1.42 s ╌╌┤``: a stretch of time with its length, if there is room for it."""
    cells = [" "] * scale.width
    columns = scale.range(*gap)
    _fill(cells, columns, glyphs.gap)
    if len(columns) >= 2:
        cells[columns[0]], cells[columns[-1]] = glyphs.gap_begin, glyphs.gap_end
        if len(columns) >= len(label) + 4:
            begin = columns[0] + (len(columns) - len(label) - 2) // 2
            cells[begin : begin + len(label) + 2] = f" {label} "
    return cells


def guided(cells: Sequence[str], columns: Sequence[int], glyph: str) -> list[str]:
    """Thin upright lines where nothing else is."""
    return [
        glyph if cell == " " and column in columns else cell for column, cell in enumerate(cells)
    ]


def axis(scale: Scale, zero_us: int) -> str:
    """The times along the axis, each standing where its moment is."""
    span = scale.end_us - scale.begin_us
    step = next((s for s in _TICK_STEPS_US if s * scale.width >= span * 9), _TICK_STEPS_US[-1])
    cells = [" "] * scale.width
    tick = -((zero_us - scale.begin_us) // step)
    free_from = 0
    while (at := scale.column(zero_us + tick * step)) < scale.width:
        label = _tick(tick * step, step)
        begin = max(at, 0)
        if begin >= free_from and begin + len(label) <= scale.width:
            cells[begin : begin + len(label)] = label
            free_from = begin + len(label) + 1
        tick += 1
    return "".join(cells)


def _tick(us: int, step: int) -> str:
    if us == 0:
        return "0"
    if step < 1_000:
        return f"{us / 1000:+.1f} ms"
    if step < 100_000:
        return f"{us // 1000:+d} ms"
    return f"{us / 1e6:+.1f} s" if step < 1_000_000 else f"{us // 1_000_000:+d} s"


def draw_voice(cells: list[str], bar: Bar, scale: Scale, glyphs: Glyphs) -> None:
    """A voice into a row that may have others in it."""
    if bar.sounds:
        _draw_sounds(cells, bar.sounds, scale, glyphs)
    else:
        _fill(cells, scale.range(bar.started_us, bar.ended_us), glyphs.speech)


def _draw_sounds(cells: list[str], sounds: Sequence[Sound], scale: Scale, glyphs: Glyphs) -> None:
    """A curve of loudness: each cell shows the mean level of what falls into it."""
    energy: dict[int, float] = defaultdict(float)
    times: dict[int, int] = defaultdict(int)
    for sound in sounds:
        length = max(sound.ended_us - sound.started_us, 1)
        for column in scale.range(sound.started_us, sound.ended_us):
            energy[column] += 10 ** (sound.dbfs / 10) * length
            times[column] += length
    levels = {column: 10 * math.log10(energy[column] / times[column]) for column in energy}
    top, steps = max(levels.values(), default=0.0), len(glyphs.loudness)
    for column, level in levels.items():
        step = steps - 1 - int((top - level) / CURVE_DB * steps)
        if step >= 0:
            cells[column] = glyphs.loudness[step]


def _fill(cells: list[str], columns: range, glyph: str) -> None:
    for column in columns:
        cells[column] = glyph
