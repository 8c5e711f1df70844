"""Draw how each solver's cost grows, from the recorded points and from nothing else.

python benchmarks/missing_number_plot.py     # writes docs/images/missing-number-growth.svg
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from perfkit.units import Unit, show

HERE = Path(__file__).parent
RECORDED = HERE / "recorded" / "missing_number.json"
PICTURE = HERE.parent / "docs" / "images" / "missing-number-growth.svg"
SETTINGS: Any = {
    # The same points make the same file, and text stays text.
    "svg.hashsalt": "perfkit",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
LEADER = {"arrowstyle": "-", "linewidth": 0.6, "linestyle": ":", "relpos": (0.0, 0.5)}
"""The line from a name to its last point."""
LINE_HEIGHT = 0.05
"""Of a label, as a share of the panel's height."""

Points = Sequence[Mapping[str, Any]]


class Look(NamedTuple):
    """How a line is told from the others, also without colour."""

    colour: str
    marker: str
    line: str


# The palette of Okabe and Ito, 2008, in which no two colours look alike to anybody.
BLUE, GREEN, ORANGE, RED, PINK, BLACK = (
    "#0072B2",
    "#009E73",
    "#E69F00",
    "#D55E00",
    "#CC79A7",
    "#000000",
)
LOOKS = {
    "sum": Look(BLUE, "o", ":"),
    "xor": Look(BLUE, "x", "--"),
    "invariants": Look(BLUE, "s", "-"),
    "power sums, k = 8": Look(PINK, "v", "-"),
    "power sums, k = 64": Look(PINK, "D", "--"),
    "cells": Look(GREEN, "P", "-"),
    "bucket counts": Look(GREEN, "^", "--"),
    "bitmap": Look(ORANGE, "h", "-"),
    "np.sort": Look(RED, "<", "-"),
    "sorted()": Look(RED, "p", "--"),
    "sort -n | awk": Look(BLACK, "*", "-"),
}
SECONDS: Mapping[float, str] = {
    1e-5: "10 µs",
    1e-4: "0.1 ms",
    1e-3: "1 ms",
    1e-2: "10 ms",
    1e-1: "0.1 s",
    1: "1 s",
    10: "10 s",
    100: "100 s",
}
BYTES: Mapping[float, str] = {
    2**exponent: show(2**exponent, Unit.BYTES) for exponent in (4, 10, 15, 20, 25, 30, 35)
}


def draw(points: Points) -> Figure:
    """Return both panels."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=(7.5, 8.4), facecolor="white", layout="constrained")
        seconds, memory = figure.subplots(2, 1)
        _panel(seconds, points, "cpu", "seconds of processor time", SECONDS)
        _panel(memory, points, "memory", "memory", BYTES)
        memory.set_xlabel("numbers in the file")
    return figure


def _panel(axes: Axes, points: Points, value: str, title: str, names: Mapping[float, str]) -> None:
    """Draw one line a solver against the numbers, with its name beside its last point."""
    # A process may be gone before anybody has seen its memory.
    points = [point for point in points if point[value]]
    lines = {name: [point for point in points if point["name"] == name] for name in LOOKS}
    lines = {name: line for name, line in lines.items() if line}
    values = [point[value] for point in points]
    low, high = min(values) / 2, max(values) * 2
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_title(title, loc="left", fontsize=10)
    numbers = sorted({point["numbers"] for point in points})
    axes.xaxis.set_major_locator(FixedLocator(numbers))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: _power(number)))
    axes.yaxis.set_major_locator(FixedLocator([at for at in names if low <= at <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: names[at]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.grid(color="#dddddd", linewidth=0.6)
    ends = {
        name: math.log(line[-1][value] / low) / math.log(high / low) for name, line in lines.items()
    }
    for (name, line), height in zip(lines.items(), spread(list(ends.values())), strict=True):
        look = LOOKS[name]
        along, up = [point["numbers"] for point in line], [point[value] for point in line]
        axes.plot(
            along, up, color=look.colour, marker=look.marker, linestyle=look.line, markersize=4
        )
        axes.annotate(
            name,
            (along[-1], up[-1]),
            (1.04, height),
            textcoords="axes fraction",
            color=look.colour,
            verticalalignment="center",
            arrowprops=LEADER | {"color": look.colour},
        )


def spread(heights: Sequence[float]) -> list[float]:
    """Move labels up and down as little as it takes to have none on another, in their order."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    below = -math.inf
    for index in order:
        below = moved[index] = max(moved[index], below + LINE_HEIGHT)
    above = math.inf
    for index in reversed(order):
        above = moved[index] = min(moved[index], 1.0, above - LINE_HEIGHT)
    return moved


def _power(number: float) -> str:
    """Write a power of two: `2¹⁶`."""
    return "2" + str(round(math.log2(number))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def write(points: Points, path: Path) -> None:
    """Write the picture as SVG, without a date."""
    with rc_context(SETTINGS):
        draw(points).savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    """Draw the recorded points again."""
    write(json.loads(RECORDED.read_bytes())["growth"]["points"], PICTURE)


if __name__ == "__main__":
    main()
