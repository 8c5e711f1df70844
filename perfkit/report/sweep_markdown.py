"""Draw a sweep as GitHub Markdown: the same words and figures as on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.report.markdown import bullet, escape, table
from perfkit.report.sweep_words import Grid, compose
from perfkit.sweep import SCHEMA, Sweep


def render(sweep: Sweep) -> str:
    """Return the report as Markdown; its first line says which schema it was drawn from."""
    report = compose(sweep)
    blocks = [
        f"<!-- {SCHEMA} -->\n# {escape(report.title)}",
        *(f"**{escape(notice)}**" for notice in report.notices),
        escape(" · ".join(report.facts)),
        *(_grid(grid, report.columns) for grid in (report.times, report.counts) if grid),
        "\n".join(bullet(line) for line in (*report.lines, *report.checks)),
        escape(" · ".join(report.machine)),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _grid(grid: Grid, columns: Sequence[str]) -> str:
    heads = [escape(head) for head in (grid.title, *columns, grid.end)]
    rows = (
        [
            escape(f"{row.mark.sign} {row.label}"),
            *(escape(cell.strip()) for cell in row.cells),
            escape(row.end),
        ]
        for row in grid.rows
    )
    return table(heads, f"l{'r' * len(columns)}l", rows)
