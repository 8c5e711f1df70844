"""The one orchestrator: probe, parameters and location in, Result out.

Everything that touches the probe's code happens in worker processes. One round is every variant
once, in a seeded random order, each in a fresh process; so whatever the machine does meanwhile
meets all variants alike, and what differs between processes (addresses, hash seeds) is averaged.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from perfkit import reference, stats
from perfkit.errors import AnswersDiffer, CannotRun, VariantFailed
from perfkit.model import Plan, Probe, Service, Variant
from perfkit.parameters import describe
from perfkit.result import Given, Interval, Measured, Noise, Result, Sample, Work
from perfkit.run import machine
from perfkit.run.job import Action, Counted, Failed, Job, Report, Values
from perfkit.run.process import Worker

VALUES = 4
"""Timed values a worker."""
SHORTEST, LONGEST = 0.01, 0.05
"""Seconds a value of a variant that is looped: as long as the slowest variant's, within these."""


@dataclass(frozen=True, slots=True)
class Loading:
    """The component is being started, or the data loaded."""

    text: str


@dataclass(frozen=True, slots=True)
class Counting:
    """A variant's answer is being checked and its work counted."""

    label: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Rounds are being timed; `speed_ups` come from the rounds so far, by variant."""

    round: int
    elapsed: float
    remaining: float
    """Seconds that the rounds may still take: an upper bound."""
    variants: tuple[Measured, ...]
    speed_ups: Mapping[str, Interval]


Progress = Loading | Counting | Timing


def run(plan: Plan, tell: Callable[[Progress], None] = lambda _: None) -> Result:
    """Run a probe and return what was measured; `tell` hears of the progress.

    A KeyboardInterrupt after the first complete round ends the run early: the result says
    `interrupted`. Raises AnswersDiffer, CannotRun and its kinds, and KeyboardInterrupt.
    """
    probe = plan.probe
    _check(probe)
    started, begun = datetime.now(UTC), time.perf_counter()
    load_before, spread = machine.load(), machine.burn_in()
    processors = machine.Processors.now()
    tell(Loading(f"starting {probe.backend.__name__}"))
    with probe.backend.serve(plan.location) as service, _gathered(plan, service) as crew:
        tell(Loading("loading the data"))
        crew.ask(Action.SETUP)
        counted = _count(crew, probe, tell)
        variants, stopped = _time(crew, plan, counted, tell)
        component = service.component
    return Result(
        perfkit=version("perfkit"),
        started=started.isoformat(timespec="seconds"),
        duration=round(time.perf_counter() - begun, 3),
        seed=plan.seed,
        budget=plan.budget,
        stopped=stopped,
        probe=probe.name,
        title=probe.title,
        isolation="session" if probe.session else "process",
        component=component,
        params=_given(plan.params),
        counters=dict(probe.work),
        cause=probe.cause,
        answer=_summary(counted[0].answer),
        machine=machine.describe(),
        noise=_noise(variants, spread, load_before, processors),
        variants=variants,
        verdicts=stats.judge(variants),
    )


def _check(probe: Probe[Any, Any]) -> None:
    roles = [str(variant.role) for variant in probe.variants]
    if roles.count("naive") != 1 or "fixed" not in roles:
        raise CannotRun(
            f"the probe '{probe.name}' is not complete",
            why=f"it needs exactly one naive variant and a fixed one; it has: {', '.join(roles)}",
            fix="see 'Adding a probe' in CONTRIBUTING.md",
        )


@contextmanager
def _gathered(plan: Plan, service: Service) -> Iterator[_Crew]:
    """Gather the workers for one service: a fresh process a job, or one for all in a session."""
    if not plan.probe.session:
        yield _Crew(plan, service, Worker)
        return
    with Worker() as lasting:
        yield _Crew(plan, service, lambda: nullcontext(lasting))


class _Crew:
    """Workers for one service."""

    def __init__(
        self, plan: Plan, service: Service, worker: Callable[[], AbstractContextManager[Worker]]
    ) -> None:
        self._plan = plan
        self._service = service
        self._worker = worker
        self._reference = reference.name(plan.probe)

    def ask(self, action: Action, variant: str = "", loops: int = 1) -> Report:
        """Have one job done; raises ComponentLost, else VariantFailed with the probe's words."""
        plan = self._plan
        job = Job(
            self._reference, plan.params, self._service.address, action, variant, loops, VALUES
        )
        try:
            with self._worker() as worker:
                report = worker.ask(job)
        except VariantFailed:
            self._service.check()
            raise
        if not isinstance(report, Failed):
            return report
        self._service.check()
        whose = f"'{variant}'" if variant else "the setup"
        raise VariantFailed(
            f"{whose} of {plan.probe.name} raised {report.kind}",
            why=f"{report.message}\n{_place(report.traceback)}".strip(),
            fix=f"perfkit explain {plan.probe.name} --code",
        )


