"""The tables of `gate_false_alarms`, drawn from its recorded lines and from nothing else."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from goal import compare
from same_code import exact_interval

Line = dict[str, Any]
"""A head, or one comparison: trial, tool, kind, verdicts, seconds, load, figures."""


class Rule(NamedTuple):
    """One row: the tool, its rule as the lines name it, what was typed, how it was told."""

    tool: str
    name: str
    typed: str
    told: str


RULES = (
    Rule("perfkit", "gate", "`time < 5%`", "exit code"),
    Rule("pytest-benchmark", "mean", "`--benchmark-compare-fail=mean:5%`", "exit code"),
    Rule("pytest-benchmark", "min", "`--benchmark-compare-fail=min:5%`", "exit code"),
    Rule("pyperf", "compare_to", "`compare_to --min-speed=5`", '"slower" in its output'),
    Rule("pyperf", "benchstat", "benchstat's rule", "re-implemented, on pyperf's values"),
    Rule("hyperfine", "ratio", "ratio > 1.05", "rule applied to its own JSON"),
    Rule("hyperfine", "ratio - sd", "ratio - sd > 1.05", "rule applied to its own JSON"),
    Rule("asv", "compare", "`compare --factor 1.05`", '"+" in its output'),
)


class Column(NamedTuple):
    """One column: which change, at which limit, and perfkit's goal for the share of red."""

    title: str
    kind: str
    limit: str
    at_most: float | None = None
    at_least: float | None = None


COLUMNS = (
    Column("same code", "same", "5", at_most=0.01),
    Column("+10 %", "ten", "5", at_least=0.75),
    Column("+25 %", "quarter", "5", at_least=0.90),
    Column("+10 % at 10 %", "ten", "10", at_most=0.05),
)
NO_VERDICT = ("inconclusive", "unfit")


def read(path: Path) -> list[Line]:
    """Read the recorded lines, compressed or not."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines()]


def draw(lines: Sequence[Line]) -> str:
    """Draw the tables and what goes with them, as Markdown."""
    heads = [line["head"] for line in lines if "head" in line]
    done = [line for line in lines if "verdicts" in line]
    parts = [
        *([_circumstances(heads, done)] if heads and done else []),
        _times(done),
        "\n".join(f"- {each}" for each in _notes(done)),
        _counters(done),
    ]
    broken = Counter(line["tool"] for line in lines if "error" in line)
    parts += [f"**{tool} failed in {number} of its turns.**" for tool, number in broken.items()]
    if heads:
        parts.append("\n".join(f"- {name}: {why}." for name, why in heads[-1]["open"].items()))
    return "\n\n".join(part for part in parts if part) + "\n"


def _circumstances(heads: Sequence[dict[str, Any]], done: Sequence[Line]) -> str:
    """Say where and how; a run that went on later was made of several commands."""
    head, commands = heads[-1], "\n".join(f"    {each['command']}" for each in heads)
    loads = sorted(line["load"] for line in done)
    tools = ", ".join(f"{name} {text}" for name, text in head["tools"].items())
    trials = len({line["trial"] for line in done})
    return (
        f"{trials} trials on {head['machine']}, {head['started'][:10]};"
        f" load average {loads[0]:.1f} to {loads[-1]:.1f}, half of the time at most"
        f" {median(loads):.1f}. {tools}.\n\n{commands}"
    )


def _verdicts(done: Sequence[Line], rule: Rule, kind: str, limit: str) -> Counter[str]:
    return Counter(
        line["verdicts"][rule.name][limit]
        for line in done
        if line["tool"] == rule.tool
        and line["kind"] == kind
        and limit in line["verdicts"].get(rule.name, {})
    )


def _times(done: Sequence[Line]) -> str:
    rows = [
        ["gate", "how it tells", *(f"{column.title}: red" for column in COLUMNS), "takes"],
        ["---", "---", *["---:"] * (len(COLUMNS) + 1)],
    ]
    for rule in RULES:
        mine = [
            line for line in done if line["tool"] == rule.tool and rule.name in line["verdicts"]
        ]
        if mine:
            cells = [_share(_verdicts(done, rule, each.kind, each.limit)) for each in COLUMNS]
            takes = f"{median(line['seconds'] for line in mine):.0f} s"
            rows.append([f"{rule.tool} {rule.typed}", rule.told, *cells, takes])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) if len(rows) > 2 else ""


def _share(verdicts: Counter[str]) -> str:
    """Write `3 of 200, 1.5 % (0.3 to 4.3)`."""
    red, number = verdicts["red"], verdicts.total()
    if not number:
        return "-"
    low, high = exact_interval(red, number)
    return f"{red} of {number}, {red / number:.1%} ({low * 100:.1f} to {high * 100:.1f})"


def _notes(done: Sequence[Line]) -> Iterator[str]:
    """Yield how perfkit did against its goals, and what else the shares do not say."""
    ours = RULES[0]
    for column in COLUMNS:
        verdicts = _verdicts(done, ours, column.kind, column.limit)
        number = verdicts.total()
        if not number:
            continue
        low, high = exact_interval(verdicts["red"], number)
        if column.at_most is not None:
            goal = f"at most {column.at_most:.0%}: {compare(low, high, column.at_most)}"
        else:
            least = column.at_least or 0.0
            goal = f"at least {least:.0%}: {compare(1 - high, 1 - low, 1 - least)}"
        none = ", ".join(f"{verdicts[word]} {word}" for word in NO_VERDICT if verdicts[word])
        rest = f"; without a verdict: {none}" if none else ""
        yield f"perfkit, {column.title}: red {_share(verdicts)}; goal: {goal}{rest}"
    rounds = sorted(line["figures"]["rounds"] for line in done if "rounds" in line["figures"])
    if rounds:
        yield f"perfkit needed {rounds[0]} to {rounds[-1]} rounds, typically {median(rounds):.0f}"


def _counters(done: Sequence[Line]) -> str:
    rule = Rule("perfkit", "statements", "`statements <= 1x`", "exit code")
    rows = [["change", "verdicts on the busy machine", "said"], ["---"] * 3]
    for kind, title in (("same", "a comment"), ("planted", "one more statement")):
        verdicts = _verdicts(done, rule, kind, "0")
        said = {
            line["figures"]["said"]
            for line in done
            if line["kind"] == kind and rule.name in line["verdicts"]
        }
        if verdicts:
            each = ", ".join(f"{count} {word}" for word, count in verdicts.items())
            rows.append([title, each, "; ".join(sorted(said))])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"perfkit's counter check, {rule.typed}:\n\n{table}" if len(rows) > 2 else ""
