"""What a sweep says, in words and figures: its tables and sentences, the same in every view.

Nothing is judged here: names and figures come from `perfkit.growth` and `perfkit.scalability`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from perfkit import stats
from perfkit.growth import FEWEST_SIZES, SPAN, Growth, GrowthFit
from perfkit.report import figures
from perfkit.report.words import (
    ALONE,
    FIXED,
    LEVER,
    NAIVE,
    NOT_RUN,
    PARTIAL,
    Line,
    Mark,
    Step,
    agreement,
    borne_median,
    clean,
    listed,
)
from perfkit.report.words import compose as compose_result
from perfkit.result import NOTHING, Interval, Measured, Work
from perfkit.scalability import Law, Scalability
from perfkit.sweep import RTT, Curve, Sweep, rounds_of
from perfkit.units import Unit, show

GROWS = {
    Growth.CONSTANT: "stays the same",
    Growth.LINEAR: "grows linearly",
    Growth.LINEARITHMIC: "grows as n log n",
    Growth.QUADRATIC: "grows quadratically",
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FLAT, EVEN = 1.25, 0.25
"""What gains or loses less than this factor from the fewest workers to the most stays flat; or,
where they are hardly more, less than this power of how many times more they are."""
MANY = 2
"""Up to so many candidates are worth naming in a table."""


@dataclass(frozen=True, slots=True)
class Row:
    """One variant's figures at every value, and what they come to."""

    mark: Mark
    letter: str
    """What stands for it in a plot."""
    label: str
    cells: tuple[str, ...]
    end: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with a column a value; `end` heads the last one."""

    title: str
    rows: tuple[Row, ...]
    end: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a view draws, in its order."""

    notices: tuple[str, ...]
    title: str
    facts: tuple[str, ...]
    columns: tuple[str, ...]
    """The values, ascending."""
    plot: str
    """What a plot shows."""
    times: Grid | None
    """None when nothing was timed."""
    counts: Grid | None
    """None where no counter explains the time."""
    lines: tuple[Line, ...]
    checks: tuple[Line, ...]
    machine: tuple[str, ...]
    steps: tuple[Step, ...]


def compose(sweep: Sweep) -> Report:
    """Put a sweep into words."""
    return Report(
        notices=tuple(_notices(sweep)),
        title=clean(sweep.title),
        facts=tuple(map(clean, _facts(sweep))),
        columns=tuple(written(sweep, value) for value in sweep.values),
        plot=_plot(sweep),
        times=_times(sweep) if sweep.timed else None,
        counts=_counts(sweep) if sweep.results[0].cause else None,
        lines=tuple(_line(sweep, curve) for curve in sweep.curves),
        checks=tuple(_checks(sweep)),
        machine=compose_result(sweep.results[0]).machine,
        steps=tuple(_steps(sweep)),
    )


def written(sweep: Sweep, value: float) -> str:
    """Write a value of the parameter: `400`, `2 ms`."""
    return show(value, sweep.unit or Unit.COUNT) if value else "0"


def axis(sweep: Sweep) -> str:
    """Name what the values are: `orders: rows on the page`."""
    return clean(": ".join(filter(None, (sweep.parameter, sweep.text))))


def mark(sweep: Sweep, curve: Curve) -> Mark:
    """Return the sign of a variant: its role."""
    if len(sweep.curves) == 1:
        return ALONE
    known = {"naive": NAIVE, "wrong lever": LEVER}
    return known.get(curve.role, PARTIAL if curve.partial else FIXED)


def letter(sweep: Sweep, curve: Curve) -> str:
    """Return the letter that stands for a variant in a plot."""
    return LETTERS[sweep.curves.index(curve) % len(LETTERS)]


def plotted(sweep: Sweep, curve: Curve) -> dict[float, float]:
    """Return the points of a variant: seconds, or of workers how many times as fast."""
    there = {
        value: seconds
        for value, seconds in zip(sweep.values, curve.seconds, strict=True)
        if seconds is not None
    }
    if not (sweep.workers and there):
        return there
    base = _base(sweep)
    return {value: base / seconds for value, seconds in there.items()}