def _place(trace: str) -> str:
    """Return the last `File ..., line ...` of a traceback."""
    places = [line.strip() for line in trace.splitlines() if line.strip().startswith("File ")]
    return places[-1] if places else ""


def _count(crew: _Crew, probe: Probe[Any, Any], tell: Callable[[Progress], None]) -> list[_Basis]:
    """Count every variant's work twice and hold its answer to the naive one's."""
    naive = next(variant for variant in probe.variants if variant.role == "naive")
    ordered = [naive, *(variant for variant in probe.variants if variant is not naive)]
    bases: dict[str, _Basis] = {}
    for step, variant in enumerate(ordered):
        tell(Counting(variant.label, step + 1, len(ordered)))
        first, second = (_counted(crew, variant) for _ in range(2))
        expected = bases[naive.name].answer if bases else first.answer
        for report in (first, second):
            _hold(expected, report.answer, naive, variant, probe)
        if probe.cause not in first.work:
            raise CannotRun(
                f"nobody here can count the cause of {probe.name}: {probe.cause}",
                why=f"counted were: {', '.join(sorted(first.work)) or 'nothing'}",
                fix="use the embedded component, or a server that grants its statistics",
            )
        work = {
            name: Work(
                value=first.work[name].value,
                exact=name in second.work and first.work[name].value == second.work[name].value,
                witness=first.work[name].witness,
                others=dict(first.work[name].others),
                again=_again(first, second, name),
            )
            for name in probe.work
            if name in first.work
        }
        bases[variant.name] = _Basis(
            variant, first.answer, work, min(first.seconds, second.seconds)
        )
    return [bases[variant.name] for variant in ordered]


def _again(first: Counted, second: Counted, name: str) -> int | None:
    if name not in second.work or second.work[name].value == first.work[name].value:
        return None
    return second.work[name].value


def _counted(crew: _Crew, variant: Variant[Any, Any]) -> Counted:
    report = crew.ask(Action.COUNT, variant.name)
    if not isinstance(report, Counted):
        raise AssertionError(report)
    return report


@dataclass(frozen=True, slots=True)
class _Basis:
    """What the counting pass found of one variant."""

    variant: Variant[Any, Any]
    answer: object
    work: dict[str, Work]
    seconds: float


def _hold(
    expected: object,
    answer: object,
    naive: Variant[Any, Any],
    variant: Variant[Any, Any],
    probe: Probe[Any, Any],
) -> None:
    """Raise AnswersDiffer, saying where but not what: answers may hold a user's data."""
    if answer == expected:
        return
    raise AnswersDiffer(
        f"'{variant.name}' of {probe.name} returned another answer than '{naive.name}'",
        why=_difference(expected, answer),
        fix="a fix that changes the answer is no fix; make both return the same",
    )


def _difference(expected: object, answer: object) -> str:
    if type(expected) is not type(answer):
        return f"a {type(answer).__name__} instead of a {type(expected).__name__}"
    if isinstance(expected, list | tuple) and isinstance(answer, list | tuple):
        if len(expected) != len(answer):
            return f"{len(answer):,} items instead of {len(expected):,}"
        places = [
            i for i, pair in enumerate(zip(expected, answer, strict=True)) if pair[0] != pair[1]
        ]
        return (
            f"{len(places):,} of {len(expected):,} items differ, the first at index {places[0]:,}"
        )
    return f"two values of type {type(answer).__name__} that are not equal"


def _loops(bases: list[_Basis]) -> dict[str, int]:
    """Return the calls a value for each variant, so that all values last about equally long.

    A short value slips between two time slices of a busy machine where a long one does not,
    which would flatter the fix.
    """
    target = min(max(SHORTEST, *(basis.seconds for basis in bases)), LONGEST)
    return {basis.variant.name: max(1, round(target / basis.seconds)) for basis in bases}


