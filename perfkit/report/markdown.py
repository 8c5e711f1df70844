"""Draw a result as GitHub Markdown: the same words and figures as on the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from perfkit.report.words import Counts, Line, Step, Timed, Times, compose
from perfkit.result import SCHEMA, Result

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"([&<>\\`*_\[\]|~#])")


def render(result: Result) -> str:
    """Return the report as Markdown; its first line says which schema it was drawn from."""
    report = compose(result)
    tables = [_times(report.times)] if report.times else []
    blocks = [
        f"<!-- {SCHEMA} -->\n# {escape(report.title)}",
        *(f"**{escape(notice)}**" for notice in report.notices),
        escape(" · ".join(report.facts)),
        *tables,
        _work(report.work),
        "\n".join(bullet(line) for line in (*report.told, *report.checks, *report.not_run)),
        escape(" · ".join(report.machine)),
        "\n".join(_step(step) for step in report.steps),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def escape(text: str) -> str:
    """Make a text stand for itself: neither HTML nor a table's border nor any markup."""
    return _SPECIAL.sub(lambda match: _ENTITIES.get(match[1], f"\\{match[1]}"), text)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(heads: Sequence[str], sides: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table; `sides` has a letter a column: l for left, r for right."""
    rule = [{"l": ":--", "r": "--:"}[side] for side in sides]
    return "\n".join([_row(heads), _row(rule), *(_row(row) for row in rows)])


def _times(times: Times) -> str:
    unit = escape(times.unit)
    heads, sides = ["", "", unit, f"CPU {unit}"], "llrr"
    if times.compared:
        heads, sides = [*heads, "speed-up", "95% interval", ""], f"{sides}rrl"
    return table(heads, sides, (map(escape, _timed(row)[: len(heads)]) for row in times.rows))


def _timed(row: Timed) -> tuple[str, ...]:
    figures = (row.time.strip(), row.cpu.strip(), row.speed_up, row.interval, row.word)
    return (str(row.mark), row.label, *figures)


def _work(work: Counts) -> str:
    heads = [
        f"▸ **{escape(counter.words)}**" if counter.cause else escape(counter.words)
        for counter in work.counters
    ]
    return table(
        ["work done", *heads, ""],
        f"l{'r' * len(heads)}l",
        (
            (
                escape(f"{row.mark.sign} {row.label}"),
                *(escape(count.text) for count in row.counts),
                escape(row.divided),
            )
            for row in work.rows
        ),
    )


def bullet(line: Line) -> str:
    """Return a marked sentence as an item of a list."""
    strong = f"**{escape(line.strong)}**" if line.strong else ""
    why = f" *{escape(line.why)}*" if line.why else ""
    return f"- {escape(str(line.mark))}: {escape(line.before)}{strong}{escape(line.after)}{why}"


def _step(step: Step) -> str:
    # A code span shows everything as it is, except for what would end it.
    return f"- `{step.command.replace('`', chr(39))}`: {escape(step.text)}"
