"""Write what `consume` recorded as the tables and pictures that the documentation shows.

python benchmarks/consume_tables.py     # writes recorded/consume.md and docs/images
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from consume_coverage import ASTRAY, OPEN, RIGHT, WRONG
from consume_goals import goals, place, said, sweeps
from consume_sweeps import IMAGES, RECORDED, at, from_record, speed

from perfkit.report import sweep_markdown, sweep_picture
from perfkit.report.markdown import escape, table
from perfkit.report.sweep_words import bounded, mark, serial_share, written
from perfkit.sweep import Sweep

TABLE = RECORDED.with_suffix(".md")
DASH = "–"
WAITING = "waiting"
END = "<!-- end -->"
"""After each part; before it is its name, written alike."""

Record = Mapping[str, Any]


def render(record: Record) -> str:
    """Return all tables, each part between its markers, so that the page can put it in place."""
    parts = {"measured": measured(record), "goals": goal_table(record)}
    parts |= {name: shown(record[name]) for name, shown in SHOWN.items() if name in record}
    return "\n".join(
        line
        for name, lines in parts.items()
        for line in (f"<!-- {name} -->", "", *lines, "", END, "")
    )


def measured(record: Record) -> Iterator[str]:
    """Yield when, where and with what."""
    heads = {
        f"Measured on {section['machine']}, with {_listed(section['tools'])}."
        for section in record.values()
    }
    yield from sorted(heads)
    rounds = {
        name: sweep.rounds
        for section in record.values()
        if "sweeps" in section
        for name, sweep in sweeps(section).items()
    }
    yield f"Rounds: {_listed(rounds)}."
    yield "Ratios are of rounds in which both took their turn, with their 95 % intervals."


def _listed(figures: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {figure}" for name, figure in figures.items())


def goal_table(record: Record) -> Iterator[str]:
    """Yield every goal with what was found."""
    yield table(
        ["goal", "found", "wanted", ""], "llll", [map(escape, goal) for goal in goals(record)]
    )


def lock_tables(section: Record) -> Iterator[str]:
    """Yield the sweeps over consumers, their laws, and who waits for the lock."""
    found = sweeps(section)
    yield from _sweeps(found)
    yield "### Waiting for the lock"
    yield ""
    yield "Share of all consumers' time, in the counting pass:"
    yield ""
    yield from _waiting(found)


def _waiting(found: Mapping[str, Sweep]) -> Iterator[str]:
    """Yield a row a variant and distance, with a column for each number of consumers."""
    rows = []
    for sweep in found.values():
        for curve in sweep.curves:
            works = [one and one.work[WAITING].value for one in sweep.measured(curve.variant)]
            cells = [DASH if share is None else f"{share} %" for share in works]
            rows.append([place(sweep), escape(curve.label), *cells])
    values = next(iter(found.values()))
    columns = [written(values, value) for value in values.values]
    yield table(["", "variant", *columns], f"ll{'r' * len(columns)}", rows)


def sweep_tables(section: Record) -> Iterator[str]:
    """Yield the sweeps of a section and their laws."""
    yield from _sweeps(sweeps(section))


def write_tables(section: Record) -> Iterator[str]:
    """Yield the sweeps over rows, and what each lever gives near and far."""
    found = sweeps(section)
    yield from _sweeps(found)
    yield from _levers(found, max(next(iter(found.values())).values), ("round_trips", "fsyncs"))


def queue_tables(section: Record) -> Iterator[str]:
    """Yield the sweeps over consumers, what each lever gives, and what came of the kills."""
    found = sweeps(section)
    yield from _sweeps(found)
    values = next(iter(found.values())).values
    yield from _levers(found, values[len(values) // 2], ("round_trips", "commands"))
    yield ""
    kills = section["kills"]
    yield f"{kills['kills']} consumers killed in the middle of a batch, {kills['unfinished']:,} of"
    yield f"{kills['messages']:,} messages taken over: {kills['lost']} lost, {kills['twice']}"
    yield "written twice."


def kafka_tables(section: Record) -> Iterator[str]:
    """Yield the sweep over consumers and what each lever gives, or why there is none."""
    if "left_out" in section:
        yield f"Left out: {section['left_out']}."
        return
    found = sweeps(section)
    yield from _sweeps(found)
    values = next(iter(found.values())).values
    yield from _levers(found, values[0], ("commits", "requests"))


def _sweeps(found: Mapping[str, Sweep]) -> Iterator[str]:
    """Yield what the tool says of each sweep, below its distance."""
    for sweep in found.values():
        yield f"### {sweep.probe}, {place(sweep)}"
        yield ""
        # Without its heading, and the machine at its end.
        _, *blocks, _ = sweep_markdown.render(sweep).split("\n\n")
        yield "\n\n".join(blocks)
        yield ""
        if sweep.workers:
            yield from _laws(sweep)
            yield ""


def _laws(sweep: Sweep) -> Iterator[str]:
    """Yield the fitted figures of each variant."""
    rows = []
    for curve in sweep.curves:
        known = curve.scalability
        if known is None:
            continue
        laws = (known.universal, known.amdahl)
        best = known.universal or known.amdahl
        rows.append(
            [
                f"{mark(sweep, curve).sign} {escape(curve.label)}",
                *(
                    bounded(law) if law else DASH
                    for law in (
                        (known.universal.contention, known.universal.coherency)
                        if known.universal
                        else (None, None)
                    )
                ),
                *(f"{100 * law.error:.0f} %" if law else DASH for law in laws[:1]),
                serial_share(known.amdahl),
                f"{100 * known.amdahl.error:.0f} %",
                "yes" if best.fits else "no",
            ]
        )
    if rows:
        heads = ["law", "contention", "coherency", "off by", "Amdahl's share", "off by", "fits"]
        yield table(heads, "llllllr", rows)


def _levers(found: Mapping[str, Sweep], value: float, counters: Sequence[str]) -> Iterator[str]:
    """Yield how many times as fast as the naive code each variant is at a value, by distance."""
    first, *_ = found.values()
    words = first.results[0].counters
    heads = ["variant", *(words[name] for name in counters), *map(place, found.values())]
    rows = []
    for curve in first.curves:
        there = at(first, curve.variant, value)
        counts = [f"{there.work[name].value:,}" if there else DASH for name in counters]
        rows.append(
            [
                f"{mark(first, curve).sign} {escape(curve.label)}",
                *counts,
                *(_against(sweep, curve.variant, value) for sweep in found.values()),
            ]
        )
    yield f"### As fast as the naive code, {first.parameter} {written(first, value)}"
    yield ""
    yield table(heads, f"l{'r' * len(counters)}{'l' * len(found)}", rows)


def _against(sweep: Sweep, variant: str, value: float) -> str:
    naive, other = at(sweep, sweep.curves[0].variant, value), at(sweep, variant, value)
    if variant == sweep.curves[0].variant or naive is None or other is None:
        return DASH
    return said(speed(other, naive))


def coverage_tables(section: Record) -> Iterator[str]:
    """Yield how often the fits of simulated sweeps were right."""
    yield f"Sweeps of {section['rounds']} rounds were simulated, each round as a whole faster or"
    yield f"slower by {section['pace']:.0%}, each sample by the noise besides."
    yield ""
    yield "How often the 95 % interval holds the truth:"
    yield ""
    rows = [
        [
            law["label"],
            f"{law['noise']:.0%}",
            str(law["times"]),
            *(f"{law[what] / law['times']:.1%}" for what in ("contention", "coherency", "fits")),
        ]
        for law in section["laws"]
    ]
    heads = ["law", "noise", "sweeps", "contention", "coherency", "said to fit"]
    yield table(heads, "lrrrrr", rows)
    yield ""
    yield "What came of naming a growth:"
    yield ""
    rows = [
        [
            growth["growth"],
            f"{growth['noise']:.0%}",
            str(growth["times"]),
            *(f"{growth[what] / growth['times']:.1%}" for what in (RIGHT, WRONG, OPEN, ASTRAY)),
        ]
        for growth in section["growths"]
    ]
    heads = ["growth", "noise", "sweeps", "right", "wrong", "left open", "open, and not named"]
    yield table(heads, "lrrrrrr", rows)


SHOWN = {
    "lock": lock_tables,
    "gil": sweep_tables,
    "write": write_tables,
    "queue": queue_tables,
    "kafka": kafka_tables,
    "coverage": coverage_tables,
}
"""How each section is printed: as it is in the documentation."""


def pictures(record: Record) -> Iterator[tuple[str, bytes]]:
    """Yield the picture of each sweep, as `perfkit sweep -o` draws it, with its file's name."""
    for section in record.values():
        for name, found in section.get("sweeps", {}).items():
            yield f"scaling-{name}.svg", sweep_picture.render(from_record(found))


def write_all(record: Path = RECORDED, written: Path = TABLE, images: Path = IMAGES) -> None:
    """Write the tables and the pictures of a record."""
    found = json.loads(record.read_bytes())
    written.write_text(render(found), encoding="utf-8")
    for name, picture in pictures(found):
        (images / name).write_bytes(picture)


if __name__ == "__main__":
    write_all()
