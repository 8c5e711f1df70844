"""One plan on its way: the component up, the data loaded, the work counted, timed round by round.

Everything that touches the probe's code happens in worker processes; only the conditions of its
variants are asked here, once, so that all sides run the same ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from perfkit import reference, stats
from perfkit.errors import (
    AnswersDiffer,
    CannotRun,
    NotApplicable,
    NotThere,
    PerfkitError,
    VariantFailed,
)
from perfkit.model import Plan, Probe, Role, Service, Variant
from perfkit.parameters import describe
from perfkit.result import (
    NOTHING,
    Bound,
    Given,
    Measured,
    Noise,
    NotRun,
    Result,
    Sample,
    Work,
)
from perfkit.run import machine
from perfkit.run.course import CHANGE, Counting, Course, Loading, Progress, Side
from perfkit.run.job import Action, Counted, Failed, Job, Report, Values
from perfkit.run.process import Worker

VALUES, ENOUGH = 4, 1.0
"""Timed values a worker: so many, but no more than fill so many seconds, and one at least."""
SHORTEST, LONGEST = 0.01, 0.05
"""Seconds a value of a variant that is looped: as long as the slowest variant's, within these."""
HURRIED, MOST_VALUES, STRETCH = 0.003, 20, 0.05
"""For gates: only short values slip through between the slices of a busy machine, and the more of
them the likelier. So many at most, and no more than fill such a stretch of seconds."""
ALIKE = 10.0
"""Two sides of a variant that differ by more are not called equally often."""


@contextmanager
def opened(plan: Plan, course: Course, tell: Callable[[Progress], None]) -> Iterator[Trial]:
    """Bring a plan's component up, load the data and count the work, for one or more sides.

    The first side loads the data for all. Raises what `run_sides` does.
    """
    probe, obstacles = plan.probe, require_complete(plan)
    if plan.rounds == 0:
        course = replace(course, timed=frozenset())
    before = _Before()
    what = probe.title if probe.source else probe.backend.__name__
    tell(Loading(f"starting {what}"))
    with probe.backend.serve(plan.location) as service, ExitStack() as stack:
        crews = {
            side.name: stack.enter_context(_gathered(plan, course, service, side))
            for side in course.sides
        }
        tell(Loading("loading the data"))
        next(iter(crews.values())).ask(Action.SETUP)
        bases, found = _count(crews, probe, obstacles, course, tell)
        yield Trial(plan, course, service, crews, bases, obstacles | found, before)


def require_complete(plan: Plan) -> dict[str, str]:
    """Return why variants cannot run with a plan's parameters, by their names.

    Raises CannotRun where nothing is left to compare.
    """
    obstacles = plan.probe.obstacles(plan.params)
    _require_complete(plan.probe, obstacles)
    return obstacles


@contextmanager
def named(name: str) -> Iterator[None]:
    """Say in an error which of several trials it came from."""
    try:
        yield
    except PerfkitError as error:
        if name:
            error.what = f"{name}: {error.what}"
            error.args = (error.what,)
        raise


class _Before:
    """How the machine was before a trial, for the record of its noise."""

    def __init__(self) -> None:
        self.started, self.begun = datetime.now(UTC), time.perf_counter()
        self.load, self.burnt = machine.load(), machine.burn_in()
        self.processors, self.throttled = machine.Processors.now(), machine.throttled()


