"""Run a solver over a source: as many passes as it takes, over several parts at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from perfkit.errors import BrokenPromise, CannotRun
from perfkit.missing.solver import Missing, Solver, Stray
from perfkit.missing.source import (
    BUFFER,
    WIDTH,
    Kind,
    Part,
    Reader,
    Reading,
    Source,
    count_lines,
    split,
)

Tell = Callable[[int], None]
"""Hears of the bytes of each block, in any thread."""


class _Stopped(Exception):
    """Another part of the input has failed, or Ctrl-C was pressed."""


def solve(
    source: Source,
    solver: Solver,
    *,
    jobs: int = 1,
    buffer: int = BUFFER,
    reading: Reading | None = None,
    tell: Tell = lambda _: None,
) -> tuple[Missing, int]:
    """Name the missing numbers of a source, with so many threads and bytes of text at a time.

    Returns them, and the bytes of all states at the most; adds to `reading`. Raises UnreadableFile
    or BrokenPromise, saying where; CannotDecode; and CannotRun for a second pass over a stream.
    """
    parts = split(source, jobs) if jobs > 1 else source.parts
    reading = Reading() if reading is None else reading
    state, passes = 0, 0
    while True:
        if passes and source.stream:
            raise CannotRun(
                f"{solver.name} takes another pass, and a stream can be read only once",
                fix="write the input to a file, or raise --memory",
            )
        if len(parts) > 1 and jobs > 1:
            state = max(state, _add_at_once(parts, solver, jobs, buffer, reading, tell))
        else:
            for part in parts:
                _add(part, solver, buffer, reading, tell)
            state = max(state, solver.state)
        reading.passes += 1
        passes += 1
        if not solver.again():
            return solver.solve(), state


def _add(part: Part, solver: Solver, buffer: int, reading: Reading, tell: Tell) -> None:
    """Add a part of the input to a state."""
    reader = Reader(solver.promise, buffer, tell=tell)
    before = 0
    try:
        for values in reader.blocks(part):
            solver.update(values)
            before += values.size
    except Stray as error:
        what = f"{_place(part, before + error.index)}: {error.what}"
        raise BrokenPromise(what, why=error.why, fix=error.fix) from error
    reading.add(reader.reading)


def _place(part: Part, index: int) -> str:
    """Say where the number of that index in a part is."""
    if part.kind is Kind.TEXT:
        return f"line {count_lines(part) + index + 1:,} of {part.name}"
    return f"number {part.start // WIDTH + index + 1:,} of {part.name}"


def _add_at_once(
    parts: tuple[Part, ...], solver: Solver, jobs: int, buffer: int, reading: Reading, tell: Tell
) -> int:
    """Add the parts to a state a thread, then those to the solver; return the bytes of all."""
    stop = threading.Event()

    def heard(size: int) -> None:
        if stop.is_set():
            raise _Stopped
        tell(size)

    # An iterator hands each part to one thread: nothing comes between in its next().
    waiting = iter(parts)

    def work() -> tuple[Solver, Reading]:
        """Add parts to one state as long as there are any."""
        state, own = solver.fresh(), Reading()
        for part in waiting:
            _add(part, state, buffer, own, heard)
        return state, own

    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(work) for _ in range(min(jobs, len(parts)))]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            # Ctrl-C comes here too: the threads must not read on to the end.
            stop.set()
        for one in running:
            error = one.exception() if one.done() else None
            if error is not None and not isinstance(error, _Stopped):
                raise error
    bytes_of_all = solver.state
    for one in running:
        state, own = one.result()
        bytes_of_all += state.state
        solver.merge(state)
        reading.add(own)
    return bytes_of_all
