"""What people find a missing number with, and perfkit's solvers, all called alike.

Every function takes a file and the promise that it makes, and returns what is missing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import TypeAlias

import numpy as np
import polars as pl
from missing_number_rounds import Answer

from perfkit.missing.folds import xor_below
from perfkit.missing.promise import Promise
from perfkit.missing.solve import solve
from perfkit.missing.solver import Solver
from perfkit.missing.source import Kind, find

SORT = ("sort", "-n", "-S", "64M")
GAPS = """
{ while (due < $1) printf "%.0f\\n", due++; due = $1 + 1 }
END { while (due <= highest) printf "%.0f\\n", due++ }
"""
"""An awk program that prints what ascending lines lack."""
PEAK = r"VmHWM:\s*(\d+) kB"
SHORTEST, LONGEST = 0.001, 0.05
"""Seconds between two looks at the memory of `sort`."""

Process: TypeAlias = "subprocess.Popen[bytes]"


def solve_with(solver: Solver, path: Path, kind: Kind = Kind.BINARY) -> Answer:
    """Run one of perfkit's solvers, on one core."""
    missing, state = solve(find([path], kind), solver)
    return Answer(missing.tolist(), state)


def sort_and_awk(path: Path, promise: Promise) -> Answer:
    """Sort the lines with `sort`, and let awk look for gaps; the memory is that of `sort`.

    What does not fit 64 MB it writes beside the file.
    """
    bounds = ["-v", f"due={promise.lowest}", "-v", f"highest={promise.highest}"]
    alike = {**os.environ, "LC_ALL": "C"}
    with (
        subprocess.Popen([*SORT, "-T", path.parent, path], env=alike, stdout=PIPE) as sort,
        subprocess.Popen(["awk", *bounds, GAPS], stdin=sort.stdout, stdout=PIPE) as awk,
    ):
        memory, printed = _watch(sort, awk)
    if sort.returncode or awk.returncode:
        raise RuntimeError(f"sort ended with {sort.returncode}, awk with {awk.returncode}")
    return Answer([int(line) for line in printed.split()], memory)


def _watch(sort: Process, awk: Process) -> tuple[int, bytes]:
    """Wait for awk, and return the most memory that `sort` had, and what awk printed."""
    memory, pause = 0, SHORTEST
    while True:
        # What the kernel tells afterwards of a child holds our own memory, too.
        with suppress(OSError):
            status = Path(f"/proc/{sort.pid}/status").read_text()
            memory = max([memory, *(1024 * int(size) for size in re.findall(PEAK, status))])
        try:
            return memory, awk.communicate(timeout=pause)[0]
        except subprocess.TimeoutExpired:
            pause = min(2 * pause, LONGEST)


def polars_read(path: Path, promise: Promise) -> Answer:
    """Read the column with polars' `read_csv`; its sum tells the one that is missing."""
    numbers = pl.read_csv(path, has_header=False, schema={"number": pl.Int32})["number"]
    return _lacking(promise, int(numbers.cast(pl.Int64).sum()))


def polars_scan(path: Path, promise: Promise) -> Answer:
    """Do it with polars' `scan_csv`, which streams."""
    lines = pl.scan_csv(path, has_header=False, schema={"number": pl.Int32})
    total = lines.select(pl.col("number").cast(pl.Int64).sum())
    return _lacking(promise, total.collect(engine="streaming").item())


def _lacking(promise: Promise, total: int) -> Answer:
    return Answer([promise.size * (promise.lowest + promise.highest) // 2 - total])


def python_loop(path: Path, promise: Promise) -> Answer:
    """Fold the lines with exclusive or, in Python."""
    folded = xor_of(promise.lowest, promise.highest)
    with path.open() as file:
        for line in file:
            folded ^= int(line)
    return Answer([folded])


def xor_of(lowest: int, highest: int) -> int:
    """Return the exclusive or of a range."""
    return _xor_to_zero(lowest) ^ _xor_to_zero(highest + 1)


def _xor_to_zero(number: int) -> int:
    """Return the exclusive or of 0 to before a number, or of a negative one to before 0."""
    # The negative numbers are the complements of 0, 1, ...
    return xor_below(abs(number)) ^ -(number < 0 and number % 2)


def python_sort(path: Path, promise: Promise) -> Answer:
    """Sort all lines as integers in Python's memory; the memory is that of the list and of them."""
    with path.open() as file:
        numbers = sorted(map(int, file))
    held = sys.getsizeof(numbers) + len(numbers) * sys.getsizeof(numbers[-1])
    return Answer(gaps(numbers, promise), held)


def gaps(ascending: Iterable[int], promise: Promise) -> list[int]:
    """Return what ascending numbers lack."""
    found: list[int] = []
    due = promise.lowest
    for number in ascending:
        if number != due:
            found += range(due, number)
        due = number + 1
    return [*found, *range(due, promise.highest + 1)]


def numpy_sort(path: Path, promise: Promise) -> Answer:
    """Sort a binary file in numpy's memory; the memory is that of its arrays."""
    numbers = np.fromfile(path, np.int32)
    numbers.sort()
    steps = np.diff(numbers)
    jumps = steps != 1
    near = numbers[np.append(np.flatnonzero(jumps), -1)]
    missing = list(range(promise.lowest, int(numbers[0])))
    above = [*numbers[1:][jumps].tolist(), promise.highest + 1]
    for low, high in zip(near.tolist(), above, strict=True):
        missing += range(low + 1, high)
    return Answer(missing, numbers.nbytes + steps.nbytes + jumps.nbytes)