class Trial:
    """A plan that is up and counted, and is timed turn by turn; `opened` makes one."""

    def __init__(
        self,
        plan: Plan,
        course: Course,
        service: Service,
        crews: Mapping[str, _Crew],
        bases: Sequence[Basis],
        obstacles: Mapping[str, str],
        before: _Before,
    ) -> None:
        self.plan = plan
        self.course = course
        self.timed = [basis for basis in bases if course.times(basis.variant.name)]
        """What has a turn in every round."""
        self.name = ""
        """What an error names it by, where several trials are timed together."""
        self._service = service
        self._crews = crews
        self._bases = bases
        self._obstacles = obstacles
        self._before = before
        self._shares = _shares(self.timed, hurried=course.hurried) if self.timed else {}
        self._samples: dict[tuple[str, str], list[Sample]] = {basis.key: [] for basis in bases}

    def take(self, basis: Basis, number: int, position: int) -> None:
        """Time one turn of a round, in a fresh process; raises AnswersDiffer and CannotRun."""
        name, share = basis.variant.name, self._shares[basis.key]
        crew = self._crews[basis.side.name]
        with named(self.name):
            report = crew.ask(Action.MEASURE, name, share.loops, share.values)
            if not isinstance(report, Values):
                raise AssertionError(report)
            _hold(self._bases[0], report.answer, basis.side, basis.variant, self.plan.probe)
        self._samples[basis.key].append(_sample(report, number, position, share.loops))

    @property
    def rounds(self) -> int:
        """How many rounds are complete."""
        return min((len(self._samples[basis.key]) for basis in self.timed), default=0)

    def measured(self, rounds: int | None = None) -> dict[str, tuple[Measured, ...]]:
        """Return what was measured so far, by the name of the side.

        Of all complete rounds, or of so many: what others have that were timed with it.
        """
        complete = self.rounds if rounds is None else rounds
        return {
            name: tuple(
                _measured(basis, self._samples[basis.key][:complete])
                for basis in self._bases
                if basis.side.name == name
            )
            for name in self._crews
        }

    def results(self, stopped: str, rounds: int | None = None) -> dict[str, Result]:
        """Return a result a side, as `measured`; `stopped` says why no more rounds are timed."""
        plan, probe, before = self.plan, self.plan.probe, self._before
        duration = round(time.perf_counter() - before.begun, 3)
        stalled = machine.throttled_since(before.throttled, duration)
        return {
            name: Result(
                perfkit=version("perfkit"),
                started=before.started.isoformat(timespec="seconds"),
                duration=duration,
                seed=plan.seed,
                budget=plan.budget,
                stopped=stopped,
                probe=probe.name,
                title=probe.title,
                isolation="session" if probe.session else "process",
                component=self._service.component,
                params=_given(plan.params),
                counters=dict(probe.work),
                cause=probe.cause,
                answer=_summary(self._bases[0].answer),
                machine=machine.describe(),
                noise=_noise(variants, before, stalled),
                variants=variants,
                verdicts=stats.judge(variants),
                not_run=_not_run(probe, self._obstacles),
            )
            for name, variants in self.measured(rounds).items()
        }


def _applying(probe: Probe[Any, Any], obstacles: Mapping[str, str]) -> list[Variant[Any, Any]]:
    return [variant for variant in probe.variants if variant.name not in obstacles]


def _not_run(probe: Probe[Any, Any], obstacles: Mapping[str, str]) -> tuple[NotRun, ...]:
    return tuple(
        NotRun(variant.name, str(variant.role), variant.label, obstacles[variant.name])
        for variant in probe.variants
        if variant.name in obstacles
    )


def _require_complete(
    probe: Probe[Any, Any], conditions: Mapping[str, str], found: Mapping[str, str] | None = None
) -> None:
    """Raise CannotRun unless conditions, and what variants found, leave something to compare."""
    obstacles = {**conditions, **(found or {})}
    applying = _applying(probe, obstacles)
    roles = [variant.role for variant in applying]
    if roles.count(Role.NAIVE) == 1 and (Role.FIXED in roles or probe.source is not None):
        return
    has = ", ".join(f"'{variant.name}' ({variant.role})" for variant in applying) or "none"
    needs = f"it needs exactly one naive variant and a fixed one; it has: {has}"
    left = [
        f"'{variant.name}' ({variant.role}) is not run: {variant.why}"
        for variant in _not_run(probe, obstacles)
    ]
    where, other = (" with these parameters", "take other parameters, or ") if left else ("", "")
    if found:
        where, other = " with this component", "take another component, or "
    raise CannotRun(
        f"the probe '{probe.name}' is not complete{where}",
        why="\n".join([needs, *left]),
        fix=f"{other}see 'Adding a probe' in CONTRIBUTING.md",
    )


@contextmanager
def _gathered(plan: Plan, course: Course, service: Service, side: Side) -> Iterator[_Crew]:
    """Gather a side's workers: a fresh process a job, or one for all in a session."""
    fresh = partial(Worker, side.folder, side.path, side.environment)
    if not plan.probe.session:
        yield _Crew(plan, course, service, side, fresh)
        return
    with fresh() as lasting:
        yield _Crew(plan, course, service, side, lambda: nullcontext(lasting))