def _time(
    crew: _Crew, plan: Plan, bases: list[_Basis], tell: Callable[[Progress], None]
) -> tuple[tuple[Measured, ...], str]:
    """Time rounds until the ratios are precise, the budget is spent or Ctrl-C is pressed."""
    loops = _loops(bases)
    samples: dict[str, list[Sample]] = {basis.variant.name: [] for basis in bases}
    draw = random.Random(plan.seed)  # noqa: S311 (a reproducible order, not a secret)

    def measured() -> tuple[Measured, ...]:
        complete = min(len(taken) for taken in samples.values())
        return tuple(_measured(basis, samples[basis.variant.name][:complete]) for basis in bases)

    if plan.rounds == 0:
        return measured(), "counted"
    begun = time.perf_counter()
    number = 0
    try:
        while True:
            variants = measured()
            speed_ups = stats.speed_ups(variants)
            elapsed = time.perf_counter() - begun
            stopped = _stop(plan, number, elapsed, speed_ups)
            tell(Timing(number, elapsed, _remaining(plan, number, elapsed), variants, speed_ups))
            if stopped:
                return variants, stopped
            for position, basis in enumerate(draw.sample(bases, len(bases))):
                name = basis.variant.name
                report = crew.ask(Action.MEASURE, name, loops[name])
                if not isinstance(report, Values):
                    raise AssertionError(report)
                _hold(bases[0].answer, report.answer, bases[0].variant, basis.variant, plan.probe)
                samples[name].append(_sample(report, number, position, loops[name]))
            number += 1
    except KeyboardInterrupt:
        if not number:
            raise
        return measured(), "interrupted"


def _stop(plan: Plan, number: int, elapsed: float, speed_ups: Mapping[str, Interval]) -> str:
    """Return why to stop after `number` rounds, or nothing to go on."""
    if plan.rounds is not None:
        return "rounds" if number >= plan.rounds else ""
    if number in stats.LOOKS and stats.precise(speed_ups.values()):
        return "precise"
    if number >= stats.LOOKS[-1]:
        return "rounds"
    # Fewer rounds would leave no interval at all, so the budget cannot end the run before.
    if number >= stats.FEWEST and elapsed * (number + 1) / number > plan.budget:
        return "budget"
    return ""


def _remaining(plan: Plan, number: int, elapsed: float) -> float:
    if not number:
        return plan.budget
    each = elapsed / number
    if plan.rounds is not None:
        return each * (plan.rounds - number)
    fewest = max(0, stats.FEWEST - number) * each
    return max(fewest, min(each * (stats.LOOKS[-1] - number), plan.budget - elapsed))


def _sample(values: Values, number: int, position: int, loops: int) -> Sample:
    return Sample(
        round=number,
        position=position,
        loops=loops,
        warm_up=values.warm_up,
        wall=values.wall,
        cpu=values.cpu,
        switches=values.switches,
        run_queue=values.run_queue,
        peak_rss=values.peak_rss,
    )


def _measured(basis: _Basis, samples: list[Sample]) -> Measured:
    variant = basis.variant
    return Measured(
        name=variant.name,
        role=str(variant.role),
        label=variant.label,
        why=variant.why,
        partial=variant.partial,
        work=basis.work,
        samples=tuple(samples),
    )


def _given(params: object) -> dict[str, Given]:
    return {
        parameter.name: Given(getattr(params, parameter.name), parameter.unit)
        for parameter in describe(type(params))
    }


def _summary(answer: object) -> str:
    """Say how much an answer holds, never what: it may be a user's data."""
    if isinstance(answer, list | set | frozenset | dict):
        return "row" if len(answer) == 1 else f"{len(answer):,} rows"
    if isinstance(answer, tuple):
        return "row"
    return {bool: "truth value", int: "number", float: "number", str: "text"}.get(
        type(answer), type(answer).__name__
    )


def _noise(
    variants: tuple[Measured, ...],
    spread: float,
    load_before: float,
    processors: machine.Processors,
) -> Noise:
    samples = [sample for variant in variants for sample in variant.samples]
    wall = sum(sum(sample.wall) * sample.loops for sample in samples)
    waits = [
        None if sample.run_queue is None else sum(sample.run_queue) * sample.loops
        for sample in samples
    ]
    known = [wait for wait in waits if wait is not None]
    return Noise(
        burn_in_spread=spread,
        load_before=load_before,
        load_after=machine.load(),
        steal_share=machine.Processors.now().stolen_since(processors),
        run_queue_share=sum(known) / wall if known and len(known) == len(waits) else None,
        involuntary_switches=sum(sum(sample.switches) for sample in samples),
    )
