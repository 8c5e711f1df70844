"""Compare the same code with itself on this runner: which limits are safe here, what they catch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any

import msgspec

from perfkit import decide, stats
from perfkit.checks import Check, parse
from perfkit.decide import Sides
from perfkit.gate import fitness, same_code
from perfkit.model import Plan, Probe
from perfkit.outcome import Judged
from perfkit.result import Machine, Measured
from perfkit.run import machine
from perfkit.run.course import CHANGE, Course, Progress
from perfkit.run.orchestrator import run_sides
from perfkit.verdict import Word

SCHEMA = "perfkit.self-test/1"
LIMITS = (2, 3, 5, 7.5, 10, 15, 20, 25, 30)
"""Per cent."""
FEWEST = 3
"""Comparisons of each kind, whatever the budget."""
DECIDED = 0.8
"""A limit under which so many comparisons are decided can be worked with."""


class Tried(msgspec.Struct, frozen=True):
    """What a gate with one limit would have said of code that had not changed."""

    limit: float
    """Per cent."""
    passed: int
    failed: int
    open: int
    """Still inconclusive after the last look."""
    rounds: float
    """How many it took to decide: the median."""
    catches: float | None
    """The slow-down, as a share, that goes red nine times in ten: the median."""

    @property
    def safe(self) -> bool:
        """Whether nothing went red and most of it was decided."""
        whole = self.passed + self.failed + self.open
        return self.failed == 0 and self.passed >= DECIDED * whole


class Kind(msgspec.Struct, frozen=True):
    """All limits for one kind of code."""

    name: str
    clock: str
    comparisons: int
    tried: tuple[Tried, ...]

    @property
    def safe(self) -> Tried | None:
        """The smallest limit that is safe here."""
        return next((one for one in self.tried if one.safe), None)


class SelfTest(msgspec.Struct, frozen=True):
    """What a runner is good for."""

    perfkit: str
    started: str
    duration: float
    machine: Machine
    unfit: str
    """Why this runner cannot be judged by now; empty where it can."""
    kinds: tuple[Kind, ...]
    schema: str = SCHEMA


def self_test(budget: float, tell: Callable[[Progress], None] = lambda _: None) -> SelfTest:
    """Compare the same code with itself for so many seconds.

    Each comparison is a gate's own: up to 40 rounds of fresh processes, judged at the same looks.
    """
    started, begun = datetime.now(UTC), time.perf_counter()
    unfit = fitness.unfit_before()
    probes = (same_code.computing, same_code.waiting)
    found: dict[str, list[Sides]] = {probe.name: [] for probe in probes}
    number = 0
    while number < FEWEST or time.perf_counter() - begun < budget * number / (number + 1):
        for probe in probes:
            found[probe.name].append(_compare(probe, number, tell))
        number += 1
    return SelfTest(
        perfkit=version("perfkit"),
        started=started.isoformat(timespec="seconds"),
        duration=round(time.perf_counter() - begun, 3),
        machine=machine.describe(),
        unfit=unfit,
        kinds=tuple(_kind(name, sides) for name, sides in found.items()),
    )


def _compare(probe: Probe[Any, Any], seed: int, tell: Callable[[Progress], None]) -> Sides:
    plan = Plan(probe, probe.params(), rounds=stats.LOOKS[-1], seed=seed)
    one, other = run_sides(plan, Course(hurried=True), tell)[CHANGE].variants
    return Sides(change={"code": other}, base={"code": one})


def _kind(name: str, compared: Sequence[Sides]) -> Kind:
    clocks = [judged.clock for sides in compared for judged in [_judge(_check(5), sides, 40)]]
    return Kind(
        name=name,
        clock=max(set(clocks), key=clocks.count),
        comparisons=len(compared),
        tried=tuple(_try(limit, compared) for limit in LIMITS),
    )


def _try(limit: float, compared: Sequence[Sides]) -> Tried:
    verdicts = [_first(_check(limit), sides) for sides in compared]
    words = [one.verdict for one in verdicts]
    catches = [one.detectable for one in verdicts if one.detectable is not None]
    return Tried(
        limit=limit,
        passed=words.count(Word.PASS),
        failed=words.count(Word.FAIL),
        open=words.count(Word.INCONCLUSIVE),
        rounds=median(one.rounds for one in verdicts),
        catches=median(catches) if catches else None,
    )


def _check(limit: float) -> Check:
    return parse("code@base", f"time < {limit}%", "the self-test")


def _first(check: Check, sides: Sides) -> Judged:
    """Return the verdict of the look that would have ended the run."""
    looks = [_judge(check, sides, rounds) for rounds in stats.LOOKS]
    return next((one for one in looks if one.verdict is not Word.INCONCLUSIVE), looks[-1])


def _judge(check: Check, sides: Sides, rounds: int) -> Judged:
    seen = Sides(
        {name: _until(one, rounds) for name, one in sides.change.items()},
        {name: _until(one, rounds) for name, one in sides.base.items()},
    )
    return decide.judge(check, seen)


def _until(measured: Measured, rounds: int) -> Measured:
    return msgspec.structs.replace(measured, samples=measured.samples[:rounds])
