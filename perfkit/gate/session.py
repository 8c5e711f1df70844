"""One run of a gate: read the checks, measure what they speak of, judge them together."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace as changed

from perfkit import decide, scenario
from perfkit.checks import Check, Kind, parse
from perfkit.decide import Sides
from perfkit.errors import AnswersDiffer, Exit, NothingMatched, NotThere, PerfkitError
from perfkit.gate import fitness, stored
from perfkit.gate.revision import Revision, checked_out
from perfkit.gate.stored import Stored
from perfkit.outcome import Gate, Gated, Judged
from perfkit.result import Measured, Result
from perfkit.run import machine
from perfkit.run.course import BASE, CHANGE, Course, Loading, Progress, Rounds, Side
from perfkit.run.orchestrator import run_sides
from perfkit.scenario import Scenario
from perfkit.settings import Project, Settings
from perfkit.verdict import Policy, Word, worst

SAVED = 18
"""Rounds that a base for later should have: those of the two runs are compared unpaired."""
Tell = Callable[[str, Progress], None]
"""Hears the name of a scenario, and where its run is."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a gate is asked for.

    `settings` go before those of scenarios, and those before the project's. `base` is a revision,
    `against` a stored file; with neither, checks that compare with a base are left out.
    `counted` leaves the timed checks out. `saved` says that the result is to be a base later, so
    what checks of `@base` speak of is measured too. `timed` is how many timed checks share the
    error budget where these files do not have them all.
    """

    settings: Settings = field(default_factory=Settings)
    project: Project = field(default_factory=Project)
    base: str = ""
    against: Path | None = None
    counted: bool = False
    saved: bool = False
    timed: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Task:
    """One scenario and the checks that are going to be judged.

    `left_out` were not asked for; `later` are those of them that a later run may compare with.
    """

    name: str
    file: Path
    scenario: Scenario
    settings: Settings
    checks: tuple[Check, ...] = ()
    left_out: int = 0
    later: tuple[Check, ...] = ()
    error: PerfkitError | None = None

    def gated(self, verdict: Word, judged: Sequence[Judged] = (), *, error: str = "") -> Gated:
        """Return what became of the scenario."""
        return Gated(
            name=self.name,
            file=str(self.file),
            title=self.scenario.title,
            verdict=verdict,
            judged=tuple(judged),
            error=error,
            on_inconclusive=self.settings.on_inconclusive or Policy.WARN,
            on_unfit_runner=self.settings.on_unfit_runner or Policy.WARN,
        )


@dataclass(frozen=True, slots=True)
class _Base:
    """What the change is compared with; `error` says why it could not be had."""

    revision: Revision | None = None
    stored: Stored | None = None
    error: PerfkitError | None = None

    def __str__(self) -> str:
        return str(self.revision or (self.stored.file if self.stored else ""))


@dataclass(slots=True)
class _Evidence:
    """A scenario's checks with what was measured for them, to be judged once all are in."""

    task: _Task
    sides: Sides
    decided: dict[Check, Judged] = field(default_factory=dict)
    """Checks that no further evidence is needed for."""
    gated: Gated | None = None
    """What stopped it, where it was stopped."""
    results: dict[str, Result] = field(default_factory=dict)
    unfit: str = ""
    duration: float = 0.0


