"""Plot a few points a curve in text: a letter a curve, dots along what was fitted.

Letters tell curves apart without colour and on any terminal; where points of several curves fall
on one place, their letters stand beside each other from there on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from perfkit.report.figures import figure

WIDE_SPAN = 8.0
"""From this largest / smallest on an axis is logarithmic, unless something on it is 0."""
DECADES = 2.5
"""From so many powers of ten on, a logarithmic axis has a tick at each of them only."""
MOST_TICKS = 5
STEPS = (1, 2, 5)
DOT = "·"


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one curve, and the curve that was fitted to them."""

    letter: str
    style: str
    points: Mapping[float, float]
    curve: Callable[[float], float | None]


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from its lowest to its highest value."""

    low: float
    high: float
    logarithmic: bool

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 to 1 on the axis."""
        if self.high <= self.low:
            return 0.5
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        """Return the value that lies there."""
        if self.logarithmic:
            return self.low * math.pow(self.high / self.low, share)
        return self.low + (self.high - self.low) * share


def scale(values: Sequence[float], *, from_zero: bool = False) -> Scale:
    """Return the axis that all values fit on; a linear one may begin at zero."""
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low >= WIDE_SPAN
    return Scale(0.0 if from_zero and not logarithmic else low, high, logarithmic)


def ticks(axis: Scale) -> list[float]:
    """Return round values on an axis: powers of ten, or their halves and fifths between."""
    if axis.high <= axis.low:
        return [axis.low]
    if axis.logarithmic:
        wide = math.log10(axis.high / axis.low) >= DECADES
        steps = (1,) if wide else STEPS
        powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
        found = [step * 10.0**power for power in powers for step in steps]
    else:
        rough = (axis.high - axis.low) / (MOST_TICKS - 1)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in (*STEPS, 10) if step * power >= rough)
        first = math.ceil(axis.low / step)
        found = [step * number for number in range(first, first + MOST_TICKS + 1)]
    return [tick for tick in found if axis.low <= tick <= axis.high]


def plot(
    series: Sequence[Series], columns: Mapping[float, str], width: int, height: int, unit: str = ""
) -> Text:
    """Draw the points over their columns, `height` lines high and no wider than `width`."""
    heights = [value for one in series for value in one.points.values()]
    across, up = scale(list(columns)), scale(heights, from_zero=True)
    labels = {height - 1 - round(up.share(tick) * (height - 1)): tick for tick in ticks(up)}
    texts = {line: f"{rounded(tick)}{unit}" for line, tick in labels.items()}
    left = max(map(cell_len, texts.values()), default=0)
    room = max(1, width - left - 2 - len(series))
    cells: dict[tuple[int, int], Text] = {}

    def place(x: float, y: float) -> tuple[int, int]:
        line = height - 1 - round(up.share(y) * (height - 1))
        return line, round(across.share(x) * (room - 1))

    for one in series:
        for column in range(room):
            x = across.value(column / max(1, room - 1))
            y = one.curve(x)
            if y is not None and y > 0 and 0 <= up.share(y) <= 1:
                line, _ = place(x, y)
                cells.setdefault((line, column), Text(DOT, f"dim {one.style}"))
    taken: set[tuple[int, int]] = set()
    for one in series:
        for x, y in one.points.items():
            line, column = place(x, y)
            while (line, column) in taken:
                column += 1
            taken.add((line, column))
            cells[line, column] = Text(one.letter, f"bold {one.style}")
    lines = []
    for line in range(height):
        drawn = Text(f"{texts.get(line, ''):>{left}}  ", "dim")
        for column in range(room + len(series)):
            drawn.append_text(cells.get((line, column), Text(" ")))
        drawn.rstrip()
        lines.append(drawn)
    return Text("\n").join([*lines, _below(columns, across, left + 2, room, width)])


def rounded(value: float) -> str:
    """Write a round value as a tick: `0.05`, `1,000`."""
    return figure(value, max(0, -math.floor(math.log10(value)))) if value else "0"


def _below(columns: Mapping[float, str], across: Scale, left: int, room: int, width: int) -> Text:
    """Write the values below their columns, as many as have room; the last one always."""
    places = {
        min(left + round(across.share(x) * (room - 1)), width - cell_len(label)): label
        for x, label in columns.items()
    }
    text, last = "", max(places)
    for place, label in places.items():
        free = not text or place > cell_len(text)
        if free and (place == last or place + cell_len(label) < last):
            text = f"{text:<{place}}{label}"
    return Text(text, "dim")
