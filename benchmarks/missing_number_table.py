"""Write what was recorded of missing numbers as the tables that the documentation shows.

python benchmarks/missing_number_table.py     # writes recorded/missing_number.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from missing_number_plot import RECORDED
from missing_number_rounds import CLOCKS, Goal, Rounds, Took, speed

from perfkit.result import Interval
from perfkit.units import Unit, show

TABLE = RECORDED.with_suffix(".md")
XOR_GOALS = (Goal("xor", "memory read", 0.75), Goal("invariants", "xor", 0.90))
COLD_GOALS = (Goal("invariants", "read()", 0.95, "wall"),)
TEXT_GOALS = (
    Goal("perfkit", "sort -n | awk", 50),
    Goal("perfkit", "polars read_csv", 2.5),
    Goal("perfkit", "polars scan_csv", 2.5),
    Goal("perfkit", "Python loop", 15),
)
PLACES = (
    (("binary", "written"), XOR_GOALS),
    (("cold",), COLD_GOALS),
    (("text", "mixed"), TEXT_GOALS),
)
"""Where in the record the rounds of some goals are."""

Record = Mapping[str, Any]


def render(record: Record) -> str:
    """Return the tables: how fast, against what, and how the cost grows."""
    return "\n".join([*_ratios(record), "", *_once(record), "", *_growth(record), ""])


def recorded_rounds(values: Record) -> Rounds:
    """Return the recorded turns of each contender."""
    return {name: [Took(*turn) for turn in turns] for name, turns in values["rounds"].items()}


def _ratios(record: Record) -> Iterator[str]:
    head = record["binary"]
    yield f"Measured on {head['machine']}, with {_tools(head['tools'])}. Ratios are of rounds in"
    yield "which both took their turn, with their 95 % intervals; more than 1 is faster."
    yield ""
    yield "| file | measured | against | by processor time | by wall time | goal |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for place, goals in PLACES:
        values: Any = record
        for key in place:
            values = values[key]
        found = recorded_rounds(values)
        for goal in goals:
            by = (_interval(speed(found, goal.ours, goal.theirs, clock)) for clock in CLOCKS)
            what = f"{place[0]}, {show(values['bytes'], Unit.BYTES)}"
            wanted = f"{goal.at_least:g} by {CLOCKS[goal.clock]}"
            yield row((what, goal.ours, goal.theirs, *by, wanted))


def _tools(tools: Mapping[str, str]) -> str:
    named = (f"{name} {version}" for name, version in tools.items() if name not in {"sort", "awk"})
    return ", ".join([*named, tools["sort"], tools["awk"]])


def _interval(ratio: Interval) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.ratio:.3g}"
    return f"{ratio.ratio:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def _once(record: Record) -> Iterator[str]:
    values = record["unknown"]
    _, cpu = values["took"]
    rate = 4 * (values["numbers"] - values["missing"]) / cpu / 1e9
    yield f"{values['missing']:,} missing of {values['numbers']:,}, how many unknown, in one pass:"
    yield f"cells named all within {show(values['state'], Unit.BYTES)} of state, at {rate:.3g} GB/s"
    yield "of processor time (goal: 0.8)."
    if "full" in record:
        values = record["full"]
        own, plain = (values["took"][name][0] for name in ("invariants", "read()"))
        yield f"All of int32 but one, {show(values['bytes'], Unit.BYTES)}, cold, once: invariants"
        yield f"named it in {show(own, Unit.SECONDS)}; to read() the file alone took"
        yield f"{show(plain, Unit.SECONDS)}."


def _growth(record: Record) -> Iterator[str]:
    points: Sequence[Record] = record["growth"]["points"]
    last = {point["name"]: point for point in points}
    yield "| solver | largest range | processor time | each number | state |"
    yield "| --- | --- | --- | --- | --- |"
    for name, point in last.items():
        cost = show(point["cpu"], Unit.SECONDS), show(point["cpu"] / point["numbers"], Unit.SECONDS)
        state = show(point["memory"], Unit.BYTES)
        yield row((name, f"{point['numbers']:,}", *cost, state))


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_table(record: Path = RECORDED, table: Path = TABLE) -> None:
    """Write the tables of a record."""
    table.write_text(render(json.loads(record.read_bytes())), encoding="utf-8")


if __name__ == "__main__":
    write_table()