def run(files: Mapping[str, Path], order: Order, tell: Tell = lambda *_: None) -> Gate:
    """Run a gate over scenario files by name.

    Ctrl-C ends it early: what was measured is judged, and the gate says `interrupted`. Raises
    UnreadableFile (a file or check cannot be read) and NothingMatched, before anything is run.
    """
    started, begun = datetime.now(UTC), time.perf_counter()
    tasks = [_read(name, file, order) for name, file in files.items()]
    _require_checks(tasks, order)
    judged = [task.name for task in tasks if task.checks or not task.left_out]
    # Where nothing at all is left, every scenario says so itself.
    left_out = [task.name for task in tasks if task.name not in judged] if judged else []
    tasks = [task for task in tasks if task.name not in left_out or task.later]
    shared = max(order.timed, sum(check.timed for task in tasks for check in task.checks))
    evidence: list[_Evidence] = []
    interrupted = False
    base = _Base()
    try:
        with ExitStack() as stack:
            base = _base(order, tasks, stack, tell)
            unfit = fitness.unfit_before() if shared else ""
            for task in tasks:
                found = _Evidence(task, Sides({}, {}), unfit=unfit)
                evidence.append(found)
                clock = time.perf_counter()
                try:
                    interrupted = _measure(found, base, order, shared, tell)
                finally:
                    found.duration = round(time.perf_counter() - clock, 3)
                if interrupted:
                    break
    except KeyboardInterrupt:
        interrupted = True
    gated = _judge_all(evidence, shared)
    for task in tasks[len(gated) :]:
        gated.append(task.gated(Word.INCONCLUSIVE, error="interrupted before it began"))
    # What was to be kept and did not run is an error all the same.
    broken = {one.name for one in gated if one.verdict in {Word.ERROR, Word.DIFFERS}}
    left_out = [name for name in left_out if name not in broken]
    return Gate(
        perfkit=version("perfkit"),
        started=started.isoformat(timespec="seconds"),
        duration=round(time.perf_counter() - begun, 3),
        seed=order.seed,
        base=str(base),
        machine=machine.describe(),
        scenarios=tuple(gated),
        verdict=worst([one.verdict for one in gated if one.name not in left_out]),
        interrupted=interrupted,
        left_out=tuple(left_out),
    )


def judge_result(result: Result, checks: Sequence[Check]) -> tuple[Judged, ...]:
    """Judge the checks that need no base by a result of all variants."""
    sides = Sides(_by_name(result.variants), {})
    alone = [check for check in checks if check.kind is not Kind.CHANGE]
    return decide.judge_all([(check, sides) for check in alone])


def judge_again(gate: Gate) -> list[tuple[Gated, Judged, Judged]]:
    """Judge a stored gate from its raw values; return each check as it was and as it is now.

    Checks that were decided by other things than values (no base, an unfit runner) stay.
    """
    kept: list[tuple[Gated, Judged]] = []
    asked: list[tuple[Check, Sides]] = []
    for one in gate.scenarios:
        if one.result is None:
            continue
        base = _by_name(one.base.variants) if one.base is not None else {}
        paired = one.base is None or one.base.started == one.result.started
        sides = Sides(_by_name(one.result.variants), base, paired=paired)
        for judged in one.judged:
            if judged.value is not None:
                kept.append((one, judged))
                asked.append((parse(judged.target, judged.check, gate.base), sides))
    timed = sum(parse(j.target, j.check, "").timed for one in gate.scenarios for j in one.judged)
    now = decide.judge_all(asked, timed)
    return [(one, before, after) for (one, before), after in zip(kept, now, strict=True)]


def expected(read: Scenario, name: str, file: Path, project: Project) -> tuple[Check, ...]:
    """Return the checks of a scenario: its own, and those that the project adds.

    Raises UsageError for a check or parameter that does not fit, CannotRun where the probe does not
    load, or does not run what a check speaks of.
    """
    wanted = dict(read.checks)
    for pattern, added in project.checks.items():
        if fnmatch.fnmatchcase(name, pattern):
            for target, texts in added.items():
                wanted[target] = [*wanted.get(target, []), *texts]
    return changed(read, checks=wanted).expected(str(file))


def _read(name: str, file: Path, order: Order) -> _Task:
    read = scenario.load(file)
    settings = order.settings.over(read.gate).over(order.project)
    task = _Task(name, file, read, settings)
    try:
        # Parameters that do not fit are refused now as well, not after an hour.
        checks = expected(read, name, file, order.project)
    except PerfkitError as error:
        if error.exit is Exit.USAGE:
            raise
        # It cannot run here; the other scenarios can still be judged.
        return replace(task, error=error)
    compared = bool(order.base or order.against)
    kept = tuple(
        check
        for check in checks
        if (compared or check.kind is not Kind.CHANGE) and not (order.counted and check.timed)
    )
    later = tuple(
        check
        for check in checks
        if order.saved and check.kind is Kind.CHANGE and not (order.counted and check.timed)
    )
    return replace(task, checks=kept, left_out=len(checks) - len(kept), later=later)


