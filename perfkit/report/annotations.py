"""Say what a gate found where a pull request shows it, as GitHub's workflow commands.

A command is a line `::error file=...,title=...::message` on stdout. Source: GitHub, "Workflow
commands for GitHub Actions"; the escapes are those of `escapeData` and `escapeProperty` in
actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

from collections.abc import Iterator

from perfkit.outcome import Gate
from perfkit.report.gate_words import MARKS, Block, compose
from perfkit.verdict import Word

WARNINGS = (Word.INCONCLUSIVE, Word.UNFIT)
"""Verdicts that say nothing about the code; the other ones are errors."""
_ESCAPES = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTIES = _ESCAPES | str.maketrans({":": "%3A", ",": "%2C"})


def render(gate: Gate) -> str:
    """Return a command a line for whatever did not pass, errors first; nothing for a pass.

    GitHub shows ten errors and ten warnings of a step and drops the rest.
    """
    report = compose(gate)
    found = [pair for block in report.blocks for pair in _found(block)]
    if not report.blocks:
        notice = " ".join(report.notices)
        found = [(Word.NOTHING, command("error", {"title": f"perfkit: {Word.NOTHING}"}, notice))]
    found.sort(key=lambda pair: pair[0] in WARNINGS)
    return "".join(f"{line}\n" for _, line in found)


def command(name: str, properties: dict[str, str], message: str) -> str:
    """Return one workflow command; properties without a value are left out."""
    given = ",".join(
        f"{key}={value.translate(_IN_PROPERTIES)}" for key, value in properties.items() if value
    )
    return f"::{name} {given}::{message.translate(_ESCAPES)}"


def _found(block: Block) -> Iterator[tuple[Word, str]]:
    for one in block.checks:
        if one.verdict is not Word.PASS:
            yield one.verdict, _command(block, one.verdict, one.check, *one.texts)
    if block.stopped:
        yield block.verdict, _command(block, block.verdict, block.title, block.stopped.text)


def _command(block: Block, verdict: Word, *texts: str) -> str:
    title = f"{block.name}: {MARKS[verdict].words}"
    return command(
        "warning" if verdict in WARNINGS else "error",
        {"file": block.file, "title": title},
        "\n".join(text for text in texts if text),
    )
