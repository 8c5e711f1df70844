"""Which numbers are missing from these files: choose a solver, run it, and go on where it stops."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from perfkit.errors import CannotDecode, CannotRun
from perfkit.missing.choose import Task, build, choose, reason
from perfkit.missing.promise import Promise
from perfkit.missing.solve import solve
from perfkit.missing.solver import Missing
from perfkit.missing.source import Reading, Source

SMALL = 2**24
"""Bytes of input that are not worth a thread."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A solver that was run: why it was chosen, and how it ended."""

    solver: str
    why: str
    said: str = ""
    """What it said where it could not decode."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is missing, who found it, and what that took."""

    missing: Missing
    present: int
    attempts: tuple[Attempt, ...]
    """The last one found it."""
    proves: str
    reading: Reading
    state: int
    """Bytes of all states at the most."""
    buffers: int
    """Bytes of the buffers of text."""
    jobs: int
    seconds: float
    cpu: float
    """Seconds of processor time of all threads."""


Start = Callable[[str, int], None]
"""Hears of a solver that begins, and of the bytes of one pass."""


def find_missing(
    source: Source,
    promise: Promise,
    memory: int,
    *,
    jobs: int | None = None,
    solver: str = "",
    start: Start = lambda _name, _size: None,
    tell: Callable[[int], None] = lambda _: None,
) -> Answer:
    """Name the missing numbers; `jobs` threads, or as many as there are cores.

    Raises UnreadableFile, BrokenPromise, and CannotRun where no solver can within `memory` bytes.
    """
    begun, processor = time.perf_counter(), time.process_time()
    task = plan(source, promise, memory, jobs=jobs, solver=solver)
    attempts: tuple[Attempt, ...] = ()
    reading, state = Reading(), 0
    while True:
        name, why = solver, "asked for"
        if not solver:
            chosen = choose(task, tuple(attempt.solver for attempt in attempts))
            name, why = chosen.name, reason(task, chosen)
        start(name, source.size)
        built = build(name, task)
        try:
            missing, took = solve(
                source, built, jobs=task.jobs, buffer=task.buffer, reading=reading, tell=tell
            )
        except CannotDecode as error:
            if solver or source.stream:
                raise
            attempts += (Attempt(name, why, error.what),)
            state = max(state, built.state)
            task = replace(task, promise=_known(promise, built.present))
            continue
        return Answer(
            missing=missing,
            present=built.present,
            attempts=(*attempts, Attempt(name, why)),
            proves=built.proves,
            reading=reading,
            state=max(state, took),
            buffers=task.buffers,
            jobs=task.jobs,
            seconds=time.perf_counter() - begun,
            cpu=time.process_time() - processor,
        )


def plan(
    source: Source,
    promise: Promise,
    memory: int,
    *,
    jobs: int | None = None,
    solver: str = "",
) -> Task:
    """Return the task before anything is read: for one thread where more would not fit.

    Raises BrokenPromise or CannotDecode where the size of a binary file says as much.
    """
    if source.present is not None:
        # A binary file says how many numbers it has, and so how many are missing.
        promise = _known(promise, source.present)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    wanted = 1 if source.stream else jobs or (cores if source.size > SMALL else 1)
    task = Task(promise, source.kind, memory, wanted, source.stream)
    if jobs is None and wanted > 1:
        try:
            build(solver, task) if solver else choose(task)
        except CannotRun:
            return replace(task, jobs=1)
    return task


def _known(promise: Promise, present: int) -> Promise:
    """Return a promise that knows how many are missing; raises where it is not kept."""
    missing = promise.missing(present)
    return replace(promise, fewest=missing, most=missing)
