"""Passes, parts and threads: what is read is counted, and what fails stops all."""

from __future__ import annotations

import math
import os
import random
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from unit.missing.inputs import ROOMY, Input, solvers

from perfkit.errors import BrokenPromise, UnreadableFile
from perfkit.missing import solve as solving
from perfkit.missing import source as source_module
from perfkit.missing.bitmap import Bitmap
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.cells import Cells
from perfkit.missing.invariants import Invariants
from perfkit.missing.power_sums import PowerSums
from perfkit.missing.promise import Promise
from perfkit.missing.solve import solve
from perfkit.missing.solver import Solver
from perfkit.missing.source import Kind, Reading, Source, buffer_memory, find

SIZE = 40_000
PROMISE = Promise(-SIZE // 2, SIZE // 2 - 1)
EACH_KIND = pytest.mark.parametrize("kind", list(Kind))


def draw(missing: int, size: int = SIZE) -> Input:
    order = random.Random(missing)
    gaps = tuple(sorted(order.sample(range(size), missing)))
    return Input(-size // 2, size, gaps, order, 2**9)


def write(path: Path, case: Input, kind: Kind) -> Source:
    values = [value for part in case.parts() for block in part for value in block.view(np.int32)]
    if kind is Kind.BINARY:
        path.write_bytes(np.array(values, "<i4").tobytes())
    else:
        path.write_text("".join(f"{value}\n" for value in values))
    return find([path])


@pytest.fixture
def case() -> Input:
    return draw(2)


@pytest.fixture
def source(tmp_path: Path, case: Input, kind: Kind) -> Source:
    return write(tmp_path / "numbers", case, kind)


@EACH_KIND
@pytest.mark.parametrize("jobs", [1, 3])
def test_every_solver_answers_alike_from_one_thread_and_from_three(
    source: Source, case: Input, jobs: int
) -> None:
    for solver in solvers(case):
        missing, _ = solve(source, solver, jobs=jobs, buffer=2**12)
        assert case.answer == missing.tolist(), solver.name


# Counting


def passes(promise: Promise, gaps: tuple[int, ...], memory: int) -> int:
    """Return how many passes bucket counts take, by what their memory holds."""
    counters = 2 ** min(int(math.log2(memory // 2 // 4)), 17)
    width = max(64, 2 ** math.ceil(math.log2(promise.size)) // counters)
    buckets = math.ceil(promise.size / width)
    rows: int = (memory - 4 * buckets - 32) // (width // 8 + 4)
    return 1 + math.ceil(len({gap // width for gap in gaps}) / rows)


@EACH_KIND
@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("gaps", [0, 2, 50])
@pytest.mark.parametrize("memory", [2**9, 2**10, 2**13, ROOMY])
def test_each_pass_over_the_file_is_counted(
    tmp_path: Path, kind: Kind, jobs: int, gaps: int, memory: int
) -> None:
    case = draw(gaps)
    source = write(tmp_path / "numbers", case, kind)
    expected = passes(PROMISE, case.missing, memory)
    reading, heard = Reading(), list[int]()

    missing, _ = solve(
        source,
        BucketCounts(PROMISE, memory),
        jobs=jobs,
        buffer=2**12,
        reading=reading,
        tell=heard.append,
    )

    assert case.answer == missing.tolist()
    size = (tmp_path / "numbers").stat().st_size
    copied, mapped = (expected * size, 0) if kind is Kind.TEXT else (0, expected * size)
    assert Reading(copied, mapped, expected) == reading
    assert expected * size == sum(heard)


def test_little_memory_takes_many_passes_and_much_takes_two() -> None:
    gaps = draw(50).missing

    assert passes(PROMISE, gaps, 2**9) > 10
    assert passes(PROMISE, gaps, ROOMY) == 2


def look() -> tuple[int, int]:
    """Return the bytes that this process had read before this call, and has read after it."""
    descriptor = os.open("/proc/self/io", os.O_RDONLY)
    try:
        content = os.read(descriptor, 2**12)
    finally:
        os.close(descriptor)
    before = int(content.split(b"rchar: ")[1].split()[0])
    return before, before + len(content)


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the kernel does not count here")
@EACH_KIND
@pytest.mark.parametrize("buffer", [12, 1_000, 2**18])
def test_the_kernel_counts_the_same_bytes(source: Source, case: Input, buffer: int) -> None:
    def take(reading: Reading) -> None:
        solver = BucketCounts(PROMISE, 2**13)
        missing, _ = solve(source, solver, buffer=buffer, reading=reading)
        assert case.answer == missing.tolist()

    # The first time, compiled code is read too.
    take(Reading())
    reading = Reading()
    _, before = look()
    take(reading)
    after, _ = look()

    assert reading.passes == 2
    assert reading.read == after - before


# Memory

BYTES_A_GAP = 16
"""The answer's 8; or, while it is checked: 4 as it was found, 8 in ascending order, 4 to add up."""
OBJECTS = 2**14
"""Open files, generators and the like."""


@pytest.mark.parametrize("memory", [2**18, 2**20])
@pytest.mark.parametrize("buffer", [2**10, 2**16])
@pytest.mark.parametrize("make", [Cells, BucketCounts, Bitmap])
def test_solving_stays_within_the_memory_that_it_says(
    tmp_path: Path,
    make: Callable[[Promise, int], Solver],
    memory: int,
    buffer: int,
) -> None:
    gaps = 5_000
    case = draw(gaps, 2**16)
    source = write(tmp_path / "numbers", case, Kind.TEXT)
    solve(source, make(case.promise(), memory), buffer=buffer)

    tracemalloc.start()
    try:
        missing, state = solve(source, make(case.promise(), memory), buffer=buffer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert case.answer == missing.tolist()
    assert state <= memory
    assert peak <= memory + buffer_memory(buffer) + BYTES_A_GAP * gaps + OBJECTS


def test_further_passes_take_no_more_memory_than_the_second() -> None:
    size, memory, gaps = 2**24, 2**20, 60_000
    there = np.ones(size, bool)
    there[:: size // gaps] = False
    numbers = np.flatnonzero(there).astype(np.uint32)

    def look(solver: Solver) -> int:
        passes = 1
        solver.update(numbers)
        while solver.again():
            solver.update(numbers)
            passes += 1
        return passes

    look(BucketCounts(Promise(0, size - 1), memory))
    tracemalloc.start()
    try:
        passes = look(BucketCounts(Promise(0, size - 1), memory))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert passes > 2
    # What was found so far has four bytes each.
    assert peak <= memory + 4 * (size - numbers.size) + OBJECTS


@pytest.mark.parametrize("memory", [2**15, 2**20])
def test_the_state_is_the_bytes_of_its_arrays(memory: int) -> None:
    case = draw(3)
    invariants = 4 * 8
    states: list[Solver] = [
        Cells(PROMISE, memory),
        BucketCounts(PROMISE, memory),
        Bitmap(PROMISE, memory),
        PowerSums(case.promise(0, 10)),
    ]
    numbers = np.concatenate([block for part in case.parts() for block in part])

    for solver in states:
        assert array_bytes(solver) + invariants == solver.state <= memory, solver.name
        solver.update(numbers)
        while solver.again():
            assert array_bytes(solver) + invariants == solver.state <= memory, solver.name
            solver.update(numbers)


def array_bytes(solver: Solver) -> int:
    # What was found is the answer, and the factors are three numbers that never change.
    arrays = {name: value for name, value in vars(solver).items() if isinstance(value, np.ndarray)}
    return sum(arrays[name].nbytes for name in arrays.keys() - {"_found", "factors"})


@EACH_KIND
def test_the_state_of_several_threads_is_that_of_all(source: Source) -> None:
    one = Bitmap(PROMISE, ROOMY)

    _, state = solve(source, one, jobs=3)

    # That of each part, and the one that they are added to.
    assert 4 * one.state == state


# Threads


class Trouble(Exception):
    """What only a test raises."""


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


@EACH_KIND
@pytest.mark.parametrize("error", [Trouble, KeyboardInterrupt, BrokenPromise])
def test_what_fails_in_one_thread_stops_the_others(
    monkeypatch: pytest.MonkeyPatch, source: Source, error: type[BaseException]
) -> None:
    monkeypatch.setattr(source_module, "WINDOW", 2**12)
    stop = threading.Event()
    monkeypatch.setattr(solving, "threading", SimpleNamespace(Event=lambda: stop))
    together = threading.Barrier(3)
    heard: list[str] = []
    stopped: list[bool] = []
    before = threads()

    def tell(_: int) -> None:
        name = threading.current_thread().name
        heard.append(name)
        if together.wait(30) == 0:
            raise error("enough")
        # Nobody else's block is finished before all were told to stop.
        stopped.append(stop.wait(30))

    with pytest.raises(error, match="enough"):
        solve(source, Invariants(PROMISE), jobs=3, buffer=2**10, tell=tell)

    assert before == threads()
    assert len(set(heard)) == len(heard) == 3
    assert stopped == [True, True]


@EACH_KIND
def test_ctrl_c_in_the_waiting_thread_stops_the_others(
    monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    monkeypatch.setattr(source_module, "WINDOW", 2**12)
    stop, begun = threading.Event(), threading.Barrier(4)
    monkeypatch.setattr(solving, "threading", SimpleNamespace(Event=lambda: stop))
    heard: list[int] = []
    stopped: list[bool] = []
    before = threads()

    def interrupted(*_: object, **__: object) -> None:
        begun.wait(30)
        raise KeyboardInterrupt

    def tell(size: int) -> None:
        heard.append(size)
        begun.wait(30)
        stopped.append(stop.wait(30))

    monkeypatch.setattr(solving, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        solve(source, Invariants(PROMISE), jobs=3, buffer=2**10, tell=tell)

    assert before == threads()
    assert len(heard) == 3
    assert stopped == [True, True, True]


@EACH_KIND
@pytest.mark.parametrize("error", [Trouble, KeyboardInterrupt])
def test_what_fails_in_the_only_thread_leaves_none(
    source: Source, error: type[BaseException]
) -> None:
    before = threads()

    def tell(_: int) -> None:
        raise error

    with pytest.raises(error):
        solve(source, Invariants(PROMISE), tell=tell)
    assert before == threads()


def test_the_error_of_the_part_is_told_and_not_that_the_others_stopped(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_text("".join(f"{value}\n" for value in range(9_000)) + "nine\n" + "1\n" * 9_000)

    with pytest.raises(UnreadableFile, match=rf"^line 9,001 of {path}\b"):
        solve(find([path], Kind.TEXT), Invariants(PROMISE), jobs=3, buffer=64)
