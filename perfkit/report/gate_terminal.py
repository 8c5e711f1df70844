"""Draw a gate on a terminal: a block a scenario, a line a check, and the verdict last.

The last line is bare and always the same words, for whoever reads it with a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perfkit.outcome import Gate
from perfkit.report.gate_words import Advice, Block, Checked, Report, compose, last_line
from perfkit.report.terminal import GAP, filled, head, marked, page
from perfkit.verdict import Word

INDENT = 2
"""How far checks stand below their scenario."""


def render(gate: Gate, width: int) -> RenderableType:
    """Return every scenario with its checks, what to do, and the verdict."""
    report, inner = compose(gate), width - 2
    left = _left(report)
    blocks = [*_partial(report), head(report.title, report.facts, inner)]
    for block in report.blocks:
        blocks += [_story(block, block.checks, left, inner), _advice(block.advice, left), ""]
    blocks += [Text(notice, "yellow") for notice in report.notices]
    blocks += [Text(line) for line in filled(report.tally, inner)]
    blocks += [Text(line, "dim") for line in filled(report.machine, inner)]
    return Group(page(width, *blocks), Text(last_line(gate)))


def render_short(gate: Gate, width: int) -> RenderableType:
    """Return the scenarios and checks that did not pass, and the verdict."""
    report, inner = compose(gate), width - 2
    left, blocks = _left(report), _partial(report)
    for block in report.blocks:
        if block.verdict is not Word.PASS:
            rest = [one for one in block.checks if one.verdict is not Word.PASS]
            blocks.append(_story(block, rest, left, inner))
            if not rest:
                blocks.append(_advice(block.advice, left))
    return Group(*([page(width, *blocks)] if blocks else []), Text(last_line(gate)))


def _partial(report: Report) -> list[RenderableType]:
    return [Text(report.partial, "bold yellow")] if report.partial else []


def _left(report: Report) -> int:
    """Return the width of the column of marks that all blocks share."""
    marks = [(block.mark, 0) for block in report.blocks]
    marks += [(one.mark, INDENT) for block in report.blocks for one in block.checks]
    return max((indent + cell_len(str(mark)) for mark, indent in marks), default=0)


def _story(block: Block, checks: Iterable[Checked], left: int, width: int) -> Table:
    """Return a scenario's line, and one for each check: on two or more where it is too long."""
    table = _columns(left)
    heading = Text(block.name, "bold")
    if block.title:
        heading.append(f" · {block.title}", "not bold")
    table.add_row(marked(block.mark, "bold"), heading)
    for one in checks:
        weight = "" if one.verdict is Word.PASS else "bold"
        sign = Padding(marked(one.mark, weight), (0, 0, 0, INDENT))
        table.add_row(sign, Text("\n").join(_check(one, width - left - 2 * GAP)))
    return table


def _check(one: Checked, room: int) -> Iterator[Text]:
    passed = one.verdict is Word.PASS
    first, facts = Text(one.check, "" if passed else "bold"), " · ".join(one.facts)
    if facts and cell_len(one.check) + cell_len(facts) + GAP <= room:
        yield Text.assemble(first, " " * GAP, (facts, "dim" if passed else ""))
        return
    yield first
    for line in filled(one.facts, room):
        yield Text(line, "dim" if passed else "")


def _advice(advice: Iterable[Advice], left: int) -> Table:
    table = _columns(left)
    for one in advice:
        if one.why:
            table.add_row(Text(f"{'why':>{left}}", "dim"), Text(one.why))
        table.add_row(Text(f"{'fix':>{left}}", "dim"), Text(one.fix, "bold"))
    return table


def _columns(left: int) -> Table:
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True, width=left)
    table.add_column(overflow="fold")
    return table