def _require_checks(tasks: Sequence[_Task], order: Order) -> None:
    """Raise NothingMatched for what was asked for and would judge nothing."""
    if not tasks:
        raise NothingMatched("there is no scenario to judge", fix="perfkit scenario list")
    # Also those that are not judged this time: one scenario can be run alone.
    words = order.project.scenarios
    own = scenario.find(words) if words else scenario.inside(Path(scenario.FOLDER))
    names = dict.fromkeys([*own, *(task.name for task in tasks)])
    for pattern in order.project.checks:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise NothingMatched(
                f"the checks for '{pattern}' match no scenario",
                why=f"there are: {', '.join(names)}",
                fix="correct [tool.perfkit.gate.checks] in pyproject.toml",
            )
    compared = order.base or order.against
    changes = any(check.kind is Kind.CHANGE for task in tasks for check in task.checks)
    if compared and not changes and not any(task.error for task in tasks):
        raise NothingMatched(
            f"no check compares with {compared}",
            why="--counted leaves out those that do"
            if any(task.left_out for task in tasks)
            else "a base was given, and no target ends in @base",
            fix='[checks]\n"fixed@base" = ["time < 5%"]',
        )


def _base(order: Order, tasks: Sequence[_Task], stack: ExitStack, tell: Tell) -> _Base:
    """Bring the base up; where it cannot be had, what needs it is an error and the rest goes on."""
    if order.against is not None:
        return _Base(stored=stored.load(order.against))
    if not order.base:
        return _Base()
    first = tasks[0].name

    def say(text: str) -> None:
        tell(first, Loading(text))

    try:
        build = order.project.build
        return _Base(revision=stack.enter_context(checked_out(order.base, build, say)))
    except PerfkitError as error:
        if error.exit is Exit.USAGE:
            raise
        return _Base(error=error)


def _measure(found: _Evidence, base: _Base, order: Order, shared: int, tell: Tell) -> bool:
    """Measure what a scenario's checks speak of; return whether Ctrl-C ended it early."""
    task = found.task
    if task.error is not None:
        found.gated = task.gated(Word.ERROR, error=_words(task.error))
        return False
    if not task.checks and not task.later:
        why = "its checks need a base, or time" if task.left_out else "it has no checks"
        found.gated = task.gated(Word.NOTHING, error=f"nothing was judged: {why}")
        return False
    try:
        _compare(found, base, order, shared, tell)
    except PerfkitError as error:
        word = Word.DIFFERS if isinstance(error, AnswersDiffer) else Word.ERROR
        found.gated = task.gated(word, error=_words(error))
        return False
    result = found.results[CHANGE]
    found.unfit = found.unfit or fitness.unfit_after(result.noise)
    return result.stopped == "interrupted"


def _compare(found: _Evidence, base: _Base, order: Order, shared: int, tell: Tell) -> None:
    """Run the change, beside its base where there is one and a check asks for it."""
    changes = [check for check in found.task.checks if check.kind is Kind.CHANGE]
    if changes and base.error is not None:
        for check in changes:
            found.decided[check] = _undecided(check, Word.ERROR, _words(base.error))
    sides: tuple[Side, ...] = (Side(),)
    if changes and base.revision is not None:
        sides = base.revision.sides
    then = base.stored.of(found.task.name) if base.stored is not None else None
    try:
        _run(found, sides, then, order, shared, tell)
    except NotThere as absent:
        if len(sides) == 1:
            raise
        # Only what both sides have can be compared; the change alone says which one lacks it.
        _run(found, sides[:1], None, order, shared, tell)
        for check in changes:
            said = f"new: the base does not have it ({absent.what})"
            found.decided[check] = _undecided(check, Word.INCONCLUSIVE, said)
    if base.stored is not None:
        _compare_stored(found, base.stored, changes)


