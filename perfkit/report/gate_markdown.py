"""Draw a gate as GitHub Markdown, for a job's summary or a file: the words of the terminal."""

from __future__ import annotations

from perfkit.outcome import SCHEMA, Gate
from perfkit.report.gate_words import MARKS, Block, Checked, compose, last_line
from perfkit.report.markdown import escape, table
from perfkit.verdict import Word

MARK = f"<!-- {SCHEMA} -->"
"""How a Markdown report of a gate begins."""


def render(gate: Gate) -> str:
    """Return the gate as Markdown; its first line says which schema it was drawn from."""
    report = compose(gate)
    blocks = [
        f"{MARK}\n# {escape(f'{MARKS[report.verdict]}: {report.title}')}",
        *([f"**{escape(report.partial)}**"] if report.partial else []),
        escape(" · ".join((*report.facts, *report.tally))),
        *(text for block in report.blocks for text in _story(block)),
        *(escape(notice) for notice in report.notices),
        escape(" · ".join(report.machine)),
        last_line(gate),
    ]
    return "\n\n".join(blocks) + "\n"


def _story(block: Block) -> list[str]:
    texts = [f"## {escape(f'{block.mark}: {block.name}')}"]
    if block.title:
        texts.append(escape(block.title))
    if block.checks:
        texts.append(table(["", "check", "figures"], "lll", map(_row, block.checks)))
    if block.advice:
        texts.append("\n".join(f"- {escape(one.text)}" for one in block.advice))
    return texts


def _row(one: Checked) -> tuple[str, ...]:
    check = escape(one.check)
    return (
        escape(str(one.mark)),
        check if one.verdict is Word.PASS else f"**{check}**",
        escape(" · ".join(one.facts)),
    )
