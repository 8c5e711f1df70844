"""What `perfkit missing` leaves: documents for programs, and a few lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from perfkit.units import Unit, show

if TYPE_CHECKING:
    from perfkit.missing.answer import Answer
    from perfkit.missing.choose import Candidate, Task
    from perfkit.missing.make import Made
    from perfkit.missing.promise import Promise

FOUND, PLANNED, WRITTEN = "perfkit.missing/1", "perfkit.missing.plan/1", "perfkit.missing.file/1"
FEW = 2**24
"""Bytes; with less, most of the time goes into loading the compiled loops, so it is no rate."""


class Tried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A solver that was run, and could not name the numbers."""

    solver: str
    why: str
    """Why it was chosen."""
    said: str


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The missing numbers, who named them, and what that took."""

    schema: str = FOUND
    missing: Sequence[int]
    """In ascending order."""
    count: int
    """How many are missing."""
    present: int
    """How many are there."""
    range: tuple[int, int]
    """The first and the last number that could be there."""
    solver: str
    why: str
    """Why this solver was chosen."""
    attempts: tuple[Tried, ...]
    """Solvers that were run before it, and could not name the numbers."""
    proves: str
    """What an answer of this solver proves."""
    passes: int
    """How often the input was read, by all solvers together."""
    read: int
    """Bytes that were copied from the input."""
    mapped: int
    """Bytes that were seen where the operating system keeps them."""
    state: int
    """Bytes of all states at the most."""
    buffers: int
    """Bytes of the buffers."""
    memory: int
    """Bytes that states and buffers might have."""
    jobs: int
    """Threads that read at once."""
    seconds: float
    cpu: float
    """Seconds of processor time of all threads."""


class Considered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A solver for a task: what it takes and proves, or why it is not for it."""

    solver: str
    passes: int
    """At the most; at the least, where nobody knows how many numbers are missing."""
    state: int
    """Bytes."""
    why_not: str
    proves: str


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All solvers for a task, the cheapest first, then those that are not for it."""

    schema: str = PLANNED
    range: tuple[int, int]
    fewest: int
    """How many numbers are missing at the least."""
    most: int | None
    """How many at the most; null where nobody knows."""
    memory: int
    buffers: int
    jobs: int
    solvers: tuple[Considered, ...]


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file that `--make` wrote."""

    schema: str = WRITTEN
    path: str
    format: str
    numbers: int
    """How many are in the file."""
    bytes: int
    missing: Sequence[int]
    """In ascending order."""
    range: tuple[int, int]
    seed: int


def found(answer: Answer, promise: Promise, memory: int) -> Found:
    """Return what was found as a document."""
    *before, last = answer.attempts
    return Found(
        missing=answer.missing.tolist(),
        count=answer.missing.size,
        present=answer.present,
        range=(promise.lowest, promise.highest),
        solver=last.solver,
        why=last.why,
        attempts=tuple(Tried(one.solver, one.why, one.said) for one in before),
        proves=answer.proves,
        passes=answer.reading.passes,
        read=answer.reading.read,
        mapped=answer.reading.mapped,
        state=answer.state,
        buffers=answer.buffers,
        memory=memory,
        jobs=answer.jobs,
        seconds=answer.seconds,
        cpu=answer.cpu,
    )


def planned(task: Task, candidates: Iterable[Candidate]) -> Planned:
    """Return what could be done as a document."""
    promise = task.promise
    return Planned(
        range=(promise.lowest, promise.highest),
        fewest=promise.fewest,
        most=promise.most,
        memory=task.memory,
        buffers=task.buffers,
        jobs=task.jobs,
        solvers=tuple(
            Considered(one.name, one.passes, one.state, one.why_not, one.proves)
            for one in candidates
        ),
    )


def written(made: Made, path: str, kind: str, promise: Promise, seed: int) -> Written:
    """Return what was written as a document."""
    return Written(
        path=path,
        format=kind,
        numbers=made.numbers,
        bytes=made.size,
        missing=made.missing.tolist(),
        range=(promise.lowest, promise.highest),
        seed=seed,
    )


def encode(document: Found | Planned | Written) -> bytes:
    """Write a document as JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def render(document: Found) -> RenderableType:
    """Return how many are missing, who says so, and what that took."""
    total = document.count + document.present
    head = f"{_count(document.count)} of {total:,} {_are(document.count)} missing"
    return _facts(head, _told(document))


def _told(document: Found) -> Iterator[tuple[str, str]]:
    for tried in document.attempts:
        yield "tried", f"{tried.solver}: {tried.why}"
        yield "", f"it said: {tried.said}"
    yield "solver", f"{document.solver}: {document.why}"
    size = document.read + document.mapped
    passes = "one pass" if document.passes == 1 else f"{document.passes} passes"
    rate = f", {size / document.seconds / 1e9:.2g} GB/s" if size >= FEW else ""
    yield "read", f"{show(size, Unit.BYTES)} in {passes}{rate}"
    # A mapped file needs no buffer.
    buffers = f", {show(document.buffers, Unit.BYTES)} of buffers" if document.buffers else ""
    state, memory = show(document.state, Unit.BYTES), show(document.memory, Unit.BYTES)
    yield "memory", f"{state} of state{buffers}; the limit is {memory}"
    wall, cpu = show(document.seconds, Unit.SECONDS), show(document.cpu, Unit.SECONDS)
    yield "time", f"{wall} with {_threads(document.jobs)}; {cpu} of processor time"
    yield "proves", document.proves


def render_written(document: Written) -> RenderableType:
    """Return what was written, and how to write it again."""
    low, high = document.range
    facts = [
        ("file", f"{document.format}, {show(document.bytes, Unit.BYTES)}"),
        ("numbers", f"{document.numbers:,} of {low}..{high}, in an order drawn by a seed"),
        ("missing", f"{len(document.missing):,}"),
        ("seed", str(document.seed)),
    ]
    return _facts(f"wrote {document.path}", facts)


def render_planned(document: Planned) -> RenderableType:
    """Return a row a solver: passes, state and proof, or why it is not for the task."""
    head = (
        f"{document.range[0]}..{document.range[1]}",
        _known(document.fewest, document.most),
        f"{show(document.memory, Unit.BYTES)}, {show(document.buffers, Unit.BYTES)} for buffers",
        _threads(document.jobs),
    )
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(*(Text(name, "dim") for name in ("solver", "passes", "state", "proves")))
    for one in document.solvers:
        if one.why_not:
            table.add_row(Text(one.solver, "dim"), "-", "-", Text(f"no: {one.why_not}", "dim"))
            continue
        # How many narrow down what is missing depends on how much that is, and where.
        bound = "or more" if document.most is None else "or fewer"
        passes = "1" if one.passes == 1 else f"{one.passes} {bound}"
        state = show(one.state, Unit.BYTES)
        table.add_row(Text(one.solver, "bold"), passes, state, one.proves)
    return Group(Text(" · ".join(head)), Text(), table)


def _known(fewest: int, most: int | None) -> str:
    """Say how many numbers may be missing."""
    if most is None:
        return f"at least {fewest:,} missing" if fewest else "any number missing"
    return f"{most:,} missing" if fewest == most else f"{fewest:,} to {most:,} missing"


def _threads(jobs: int) -> str:
    return "1 thread" if jobs == 1 else f"{jobs} threads"


def _facts(head: str, facts: Iterable[tuple[str, str]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(Text(f"  {name}", "dim"), Text(text))
    return Group(Text(head, "bold"), table)


def _count(count: int) -> str:
    return f"{count:,}" if count else "none"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
