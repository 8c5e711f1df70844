"""Choose a solver: the cheapest that can solve it within the memory, by what each one costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perfkit.errors import CannotRun, UsageError
from perfkit.missing.bitmap import Bitmap
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.cells import Cells
from perfkit.missing.folds import Sum, Xor
from perfkit.missing.invariants import MOST, Invariants
from perfkit.missing.power_sums import SPARE, PowerSums
from perfkit.missing.promise import Promise
from perfkit.missing.solver import Solver
from perfkit.missing.source import BUFFER, Kind, buffer_memory
from perfkit.units import Unit, show

# Nanoseconds of processor time a number, of `benchmarks/missing_number.py`, rounded. FAR_CELLS and
# ROOT it does not measure: they are estimates. They put the solvers in order, and do not foretell
# how long another machine takes.
READ = {Kind.TEXT: 6.0, Kind.BINARY: 0.15}
CHECK, POWER, CELLS, FAR_CELLS, COUNT, MARK = 0.15, 0.12, 3.0, 5.0, 0.8, 1.0
NEAR_BITS, FAR_BITS = 2.0, 10.0
NEAR = 2**24
"""Bytes of state that the caches hold."""
ROOT = 3e-7
"""Seconds to find the roots of a polynomial, for the square of its degree."""
BUFFERED = 4
"""The part of the memory that buffers of text may have."""
SMALLEST_BUFFER = 2**10


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be solved, and with what."""

    promise: Promise
    kind: Kind
    memory: int
    """Bytes for all states and buffers; the answer and the mapped file are not among them."""
    jobs: int = 1
    stream: bool = False

    @property
    def buffer(self) -> int:
        """Bytes of text that each thread reads at a time."""
        buffer, share = BUFFER, self.memory // BUFFERED // self.jobs
        while buffer > SMALLEST_BUFFER and buffer_memory(buffer) > share:
            buffer //= 2
        return buffer

    @property
    def buffers(self) -> int:
        """Bytes of all buffers: a binary file is mapped, and needs none."""
        buffered = self.kind is Kind.TEXT or self.stream
        return self.jobs * buffer_memory(self.buffer) * buffered

    @property
    def room(self) -> int:
        """Bytes that one state may have."""
        left = self.memory - self.buffers
        # Each part has a state, and they are added to one more.
        return left // (self.jobs + 1) if self.jobs > 1 else left


@dataclass(frozen=True, slots=True)
class Candidate:
    """A solver for a task: what it would cost, or why it cannot be."""

    name: str
    passes: int = 0
    """At the most; at the least, where nobody knows how many numbers are missing."""
    state: int = 0
    """Bytes."""
    seconds: float = 0.0
    """Of processor time, about, on the machine of the figures above."""
    why_not: str = ""
    proves: str = ""


def build(name: str, task: Task) -> Solver:
    """Return an empty solver; raises UsageError for an unknown name, CannotRun where it cannot."""
    if name not in BUILDERS:
        raise UsageError(
            f"no solver '{name}'",
            why=f"there are: {', '.join(BUILDERS)}",
            fix="leave --solver out",
        )
    return BUILDERS[name](task)


BUILDERS: dict[str, Callable[[Task], Solver]] = {
    Sum.name: lambda task: Sum(task.promise),
    Xor.name: lambda task: Xor(task.promise),
    Invariants.name: lambda task: Invariants(task.promise),
    PowerSums.name: lambda task: PowerSums(task.promise),
    Cells.name: lambda task: Cells(task.promise, task.room),
    BucketCounts.name: lambda task: BucketCounts(task.promise, task.room),
    Bitmap.name: lambda task: Bitmap(task.promise, task.room),
}
"""The solvers, by the names that the command line has for them."""


def candidates(task: Task) -> tuple[Candidate, ...]:
    """Return all solvers: those that can, the cheapest first, then those that cannot."""
    found = [_candidate(name, task) for name in BUILDERS]
    return tuple(sorted(found, key=lambda one: (bool(one.why_not), one.seconds)))


def _candidate(name: str, task: Task) -> Candidate:
    try:
        solver = build(name, task)
    except CannotRun as error:
        return Candidate(name, why_not=": ".join(filter(None, (error.what, error.why))))
    passes, work, extra = _cost(solver, task.promise)
    seconds = task.promise.size * (passes * READ[task.kind] + work) / 1e9 + extra
    why_not = _unfit(solver, task)
    return Candidate(name, passes, solver.state, seconds, why_not, solver.proves)


def _cost(solver: Solver, promise: Promise) -> tuple[int, float, float]:
    """Return the passes, the nanoseconds a number beyond reading, and seconds at the end."""
    most = promise.most or 0
    match solver:
        case PowerSums():
            return 1, CHECK + POWER * (SPARE + most), ROOT * most**2
        case Cells():
            work = CELLS if solver.state <= NEAR else FAR_CELLS
            return 1, CHECK + work, (2**solver.bits - promise.size) * work / 1e9
        case BucketCounts():
            rounds = solver.rounds(max(most, 1))
            return 1 + rounds, CHECK + COUNT + MARK * rounds, 0.0
        case Bitmap():
            return 1, CHECK + (NEAR_BITS if solver.state <= NEAR else FAR_BITS), 0.0
    return 1, CHECK, 0.0


def _unfit(solver: Solver, task: Task) -> str:
    """Return why a solver that can be built is not for this task, or nothing."""
    most = task.promise.most
    match solver:
        case Sum():
            return "the invariants cost the same, and need nobody's word"
        case Invariants() if most is None or most > MOST:
            return f"they name at most {MOST} missing numbers"
        case Cells() if most is not None and most > solver.capacity:
            room = show(solver.state, Unit.BYTES)
            return f"about {solver.capacity:,} missing numbers fit {room}"
        case BucketCounts() if task.stream:
            return "a stream can be read only once"
    return ""


def choose(task: Task, tried: tuple[str, ...] = ()) -> Candidate:
    """Return the cheapest solver that was not tried; raises CannotRun where there is none."""
    every = candidates(task)
    usable = [one for one in every if not one.why_not and one.name not in tried]
    if usable:
        return usable[0]
    raise CannotRun(
        f"no solver can do it within {show(task.memory, Unit.BYTES)}",
        why="\n".join(f"{one.name}: {one.why_not}" for one in every if one.name not in tried),
        fix="more --memory, or say with --k how many are missing",
    )


def reason(task: Task, chosen: Candidate) -> str:
    """Say in a sentence why this solver was chosen."""
    promise = task.promise
    if promise.most is None:
        known = "nobody knows how many are missing"
    elif promise.most == 0:
        known = "none is missing"
    elif promise.fewest == promise.most:
        known = f"{promise.most:,} {'is' if promise.most == 1 else 'are'} missing"
    else:
        known = f"at most {promise.most:,} are missing"
    bound = "at least" if promise.most is None else "at most"
    passes = "one pass" if chosen.passes == 1 else f"{bound} {chosen.passes} passes"
    return f"{known}; {passes} and {show(chosen.state, Unit.BYTES)} of state: the cheapest that can"