def _run(
    found: _Evidence,
    sides: tuple[Side, ...],
    then: Result | None,
    order: Order,
    shared: int,
    tell: Tell,
) -> None:
    """Run the sides until their checks are decided; `then` is a stored base of one side."""
    task = found.task
    named: set[str] = set()
    timed: set[str] = set()
    for check in (*task.checks, *task.later):
        named |= check.variants
        timed |= check.variants if check.timed and not found.unfit else set()
    stored = _by_name(then.variants) if then is not None else {}

    def settled(rounds: Rounds) -> bool:
        if task.later and max(len(one.samples) for one in rounds[CHANGE]) < SAVED:
            return False
        base = _by_name(rounds[BASE]) if BASE in rounds else stored
        seen = Sides(_by_name(rounds[CHANGE]), base, paired=BASE in rounds)
        asked = [
            (check, seen)
            for check in task.checks
            if check.timed and (check.kind is not Kind.CHANGE or check.variant in base)
        ]
        return decide.decided(decide.judge_all(asked, shared))

    course = Course(
        sides=sides,
        counted=frozenset(named),
        timed=frozenset(timed),
        needed=frozenset(named),
        settled=settled,
        hurried=True,
    )
    plan = task.scenario.plan()._replace(budget=task.settings.seconds, seed=order.seed)
    found.results = run_sides(plan, course, lambda progress: tell(task.name, progress))
    found.sides = Sides(
        _by_name(found.results[CHANGE].variants),
        _by_name(found.results[BASE].variants) if BASE in found.results else {},
    )


def _compare_stored(found: _Evidence, base: Stored, changes: Sequence[Check]) -> None:
    """Take the stored result for the base, or say of each check why it cannot be."""
    result = found.results[CHANGE]
    then = base.of(found.task.name)
    if then is None:
        for check in changes:
            said = f"{base.file.name} does not have this scenario: save it again"
            found.decided[check] = _undecided(check, Word.INCONCLUSIVE, said)
        return
    other = stored.difference(result, then)
    foreign = stored.foreign(result.machine, then.machine)
    found.results[BASE] = then
    found.sides = Sides(found.sides.change, _by_name(then.variants), paired=False)
    for check in changes:
        if other:
            said = f"{base.file.name} measured {other}"
            found.decided[check] = _undecided(check, Word.ERROR, said)
        elif check.variant not in found.sides.base:
            why = {one.name: f"it was not run: {one.why}" for one in then.not_run}
            said = why.get(check.variant, "save it again")
            said = f"{base.file.name} does not have '{check.variant}': {said}"
            found.decided[check] = _undecided(check, Word.INCONCLUSIVE, said)
        elif check.timed and foreign:
            found.decided[check] = _undecided(check, Word.UNFIT, foreign)


def _judge_all(evidence: Sequence[_Evidence], shared: int) -> list[Gated]:
    """Judge every check of the run together, and put each with its scenario."""
    for found in evidence:
        for check in found.task.checks:
            word, said = _unjudged(found, check)
            if word is not None:
                found.decided.setdefault(check, _undecided(check, word, said))
    asked = [
        (found, check)
        for found in evidence
        for check in found.task.checks
        if found.gated is None and check not in found.decided
    ]
    verdicts = decide.judge_all([(check, found.sides) for found, check in asked], shared)
    for (found, check), judged in zip(asked, verdicts, strict=True):
        found.decided[check] = judged
    return [_gated(found) for found in evidence]


def _unjudged(found: _Evidence, check: Check) -> tuple[Word | None, str]:
    """Return why a check cannot be judged by what was measured, if it cannot."""
    if not found.sides.change:
        return Word.INCONCLUSIVE, "interrupted before anything was measured"
    if check.timed and found.unfit:
        return Word.UNFIT, found.unfit
    return None, ""


def _gated(found: _Evidence) -> Gated:
    if found.gated is not None:
        return changed(found.gated, duration=found.duration)
    judged = [found.decided[check] for check in found.task.checks]
    error = "" if judged else "its checks need a base: it was measured for a later run"
    return changed(
        found.task.gated(worst([one.verdict for one in judged]), judged, error=error),
        duration=found.duration,
        unfit=found.unfit,
        result=found.results.get(CHANGE),
        base=found.results.get(BASE),
    )


def _undecided(check: Check, word: Word, said: str) -> Judged:
    return Judged(check.target, check.text, word, said, limit=check.limit)


def _words(error: PerfkitError) -> str:
    return ": ".join(filter(None, (error.what, error.why)))


def _by_name(variants: Sequence[Measured]) -> dict[str, Measured]:
    return {variant.name: variant for variant in variants}
