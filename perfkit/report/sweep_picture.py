"""Draw a sweep as a picture: points with the spread of their rounds, and the fitted curves."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from perfkit import stats
from perfkit.extras import require
from perfkit.report.figures import TIMES, time_unit
from perfkit.report.plot import rounded, scale, ticks
from perfkit.report.sweep_words import (
    axis,
    bounded,
    compose,
    fitted,
    law_of,
    mark,
    named,
    plotted,
    serial_share,
    written,
)
from perfkit.report.words import clean
from perfkit.sweep import SCHEMA, Curve, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (7.5, 4.6)
"""Inches."""
COLORS = {"naive": "#D55E00", "wrong lever": "#B07D00", "fixed": "#0072B2"}
"""By role, from a palette that stays apart under the common colour blindnesses (Okabe, Ito)."""
GREY = "#555555"
MARKERS = "osD^vP*Xph<>"
DASHES = ("-", "--", "-.", ":")
"""Variants of one role differ in their markers and dashes."""
STEPS = 60
"""Points of a fitted curve."""
MANY = 8
"""With more values than this their labels are turned, so that they do not meet."""
SETTINGS: Any = {
    # The same sweep makes the same file, and text stays text.
    "svg.hashsalt": "perfkit",
    "svg.fonttype": "none",
    # A label is no formula.
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def render(sweep: Sweep) -> bytes:
    """Return the picture as SVG; raises MissingExtra without matplotlib."""
    require("matplotlib", "plot")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with rc_context(SETTINGS), warnings.catch_warnings():
        # Text stays text, so its reader's fonts decide; that ours lack a glyph means nothing.
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=SIZE, facecolor="white", layout="constrained")
        axes = figure.subplots()
        divisor, unit = _unit(sweep)
        heights = [
            _draw(axes, sweep, curve, place, divisor) for place, curve in enumerate(sweep.curves)
        ]
        ideal = [value / sweep.values[0] for value in sweep.values] if _is_speed_up(sweep) else []
        if ideal:
            axes.plot(sweep.values, ideal, ":", color=GREY, linewidth=0.8, label="ideal")
        _set_axes(axes, sweep, [*ideal, *(height for one in heights for height in one)])
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", frameon=False, alignment="left")
        title = clean(sweep.title)
        axes.set_title(f"{title}\n{unit}", loc="left", fontsize=10)
        about: dict[str, Any] = {"Title": title, "Date": None, "Creator": None}
        figure.savefig(file, format="svg", metadata=about)
    # So that the file is known to be ours.
    return file.getvalue().replace(b"<svg ", b"<!-- %b -->\n<svg " % SCHEMA.encode(), 1)


def _is_speed_up(sweep: Sweep) -> bool:
    return sweep.workers and sweep.timed


def _unit(sweep: Sweep) -> tuple[float, str]:
    """Return what heights are divided by, and what they are then."""
    report = compose(sweep)
    if not sweep.timed:
        return 1.0, report.counts.title if report.counts else ""
    if sweep.workers:
        return 1.0, report.plot
    scale, name = time_unit([y for curve in sweep.curves for y in plotted(sweep, curve).values()])
    return scale, f"time of a call, {name}"


def _draw(axes: Axes, sweep: Sweep, curve: Curve, place: int, divisor: float) -> list[float]:
    """Draw a variant's points, their spread and the curve that fits; return the heights."""
    rows = _points(sweep, curve)
    if not rows:
        return []
    look: dict[str, Any] = {
        "color": COLORS.get(curve.role, GREY),
        "marker": MARKERS[place % len(MARKERS)],
        # Hollow, and smaller one after the other: a lever that changes nothing hides nothing.
        "fillstyle": "none",
        "markersize": max(4, 9 - place),
    }
    across = [row[0] for row in rows]
    low, middle, high = ([row[side] / divisor for row in rows] for side in (1, 2, 3))
    reach = [
        [b - a for a, b in zip(low, middle, strict=True)],
        [b - a for a, b in zip(middle, high, strict=True)],
    ]
    label = f"{mark(sweep, curve).words}: {clean(curve.label)}{_figures(curve)}"
    axes.errorbar(across, middle, reach, linestyle="none", capsize=2, label=label, **look)
    along = _along(sweep.values)
    fit = [fitted(sweep, curve, x) for x in along] if sweep.timed else []
    drawn = [(x, y / divisor) for x, y in zip(along, fit, strict=bool(fit)) if y is not None]
    if drawn:
        dashes = DASHES[place % len(DASHES)]
        axes.plot(*zip(*drawn, strict=True), dashes, color=look["color"], linewidth=0.9)
    return [*low, *middle, *high]


def _points(sweep: Sweep, curve: Curve) -> list[tuple[float, float, float, float]]:
    """Return each value with the lower quartile, the median and the upper one over the rounds."""
    variants = list(zip(sweep.values, sweep.measured(curve.variant), strict=True))
    if not sweep.timed:
        cause = sweep.results[0].cause
        counts = [(x, one.work[cause].value) for x, one in variants if one and cause in one.work]
        return [(x, count, count, count) for x, count in counts]
    middle = plotted(sweep, curve)
    rows = []
    for value, one in variants:
        if one is not None and value in middle:
            times = [median(sample.wall) for sample in one.samples]
            at = median(times)
            ends = sorted(stats.quantile(times, share) / at for share in (0.25, 0.75))
            low, high = (1 / ends[1], 1 / ends[0]) if sweep.workers else ends
            y = middle[value]
            rows.append((value, y * min(low, 1.0), y, y * max(high, 1.0)))
    return rows


def _figures(curve: Curve) -> str:
    """Return what was fitted, for the legend."""
    known = curve.scalability
    if known is None:
        fit = curve.growth if curve.growth is not None else curve.cause
        return f", {named(fit)}" if fit is not None else ""
    law = law_of(curve)
    if law is None:
        return ", no law fits"
    if known.amdahl.fits and not law.coherency.low:
        return f", serial share {serial_share(known.amdahl)}"
    return f", contention {bounded(law.contention)}, coherency {bounded(law.coherency)}"


def _along(values: Sequence[float]) -> list[float]:
    """Return places from the first value to the last, as they lie on the axis."""
    across = scale(values)
    return [across.value(step / STEPS) for step in range(STEPS + 1)]


def _set_axes(axes: Axes, sweep: Sweep, heights: Sequence[float]) -> None:
    """Set scales, ticks and words: logarithmic where the values span much."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    across = scale(sweep.values)
    if across.logarithmic:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(sweep.values)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: written(sweep, at)))
    if heights:
        up = scale(heights, from_zero=True)
        if up.logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.1 * up.high or 1)
        axes.yaxis.set_major_locator(FixedLocator(ticks(up)))
        sign = TIMES if _is_speed_up(sweep) else ""
        axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{rounded(at)}{sign}"))
    for both in (axes.xaxis, axes.yaxis):
        both.set_minor_locator(NullLocator())
    if len(sweep.values) > MANY:
        axes.tick_params(axis="x", rotation=45)
    axes.set_xlabel(axis(sweep))
    axes.grid(color="#dddddd", linewidth=0.6)