def fitted(sweep: Sweep, curve: Curve, value: float) -> float | None:
    """Return the fitted curve at a value, as it is plotted; None where none fits."""
    if curve.growth is not None:
        return curve.growth.at(value)
    law = law_of(curve)
    return None if law is None else _base(sweep) / law.seconds(value)


def law_of(curve: Curve) -> Law | None:
    """Return the fullest law that fits."""
    known = curve.scalability
    laws = (known.universal, known.amdahl) if known is not None else ()
    return next((law for law in laws if law is not None and law.fits), None)


def _base(sweep: Sweep) -> float:
    """Return what speed-ups are held to: the naive code with the fewest workers."""
    naive = sorted(sweep.curves, key=lambda curve: curve.role != "naive")
    return next(seconds for curve in naive for seconds in curve.seconds if seconds is not None)


def _notices(sweep: Sweep) -> Iterator[str]:
    rounds = "1 round" if sweep.rounds == 1 else f"{sweep.rounds:,} rounds"
    if sweep.stopped == "interrupted":
        yield f"Partial: stopped after {rounds}."
    if 0 < sweep.rounds < stats.FEWEST:
        yield f"No intervals and no names after {rounds}: both need {stats.FEWEST} rounds."


def _facts(sweep: Sweep) -> Iterator[str]:
    first = sweep.results[0]
    yield axis(sweep)
    component = first.component
    if sweep.parameter == RTT:
        yield f"{component.product} {component.version} ({component.place})"
    else:
        yield str(component)
    for name, value in first.params.items():
        if name != sweep.parameter:
            yield f"{name}={value}"
    rounds = "1 round" if sweep.rounds == 1 else f"{sweep.rounds:,} rounds"
    yield rounds if sweep.rounds else "not timed"


def _plot(sweep: Sweep) -> str:
    if sweep.workers:
        first = f"{clean(sweep.parameter)} = {written(sweep, sweep.values[0])}"
        return f"times as fast as the naive code at {first}"
    return f"time by {clean(sweep.parameter)}"


def _medians(variant: Measured) -> list[float]:
    return [median(sample.wall) for sample in variant.samples]


def _times(sweep: Sweep) -> Grid:
    seconds = [one for curve in sweep.curves for one in curve.seconds if one is not None]
    scale, unit = figures.time_unit(seconds)
    columns = []
    for place in range(len(sweep.values)):
        found = (sweep.measured(curve.variant)[place] for curve in sweep.curves)
        columns.append(
            [borne_median(_medians(one), scale) if one and one.samples else "" for one in found]
        )
    rows = zip(*map(_dashed, columns), strict=True)
    return Grid(
        title=f"{unit} by {clean(sweep.parameter)}",
        rows=tuple(
            _row(sweep, curve, cells, _end(sweep, curve))
            for curve, cells in zip(sweep.curves, rows, strict=True)
        ),
        end="speed-up" if sweep.workers else "growth",
    )


def _dashed(cells: Sequence[str]) -> list[str]:
    """Put decimal points below each other, and a dash where there is no figure."""
    there = iter(figures.aligned([cell for cell in cells if cell]) if any(cells) else [])
    return [next(there) if cell else figures.DASH for cell in cells]


def _row(sweep: Sweep, curve: Curve, cells: Sequence[str], end: str) -> Row:
    return Row(mark(sweep, curve), letter(sweep, curve), clean(curve.label), tuple(cells), end)


def _end(sweep: Sweep, curve: Curve) -> str:
    if not sweep.workers:
        return named(curve.growth)
    ends = _ends(sweep, curve)
    return figures.ratio(_turned(ends)) if ends is not None else figures.DASH


def named(fit: GrowthFit | None) -> str:
    """Name a growth in a word or two; a dash where there is nothing to name."""
    if fit is None:
        return figures.DASH
    if fit.growth is not None:
        return fit.growth
    if not fit.candidates:
        return "no curve fits"
    if len(fit.candidates) == 1:
        return f"{fit.candidates[0]}?"
    return _either(fit.candidates) if len(fit.candidates) <= MANY else "unclear"


