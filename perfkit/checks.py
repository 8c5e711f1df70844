"""What must hold of a run, as scenario files write it: `METRIC[.STAT] OP NUMBER[UNIT]`.

A check stands under a target: `variant` (a figure of one variant), `a/b` (a ratio of two variants
of one run) or `a@base` (a ratio to another revision, or to a stored result).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum

from perfkit.errors import UnreadableFile
from perfkit.units import SPELLINGS, Unit

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
CLOCKS = ("time", "cpu", "wall")
"""`time` chooses between the other two: processor time where the code computes, else wall."""
PEAK_RSS = "peak_rss"
STATISTICS = {"floor": "the code's own cost", "typical": "what one should expect"}
ROLES = ("naive", "fixed", "wrong")
"""Targets may name a role instead of a variant; `wrong` stands for every wrong lever."""
BASE = "base"

_CHECK = re.compile(
    r"(?P<metric>[a-z_][a-z0-9_]*)(?:\.(?P<statistic>[a-z0-9_]+))?\s*"
    r"(?P<comparison><=|>=|==|<|>)\s*(?P<number>\d[\d_]*(?:\.\d+)?)\s*(?P<unit>[A-Za-zµ%]*)",
    re.ASCII,
)
_TARGET = re.compile(r"(?P<variant>[\w-]+)(?:(?P<sign>[/@])(?P<other>[\w-]+))?")
_BYTES = frozenset({"peak_rss", "bytes_in", "bytes_out", "output_bytes", "peak_memory"})


class Kind(StrEnum):
    """What a check compares."""

    ABSOLUTE = "absolute"
    RATIO = "ratio"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Check:
    """One check, as the file has it.

    `limit` is in seconds, bytes or pieces for an absolute check, else a factor: `< 5%` of a
    change is `< 1.05`.
    """

    variant: str
    other: str
    kind: Kind
    metric: str
    statistic: str
    comparison: str
    limit: float
    text: str

    @property
    def target(self) -> str:
        """`fixed`, `fixed/naive` or `fixed@base`."""
        sign = {Kind.ABSOLUTE: "", Kind.RATIO: "/", Kind.CHANGE: "@"}[self.kind]
        return f"{self.variant}{sign}{self.other}"

    @property
    def variants(self) -> frozenset[str]:
        """The names of all that must be measured to judge it."""
        return frozenset({self.variant, self.other} if self.kind is Kind.RATIO else {self.variant})

    @property
    def timed(self) -> bool:
        """Whether it takes timed rounds to judge; counted work needs none."""
        return self.metric in CLOCKS or self.metric == PEAK_RSS

    def holds(self, value: float) -> bool:
        """Say whether a figure is on the right side of the limit."""
        return COMPARISONS[self.comparison](value, self.limit)

    def __str__(self) -> str:
        """`fixed@base: time < 5%`."""
        return f"{self.target}: {self.text}"


def parse(target: str, text: str, source: str) -> Check:
    """Read one check; `source` names its file in errors.

    Raises UnreadableFile when it does not follow the grammar, or its unit does not fit.
    """
    place = f"{source}: checks.{target!r}"
    aimed = _TARGET.fullmatch(target.strip())
    if aimed is None or (aimed["sign"] == "@" and aimed["other"] != BASE):
        raise UnreadableFile(
            f"{place} is no target",
            why="a target is a variant, two as 'fixed/naive', or 'fixed@base'",
            fix='[checks]\n"fixed/naive" = ["time < 0.25x"]',
        )
    kind = {None: Kind.ABSOLUTE, "/": Kind.RATIO, "@": Kind.CHANGE}[aimed["sign"]]
    read = _CHECK.fullmatch(text.strip().replace("μ", "µ"))
    if read is None:
        raise UnreadableFile(
            f"{place}: cannot read {text!r}",
            why="a check is METRIC[.STAT] OP NUMBER[UNIT]; OP is one of <=, >=, ==, <, >",
            fix='such as "statements == 1", "time < 0.25x" or "time < 5%"',
        )
    metric, statistic, comparison = read["metric"], read["statistic"] or "", read["comparison"]
    if statistic and (metric not in CLOCKS or statistic not in STATISTICS):
        raise UnreadableFile(
            f"{place}: {text!r}: there is no {metric}.{statistic}",
            why=f"times have {' and '.join(STATISTICS)}; counters and memory have no statistic",
            fix=f"{metric} {comparison} {read['number']}{read['unit']}",
        )
    if comparison == "==" and (metric in CLOCKS or metric == PEAK_RSS):
        raise UnreadableFile(
            f"{place}: {text!r}: no measured figure is ever equal to another",
            why="only counted work is exact",
            fix=f"{metric} <= {read['number']}{read['unit']}",
        )
    limit = _limit(kind, metric, read["number"], read["unit"], f"{place}: {text!r}")
    return Check(
        variant=aimed["variant"],
        other=aimed["other"] or "",
        kind=kind,
        metric=metric,
        statistic=statistic or ("floor" if metric in CLOCKS else ""),
        comparison=comparison,
        limit=limit,
        text=" ".join(text.split()),
    )


def _limit(kind: Kind, metric: str, number: str, unit: str, place: str) -> float:
    allowed = _units(kind, metric)
    if unit not in allowed:
        spelled = ", ".join(repr(name) if name else "none" for name in allowed)
        said = f"the unit {unit!r}" if unit else "a number without a unit"
        what = {
            Kind.ABSOLUTE: f"the {metric} of one variant",
            Kind.RATIO: "a ratio of two variants",
            Kind.CHANGE: "a change against a base",
        }[kind]
        raise UnreadableFile(
            f"{place}: {said} does not fit {what}", why=f"fitting units: {spelled}"
        )
    digits, limit = number.replace("_", ""), math.inf
    # Asked of a float first: Decimal would raise on a number without end.
    if math.isfinite(float(digits)):
        value = Decimal(digits)
        exact = 1 + value / 100 if unit == "%" else value * Decimal(repr(allowed[unit]))
        limit = float(exact)
    if not math.isfinite(limit):
        raise UnreadableFile(f"{place}: the number is more than any number can hold")
    if kind is not Kind.ABSOLUTE and limit <= 0:
        raise UnreadableFile(f"{place}: no ratio is ever {number}{unit}", why="it must be above 0")
    return limit


def _units(kind: Kind, metric: str) -> Mapping[str, float]:
    if kind is Kind.RATIO:
        # Not %: 25% of the other, or 25% more than it?
        return {"x": 1}
    if kind is Kind.CHANGE:
        return {"%": 0.01, "x": 1}
    if metric in CLOCKS:
        return SPELLINGS[Unit.SECONDS]
    if metric in _BYTES:
        return SPELLINGS[Unit.BYTES]
    return SPELLINGS[Unit.COUNT]


def unit(metric: str) -> Unit:
    """Return what a metric's figures are in."""
    if metric in CLOCKS:
        return Unit.SECONDS
    return Unit.BYTES if metric in _BYTES else Unit.COUNT


def require_known(
    check: Check, variants: Collection[str], counters: Collection[str], source: str
) -> None:
    """Raise UnreadableFile, with the nearest name, for a variant or counter that is not there."""
    for name in (check.variant, check.other if check.kind is Kind.RATIO else check.variant):
        if name not in variants:
            raise _unknown(f"no variant '{name}'", name, variants, f"{source}: {check}")
    metrics = [*counters, *CLOCKS, PEAK_RSS]
    if check.metric not in metrics:
        raise _unknown(
            f"nothing called '{check.metric}' is measured",
            check.metric,
            metrics,
            f"{source}: {check}",
        )


def _unknown(what: str, name: str, known: Collection[str], place: str) -> UnreadableFile:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return UnreadableFile(
        f"{place}: {what}" + (f"; did you mean '{close[0]}'?" if close else ""),
        why=f"there are: {', '.join(known)}",
    )
