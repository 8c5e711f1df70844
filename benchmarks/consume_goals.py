"""What the write path's story claims, and whether the recorded sweeps bear it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from consume_coverage import ASTRAY, WRONG
from consume_sweeps import at, ends, from_record, speed
from goal import NO_INTERVAL, compare
from same_code import exact_interval

from perfkit.report import figures
from perfkit.result import Interval
from perfkit.sweep import Sweep
from perfkit.units import Unit, show

FLAT = 1.25
"""Slowest to fastest."""
DEAD = (0.85, 1.15)
"""As fast as the naive code: a lever that does nothing."""
SCALES = 1.05
FEWER = 5.0
"""Times fewer round trips to the queue."""
ROW_BY_ROW = 20.0
"""Times as slow as one statement, in one transaction."""
KILLS = 50
HELD = 0.90
"""How often, at least, an interval of 95 % may hold the truth of a simulation."""
ASTRAY_AT_MOST = 0.05
"""How often, at most, a growth may be named wrongly."""

Record = Mapping[str, Any]


class Goal(NamedTuple):
    """One claim, what was found, and the verdict."""

    what: str
    found: str
    wanted: str
    verdict: str


def goals(record: Record) -> Iterator[Goal]:
    """Yield the goals of all sections that are in the record."""
    for section, judge in JUDGES.items():
        if section in record:
            yield from judge(record[section])


def sweeps(section: Record) -> dict[str, Sweep]:
    """Return the sweeps of a section, by name."""
    return {name: from_record(found) for name, found in section["sweeps"].items()}


def place(sweep: Sweep) -> str:
    """Say how far away the component was: `near`, `2 ms away`."""
    added = sweep.results[0].component.rtt_asked
    return f"{show(added, Unit.SECONDS)} away" if added else "near"


def lock(section: Record) -> Iterator[Goal]:
    """Judge the sweeps over consumers that lock everything."""
    for sweep in sweeps(section).values():
        where = f"{sweep.probe}, {place(sweep)}"
        yield from _flat(sweep, "lock-everything", f"{where}: the global lock")
        yield from _dead(sweep, "add-consumers", f"{where}: twice the threads")
        first, last = sweep.values[0], sweep.values[-1]
        one, many = (at(sweep, "count-apart", value) for value in (first, last))
        if one and many:
            yield _at_least(
                f"{where}: counters apart, {last:.0f} consumers against {first:.0f}",
                speed(many, one),
                SCALES,
            )
        held = _counts(sweep, "lock-everything", "held_trips")
        free = _counts(sweep, "count-apart", "held_trips")
        yield _said(
            f"{where}: round trips under the lock, at every value",
            f"{_spelled(held)} → {_spelled(free)}",
            "the same → 0",
            holds=len(set(held)) == 1 and min(held) > 0 and set(free) == {0},
        )


def gil(section: Record) -> Iterator[Goal]:
    """Judge the sweep over threads that work in Python; without a GIL they are no lever."""
    for sweep in sweeps(section).values():
        yield from _flat(sweep, "derive-in-threads", f"{sweep.probe}: threads")


def write(section: Record) -> Iterator[Goal]:
    """Judge the sweeps over rows that are written."""
    for sweep in sweeps(section).values():
        where = f"{sweep.probe}, {place(sweep)}"
        rows = sweep.values[-1]
        naive, fix = (at(sweep, name, rows) for name in ("write-each", "write-arrays"))
        if naive and fix:
            before, after = (one.work["fsyncs"].value for one in (naive, fix))
            yield _said(
                f"{where}: fsyncs for {rows:,.0f} rows",
                f"{before:,} → {after:,}",
                f"{rows:,.0f} → 1",
                holds=(before, after) == (rows, 1),
            )
        row_by_row = at(sweep, "write-in-transaction", rows)
        if row_by_row and fix and sweep.results[0].component.rtt_asked:
            yield _at_least(
                f"{where}: unnest against row by row in one transaction, {rows:,.0f} rows",
                speed(fix, row_by_row),
                ROW_BY_ROW,
            )


def queue(section: Record) -> Iterator[Goal]:
    """Judge the sweeps over consumers of a queue, and the kills."""
    for sweep in sweeps(section).values():
        naive = _counts(sweep, "take-one", "round_trips")
        fix = _counts(sweep, "take-batch", "round_trips")
        fewer = min(a / b for a, b in zip(naive, fix, strict=True))
        yield _said(
            f"{sweep.probe}, {place(sweep)}: times fewer round trips, at any value",
            f"{fewer:.3g}",
            f"at least {FEWER:g}",
            holds=fewer >= FEWER,
        )
    kills = section["kills"]
    yield _said(
        "queue-consume: kills in the middle of a batch, lost, written twice",
        f"{kills['kills']}, {kills['lost']}, {kills['twice']}",
        f"{KILLS}, 0, 0",
        holds=kills["kills"] >= KILLS and not kills["lost"] and not kills["twice"],
    )


def coverage(section: Record) -> Iterator[Goal]:
    """Judge the fits of simulated sweeps."""
    for law in section["laws"]:
        for what in ("contention", "coherency"):
            low, high = exact_interval(law[what], law["times"])
            yield Goal(
                f"'{law['label']}' with {law['noise']:.0%} noise: {what} within its interval",
                _share(law[what], law["times"]),
                f"at least {HELD:.0%}",
                compare(-high, -low, -HELD),
            )
    for growth in section["growths"]:
        astray = growth[WRONG] + growth[ASTRAY]
        low, high = exact_interval(astray, growth["times"])
        yield Goal(
            f"{growth['growth']} with {growth['noise']:.0%} noise: named wrongly, or left out",
            _share(astray, growth["times"]),
            f"at most {ASTRAY_AT_MOST:.0%}",
            compare(low, high, ASTRAY_AT_MOST),
        )


def _share(hits: int, times: int) -> str:
    """Write a share with its exact interval."""
    low, high = exact_interval(hits, times)
    return f"{hits / times:.1%} ({100 * low:.1f} – {high:.1%})"


JUDGES = {"lock": lock, "gil": gil, "write": write, "queue": queue, "coverage": coverage}


def _flat(sweep: Sweep, variant: str, what: str) -> Iterator[Goal]:
    found = ends(sweep, variant)
    if found is not None:
        low, high = found.low, found.high
        verdict = compare(low, high, FLAT)
        values = f"{sweep.parameter} {sweep.values[0]:.0f} to {sweep.values[-1]:.0f}"
        yield Goal(
            f"{what}, slowest to fastest, {values}", said(found), f"at most {FLAT:g}", verdict
        )


def _dead(sweep: Sweep, variant: str, what: str) -> Iterator[Goal]:
    """Hold a lever to the naive code at each value."""
    for value in sweep.values:
        lever, naive = (at(sweep, name, value) for name in (variant, sweep.curves[0].variant))
        if lever and naive:
            found = speed(lever, naive)
            yield Goal(
                f"{what} against the naive code, {sweep.parameter} {value:.0f}",
                said(found),
                f"{DEAD[0]:g} to {DEAD[1]:g}",
                within(found, *DEAD),
            )


def within(found: Interval, least: float, most: float) -> str:
    """Say whether the whole interval is within the limits."""
    if found.low is None or found.high is None:
        return NO_INTERVAL
    verdicts = compare(found.low, found.high, most), compare(-found.high, -found.low, -least)
    order = ("met", "unclear", "missed")
    return max(verdicts, key=lambda word: order.index(word.partition(":")[0]))


def _at_least(what: str, found: Interval, least: float) -> Goal:
    low, high = found.low, found.high
    verdict = NO_INTERVAL if low is None or high is None else compare(-high, -low, -least)
    return Goal(what, said(found), f"at least {least:g}", verdict)


def _said(what: str, found: str, wanted: str, *, holds: bool) -> Goal:
    return Goal(what, found, wanted, "met" if holds else "missed")


def said(found: Interval) -> str:
    """Write a ratio with its interval, no more digits than that bears."""
    between = figures.ends(found)
    return figures.ratio(found) + (f" ({between})" if between else "")


def _counts(sweep: Sweep, variant: str, counter: str) -> list[int]:
    return [one.work[counter].value for one in sweep.measured(variant) if one is not None]


def _spelled(counts: list[int]) -> str:
    return " or ".join(f"{count:,}" for count in dict.fromkeys(counts))