def _either(candidates: Sequence[Growth]) -> str:
    *others, last = map(str, candidates)
    return f"{', '.join(others)} or {last}"


def _counts(sweep: Sweep) -> Grid:
    rows = []
    for curve in sweep.curves:
        works = _works(sweep, curve)
        cells = [_count(work) for work in works]
        rows.append(_row(sweep, curve, cells, named(curve.cause)))
    return Grid(f"{_cause(sweep)} by {clean(sweep.parameter)}", tuple(rows), "growth")


def _cause(sweep: Sweep) -> str:
    first = sweep.results[0]
    return clean(first.counters[first.cause])


def _works(sweep: Sweep, curve: Curve) -> list[Work | None]:
    """Return what was counted of the cause at every value."""
    cause = sweep.results[0].cause
    return [one.work.get(cause) if one else None for one in sweep.measured(curve.variant)]


def _count(work: Work | None) -> str:
    if work is None:
        return figures.DASH
    return f"{work.value:,}" if work.exact else f"~{work.value:,}"


def _ends(sweep: Sweep, curve: Curve) -> Interval | None:
    """Return how many times as long the last timed value takes as the first one."""
    found = [one for one in sweep.measured(curve.variant) if one is not None and one.samples]
    rounds = rounds_of(found)
    if len(found) < 2:  # noqa: PLR2004 (a comparison has two sides)
        return None
    return stats.typical_ratio([one[-1] for one in rounds], [one[0] for one in rounds])


def _turned(interval: Interval) -> Interval:
    """Return the ratio the other way round."""
    low, high = interval.low, interval.high
    return Interval(
        ratio=1 / interval.ratio,
        low=None if high is None else 1 / high,
        high=None if low is None else 1 / low,
        confidence=interval.confidence,
    )


def _line(sweep: Sweep, curve: Curve) -> Line:
    known = mark(sweep, curve)
    called = Mark(known.sign, "fix", known.tone) if known is FIXED else known
    ends = _ends(sweep, curve)
    if ends is None:
        counted = _counted(sweep, curve)
        return Line(called, f"'{clean(curve.label)}': ", counted or "not timed", ".")
    if sweep.workers:
        before, strong, after = _scaling(sweep, curve, _turned(ends))
    else:
        before, strong, after = _growing(sweep, curve, ends)
    clauses = [
        clause for clause in (after, _counted(sweep, curve), _against(sweep, curve)) if clause
    ]
    return Line(called, before, strong, "; ".join(clauses) + "." + _laws(sweep, curve))


def _timed_at(sweep: Sweep, curve: Curve) -> list[float]:
    """Return the values at which a variant was timed."""
    return [
        value
        for value, seconds in zip(sweep.values, curve.seconds, strict=True)
        if seconds is not None
    ]


def _first_and_last(sweep: Sweep, curve: Curve) -> tuple[str, str]:
    there = _timed_at(sweep, curve)
    return written(sweep, there[0]), written(sweep, there[-1])


def _more(sweep: Sweep, curve: Curve) -> float:
    """Return how many times as many the most workers are as the fewest."""
    there = _timed_at(sweep, curve)
    return there[-1] / there[0]


def _ratio(interval: Interval) -> str:
    """Write a ratio with its interval, where it has one."""
    between = figures.ends(interval)
    return f"{figures.ratio(interval)} ({between})" if between else figures.ratio(interval)


def _growing(sweep: Sweep, curve: Curve, ends: Interval) -> tuple[str, str, str]:
    """Say how the time grows: the text before, in and after its weight."""
    fit, name = curve.growth, f"'{clean(curve.label)}'"
    first, last = _first_and_last(sweep, curve)
    longer = f"at {last} it takes {_ratio(ends)} as long as at {first}"
    if fit is None:
        return f"{name}: ", "", f"{longer}{_unnamed(sweep, curve)}"
    if fit.growth is not None:
        return f"{name} ", GROWS[fit.growth], f": {longer}{_parts(sweep, fit)}"
    if not fit.candidates:
        off = f"{100 * fit.error:.0f}%"
        return f"{name}: ", "no curve fits", f", the largest deviation is {off}; {longer}"
    if len(fit.candidates) == 1:
        perhaps = f" how {name} grows, perhaps {fit.candidates[0]}"
        return "It is ", "unclear", f"{perhaps}: {sweep.rounds} rounds are too few; {longer}"
    return "It is ", "unclear", f" how {name} grows, {_either(fit.candidates)}; {longer}"