class _Crew:
    """Workers of one side for one service."""

    def __init__(
        self,
        plan: Plan,
        course: Course,
        service: Service,
        side: Side,
        worker: Callable[[], AbstractContextManager[Worker]],
    ) -> None:
        self.side = side
        self._plan = plan
        self._course = course
        self._service = service
        self._worker = worker
        self._reference = reference.name(plan.probe)

    def count(self, variant: str) -> Counted:
        """Have a variant counted; raises what `ask` does."""
        report = self.ask(
            Action.COUNT, variant, values=VALUES if self._course.times(variant) else 0
        )
        if not isinstance(report, Counted):
            raise AssertionError(report)
        return report

    def ask(
        self, action: Action, variant: str = "", loops: int = 1, values: int = VALUES
    ) -> Report:
        """Have one job done; raises ComponentLost, else VariantFailed with the probe's words.

        Raises NotApplicable where a variant that is to be counted finds that it cannot run.
        """
        plan = self._plan
        job = Job(
            self._reference, plan.params, self._service.address, action, variant, loops, values
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
        if self.side.name != CHANGE:
            whose = f"{whose} at the {self.side.name}"
        if report.kind == NotThere.__name__:
            raise NotThere(
                f"{whose} of {plan.probe.name} is not there", why=report.message, fix=report.fix
            )
        if action is Action.COUNT and not report.applies:
            where = "" if self.side.name == CHANGE else f"at the {self.side.name}: "
            raise NotApplicable(f"{where}{report.message}")
        if report.fix:
            raise VariantFailed(f"{whose}: {report.message}", why=report.why, fix=report.fix)
        raise VariantFailed(
            f"{whose} of {plan.probe.name} raised {report.kind}",
            why=f"{report.message}\n{_place(report.traceback)}".strip(),
            fix="" if plan.probe.source else f"perfkit explain {plan.probe.name} --code",
        )


def _place(trace: str) -> str:
    """Return the last `File ..., line ...` of a traceback."""
    places = [line.strip() for line in trace.splitlines() if line.strip().startswith("File ")]
    return places[-1] if places else ""


def _count(
    crews: Mapping[str, _Crew],
    probe: Probe[Any, Any],
    obstacles: Mapping[str, str],
    course: Course,
    tell: Callable[[Progress], None],
) -> tuple[list[Basis], dict[str, str]]:
    """Count the work of every variant; return it, and why further ones do not apply, by name."""
    applying = _applying(probe, obstacles)
    naive = next(variant for variant in applying if variant.role == "naive")
    ordered = [naive] + [
        variant
        for variant in applying
        if variant is not naive and (course.counted is None or variant.name in course.counted)
    ]
    sides = [crew.side for crew in crews.values()]
    bases: list[Basis] = []
    found: dict[str, str] = {}
    for step, variant in enumerate(ordered):
        tell(Counting(variant.label, step + 1, len(ordered)))
        counted: list[Basis] = []
        try:
            for crew in crews.values():
                counted += [_basis(crew, sides, variant, probe, [*bases, *counted])]
        except NotApplicable as obstacle:
            # At no side then, whatever the other one counted.
            found[variant.name] = obstacle.what
            _require_needed(variant, course, obstacle.what)
            _require_complete(probe, obstacles, found)
        else:
            bases += counted
    return bases, found


def _require_needed(variant: Variant[Any, Any], course: Course, why: str) -> None:
    if variant.name in course.needed:
        raise CannotRun(
            f"'{variant.name}' is not run with this component",
            why=why,
            fix="name the others in its check (a role means it too), or take another component",
        )


def _basis(
    crew: _Crew,
    sides: Iterable[Side],
    variant: Variant[Any, Any],
    probe: Probe[Any, Any],
    bases: Sequence[Basis],
) -> Basis:
    """Count a variant's work twice at one side, and hold its answer to the first one counted."""
    first, second = (crew.count(variant.name) for _ in range(2))
    _require_own(crew.side, sides, variant, first)
    expected = bases[0] if bases else Basis(crew.side, variant, first.answer, {}, 0)
    for report in (first, second):
        _hold(expected, report.answer, crew.side, variant, probe)
    if probe.cause and probe.cause not in first.work:
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
    seconds, bound = min(first.seconds, second.seconds), _bound(first, variant, probe)
    return Basis(crew.side, variant, first.answer, work, seconds, bound)


def _bound(report: Counted, variant: Variant[Any, Any], probe: Probe[Any, Any]) -> Bound | None:
    """Return what a variant predicts; raises VariantFailed where that is nothing to hold it to."""
    if report.bound is None:
        return None
    at_most, reason = report.bound
    if not (math.isfinite(at_most) and at_most > 0):
        raise VariantFailed(
            f"'{variant.name}' of {probe.name} predicts to be {at_most} times faster",
            why="a bound is a finite number above 0, or None",
        )
    return Bound(float(at_most), reason)


def _require_own(
    side: Side, sides: Iterable[Side], variant: Variant[Any, Any], report: Counted
) -> None:
    """Raise CannotRun when a side ran code that is not its own: the comparison would be empty."""
    if side.folder is None or not report.module:
        return
    for module, file in report.modules.items():
        if _astray(module, Path(file).resolve(), side, sides, report.module):
            raise CannotRun(
                f"'{variant.name}' at the {side.name} did not run the code of that revision",
                why=f"{module} was imported from {file}",
                fix="install the project with `pip install -e .`, or name the folder of its code "
                "in PYTHONPATH; or take the check `@base` away",
            )


def _astray(module: str, file: Path, side: Side, sides: Iterable[Side], main: str) -> bool:
    """Say whether a module that a side imported should have come from the side's checkout."""
    own = _root(side)
    if own is None or file.is_relative_to(own):
        return False
    if module == main or module.partition(".")[0] in side.installed:
        return True
    # What this revision has as well; a virtual environment inside the project it has not.
    others = (root for root in map(_root, sides) if root is not None and file.is_relative_to(root))
    return any((own / file.relative_to(root)).exists() for root in others)


def _root(side: Side) -> Path | None:
    root = side.root or side.folder
    return root.resolve() if root is not None else None


def _again(first: Counted, second: Counted, name: str) -> int | None:
    if name not in second.work or second.work[name].value == first.work[name].value:
        return None
    return second.work[name].value


@dataclass(frozen=True, slots=True)
class Basis:
    """What the counting pass found of one variant at one side; timing it is a turn of a round."""

    side: Side
    variant: Variant[Any, Any]
    answer: object
    work: dict[str, Work]
    seconds: float
    bound: Bound | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Name the side and the variant."""
        return self.side.name, self.variant.name


def _hold(
    expected: Basis, answer: object, side: Side, variant: Variant[Any, Any], probe: Probe[Any, Any]
) -> None:
    """Raise AnswersDiffer, saying where but not what: answers may hold a user's data."""
    if answer == expected.answer:
        return
    if (side.name, variant.name) == expected.key:
        raise AnswersDiffer(
            f"'{variant.name}' of {probe.name} does not return the same answer twice",
            why=_difference(expected.answer, answer),
            fix="leave out what changes, such as times and random numbers"
            + (', or set answer = "ignore"' if probe.source else ""),
        )
    whose, than = f"'{variant.name}'", f"'{expected.variant.name}'"
    if side != expected.side:
        whose, than = f"{whose} at the {side.name}", f"{than} at the {expected.side.name}"
    raise AnswersDiffer(
        f"{whose} of {probe.name} returned another answer than {than}",
        why=_difference(expected.answer, answer),
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


@dataclass(frozen=True, slots=True)
class _Share:
    """What one worker is asked to time: so many values of so many calls each."""

    loops: int
    values: int


def _shares(bases: list[Basis], *, hurried: bool) -> dict[tuple[str, str], _Share]:
    """Return what the workers of each variant at each side are asked to time.

    All values last about equally long: a short value slips between two time slices of a busy
    machine where a long one does not, which would flatter the fix. Where a single call lasts longer
    than that, there are fewer values, and as many at all sides.
    """
    shortest = HURRIED if hurried else SHORTEST
    target = min(max(shortest, *(basis.seconds for basis in bases)), LONGEST)
    seconds: dict[tuple[str, str], float] = {}
    for basis in bases:
        # The sides of one variant are called equally often, unless one would take for ever.
        fastest = min(one.seconds for one in bases if one.variant.name == basis.variant.name)
        alike = basis.seconds <= ALIKE * fastest
        seconds[basis.key] = fastest if alike else basis.seconds
    values = min(MOST_VALUES, max(VALUES, round(STRETCH / target))) if hurried else VALUES
    loops = {key: max(1, round(target / each)) for key, each in seconds.items()}
    longest: dict[str, float] = {}
    for basis in bases:
        name = basis.variant.name
        longest[name] = max(longest.get(name, 0.0), loops[basis.key] * basis.seconds)
    return {
        (side, name): _Share(each, max(1, min(values, round(ENOUGH / longest[name]))))
        for (side, name), each in loops.items()
    }


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


def _measured(basis: Basis, samples: list[Sample]) -> Measured:
    variant = basis.variant
    return Measured(
        name=variant.name,
        role=str(variant.role),
        label=variant.label,
        why=variant.why,
        partial=variant.partial,
        work=basis.work,
        samples=tuple(samples),
        bound=basis.bound,
    )


def _given(params: object) -> dict[str, Given]:
    if isinstance(params, Mapping):
        return {name: Given(value) for name, value in params.items()}
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
    known = {bool: "truth value", int: "number", float: "number", str: "text", type(None): NOTHING}
    return known.get(type(answer), type(answer).__name__)


def _noise(variants: tuple[Measured, ...], before: _Before, throttled: float | None) -> Noise:
    samples = [sample for variant in variants for sample in variant.samples]
    wall = sum(sum(sample.wall) * sample.loops for sample in samples)
    waits = [
        None if sample.run_queue is None else sum(sample.run_queue) * sample.loops
        for sample in samples
    ]
    known = [wait for wait in waits if wait is not None]
    return Noise(
        burn_in_spread=machine.spread_of(before.burnt),
        burn_in_crowding=median(before.burnt) / min(before.burnt),
        load_before=before.load,
        load_after=machine.load(),
        steal_share=machine.Processors.now().stolen_since(before.processors),
        throttled_share=throttled,
        run_queue_share=sum(known) / wall if known and len(known) == len(waits) else None,
        involuntary_switches=sum(sum(sample.switches) for sample in samples),
    )
