"""Draw a sweep on a terminal: a line a variant, a column a value, and a plot of letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from perfkit.report.figures import TIMES, time_unit
from perfkit.report.plot import Series, plot
from perfkit.report.sweep_words import Grid, Report, Row, compose, fitted, letter, mark, plotted
from perfkit.report.terminal import COLORS, GAP, head, next_steps, page, sentences
from perfkit.report.words import Line
from perfkit.sweep import Sweep

LABEL = 16
"""A table is broken in two before a label gets less than this."""
LINES = 12
"""The height of a plot."""


def render(sweep: Sweep, width: int) -> RenderableType:
    """Return the whole report, drawn for so many columns."""
    report, inner = compose(sweep), width - 2
    blocks: list[RenderableType] = [*_notices(report), head(report.title, report.facts, inner)]
    for grid in filter(None, (report.times, report.counts)):
        blocks += [*_tables(grid, report.columns, inner), ""]
    if any(len(plotted(sweep, curve)) > 1 for curve in sweep.curves):
        blocks += [*_plot(sweep, report, inner), ""]
    blocks.append(sentences(report.lines))
    if report.checks:
        blocks += ["", sentences(report.checks)]
    if report.steps:
        blocks += ["", next_steps(report.steps, inner)]
    return page(width, *blocks)


def render_short(sweep: Sweep, width: int) -> RenderableType:
    """Return the sentences alone: one for each variant."""
    report = compose(sweep)
    bare = [Line(line.mark, line.before, line.strong, line.after) for line in report.lines]
    return page(width, *_notices(report), sentences(bare))


def _notices(report: Report) -> list[RenderableType]:
    return [Text(notice, "bold yellow") for notice in report.notices]


def _tables(grid: Grid, columns: Sequence[str], width: int) -> Iterator[Table]:
    """Yield the table, in as many parts below each other as its columns need."""
    widths = [
        max(cell_len(head), *(cell_len(row.cells[place]) for row in grid.rows))
        for place, head in enumerate(columns)
    ]
    end = max(cell_len(grid.end), *(cell_len(row.end) for row in grid.rows))
    longest = max(cell_len(grid.title), *(cell_len(_name(row)) for row in grid.rows))
    room = width - end - GAP - min(longest, LABEL)
    parts: list[list[int]] = [[]]
    for place in range(len(columns)):
        if parts[-1] and sum(widths[other] + GAP for other in (*parts[-1], place)) > room:
            parts.append([])
        parts[-1].append(place)
    for part in parts:
        label = width - end - GAP - sum(widths[place] + GAP for place in part)
        yield _table(grid, columns, part, [min(longest, label), *(widths[p] for p in part), end])


def _table(grid: Grid, columns: Sequence[str], part: Sequence[int], widths: Sequence[int]) -> Table:
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for place, width in enumerate(widths):
        table.add_column(
            width=width,
            justify="right" if 0 < place < len(widths) - 1 else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    heads = (columns[place] for place in part)
    table.add_row(*(Text(head, "dim") for head in (grid.title, *heads, grid.end)))
    for row in grid.rows:
        color = COLORS[row.mark.tone]
        name = Text(_name(row), "dim")
        name.stylize(f"not dim {color}", 0, len(f"{row.letter} {row.mark.sign}"))
        table.add_row(name, *(Text(row.cells[place]) for place in part), Text(row.end, color))
    return table


def _name(row: Row) -> str:
    return f"{row.letter} {row.mark.sign} {row.label}"


def _plot(sweep: Sweep, report: Report, width: int) -> Iterator[Text]:
    """Yield the plot of times, or of speed-ups where workers share the work, with its heading."""
    points = [plotted(sweep, curve) for curve in sweep.curves]
    heights = [y for one in points for y in one.values()]
    factor, unit = (1.0, TIMES) if sweep.workers else time_unit(heights)
    series = [
        Series(
            letter=letter(sweep, curve),
            style=COLORS[mark(sweep, curve).tone],
            points={x: y / factor for x, y in one.items()},
            curve=partial(_scaled, partial(fitted, sweep, curve), factor),
        )
        for curve, one in zip(sweep.curves, points, strict=True)
    ]
    yield Text(report.plot, "dim")
    columns = dict(zip(sweep.values, report.columns, strict=True))
    yield plot(series, columns, width, LINES, TIMES if sweep.workers else f" {unit}")


def _scaled(curve: Callable[[float], float | None], factor: float, x: float) -> float | None:
    y = curve(x)
    return None if y is None else y / factor