def _unnamed(sweep: Sweep, curve: Curve) -> str:
    """Say why a growth has no name, where more values alone would not give it one."""
    if len(_timed_at(sweep, curve)) < FEWEST_SIZES:
        return ""
    return f", too short a span to name its growth: the last value must be {SPAN:g} times the first"


def _parts(sweep: Sweep, fit: GrowthFit) -> str:
    """Say what one more costs, of a line through times over a count or over the distance."""
    if fit.growth is not Growth.LINEAR or sweep.unit is Unit.BYTES:
        return ""
    if sweep.parameter == RTT:
        trips = figures.figure(fit.per, 0)
        return f", as if it waited for {trips} round {'trip' if trips == '1' else 'trips'}"
    if sweep.unit is not Unit.COUNT:
        return ""
    return f", about {_two_digits(fit.per)} for each"


def _two_digits(seconds: float) -> str:
    return show(float(f"{seconds:.2g}"), Unit.SECONDS)


def _scaling(sweep: Sweep, curve: Curve, faster: Interval) -> tuple[str, str, str]:
    """Say how a variant scales from the fewest workers to the most."""
    name = f"'{clean(curve.label)}'"
    first, last = _first_and_last(sweep, curve)
    who = f"{last} {clean(sweep.parameter)}"
    as_fast = f"{who} are {_ratio(faster)} as fast as {first}"
    if faster.low is None or faster.high is None:
        return f"{name}: {who} are ", f"{figures.ratio(faster)} as fast", f" as {first}"
    flat = min(FLAT, _more(sweep, curve) ** EVEN)
    if faster.low > flat:
        return f"{name} ", "scales", f": {as_fast}"
    if faster.high < 1 / flat:
        return f"{name} ", "gets slower", f": {as_fast}"
    if faster.low > 1 / flat and faster.high < flat:
        return f"{name} ", "stays flat", f": {as_fast}"
    return "It is ", "unclear", f" whether {name} scales: {as_fast}"


def _counted(sweep: Sweep, curve: Curve) -> str:
    """Say what becomes of the cause: `round trips 51 → 401, linear`."""
    if not sweep.results[0].cause:
        return ""
    works = [work for work in _works(sweep, curve) if work is not None]
    if not works:
        return ""
    if len({work.value for work in works}) == 1:
        where = "at every value" if len(works) == len(sweep.values) else "wherever it ran"
        return f"{_cause(sweep)} {_count(works[0])} {where}"
    change = f"{_cause(sweep)} {_count(works[0])} → {_count(works[-1])}"
    if curve.cause is None or len(curve.cause.candidates) > MANY:
        return change
    return f"{change}, {named(curve.cause)}"


def _against(sweep: Sweep, curve: Curve) -> str:
    """Say how a variant compares with the naive one at the largest value of both."""
    for value, result in reversed(list(zip(sweep.values, sweep.results, strict=True))):
        verdict = result.verdict(curve.variant)
        if verdict is not None:
            speed = figures.ratio(verdict.typical)
            return f"{speed} as fast as the naive code at {written(sweep, value)}"
    return ""


def _laws(sweep: Sweep, curve: Curve) -> str:
    """Say what the fitted laws say, or that they do not fit."""
    known = curve.scalability
    if known is None:
        return ""
    return "".join(f" {sentence}." for sentence in _law_sentences(known, sweep.values[-1]))


def _law_sentences(known: Scalability, most: float) -> Iterator[str]:
    best = known.universal or known.amdahl
    if known.superlinear:
        yield "It gains more than it has workers, which neither law describes"
    if not best.fits:
        yield f"No law fits: the largest deviation is {100 * best.error:.0f}%"
        return
    if known.amdahl.fits:
        surely = known.universal is not None and known.universal.coherency.low
        words = ("Without coherency, ", "would be") if surely else ("", "is")
        yield f"{words[0]}Amdahl's serial share {words[1]} {serial_share(known.amdahl)}"
    if known.universal is not None:
        yield (
            f"Contention {bounded(known.universal.contention)},"
            f" coherency {bounded(known.universal.coherency)}{_peak(known, most)}"
        )
    if known.extrapolated:
        yield "The curve down to 1 is extrapolated"


def _peak(known: Scalability, most: float) -> str:
    if known.peak is None:
        return ""
    beyond = ", beyond what was measured" if known.peak > most else ""
    return f": most throughput at {known.peak:.0f}{beyond}"


def serial_share(law: Law) -> str:
    """Write Amdahl's serial share in percent: `97% (95 – 99%)`."""
    percent = Interval(
        ratio=100 * law.contention.ratio,
        low=None if law.contention.low is None else 100 * law.contention.low,
        high=None if law.contention.high is None else 100 * law.contention.high,
        confidence=law.contention.confidence,
    )
    return bounded(percent, "%")


def bounded(interval: Interval, unit: str = "") -> str:
    """Write a figure that is zero or more with its interval, no more digits than that bears."""
    value, low, high = interval.ratio, interval.low, interval.high
    if low is None or high is None:
        return f"{_bare(value, max(0, figures.decimals_for(value, 2)))}{unit}"
    if not low:
        decimals = max(0, figures.decimals_for(high, 1))
        text = f"{_bare(value, decimals)}{unit}"
        return f"{text} (at most {_bare(high, decimals)}{unit})" if high else text
    decimals = max(0, figures.borne(value, low, high))
    ends = f"{figures.figure(low, decimals)} {figures.DASH} {figures.figure(high, decimals)}"
    return f"{figures.figure(value, decimals)}{unit} ({ends}{unit})"


def _bare(value: float, decimals: int) -> str:
    """Write a number, and zero without decimals that would promise something."""
    text = figures.figure(value, decimals)
    return text if float(text.replace(",", "")) else "0"


def _checks(sweep: Sweep) -> Iterator[Line]:
    if any(one.answer != NOTHING for one in sweep.results):
        whose = "All variants" if len(sweep.curves) > 1 else "All calls"
        yield Line(
            Mark("✓", "answers", FIXED.tone),
            f"{whose} that ran returned the same answer at every value.",
        )
    yield agreement(sweep.results)
    if sweep.rounds > 1:
        yield from _noise(sweep)
    yield from _not_run(sweep)


def _noise(sweep: Sweep) -> Iterator[Line]:
    """Say how calm the machine was: at a value where it was not, and which others are like it."""
    found = [
        (written(sweep, value), line)
        for value, result in zip(sweep.values, sweep.results, strict=True)
        for line in compose_result(result).checks
        if line.mark.words == "noise"
    ]
    busy = [(value, line) for value, line in found if line.mark.sign != "✓"]
    if busy:
        (value, line), *others = busy
        also = f" So it was at {listed([other for other, _ in others])}." if others else ""
        at = f"At {clean(sweep.parameter)} = {value}: "
        yield Line(line.mark, f"{at}{line.text}{also}")
    elif found:
        yield found[0][1]


def _not_run(sweep: Sweep) -> Iterator[Line]:
    """Say which variants were not run at which values, and why."""
    why: dict[tuple[str, str], list[str]] = {}
    for value, result in zip(sweep.values, sweep.results, strict=True):
        for variant in result.not_run:
            why.setdefault((variant.label, variant.why), []).append(written(sweep, value))
    for (label, reason), values in why.items():
        at = ", ".join(values)
        yield Line(NOT_RUN, f"'{clean(label)}' at {at}: {clean(reason)}.")


def _steps(sweep: Sweep) -> Iterator[Step]:
    if sweep.results[0].cause:
        yield Step(f"perfkit explain {shlex.quote(clean(sweep.probe))}", "the story, the code")
