"""The missing number: a sort keeps every number to name one."""

import heapq
import os
import shutil
import subprocess
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from perfkit import Probe, count, size
from perfkit.backends.files import Files
from perfkit.errors import BrokenPromise, UsageError
from perfkit.extras import require
from perfkit.missing.promise import Promise

if TYPE_CHECKING:
    from perfkit.missing.kernels import Numbers as Block
    from perfkit.missing.solver import Solver
    from perfkit.missing.source import Source


@dataclass(frozen=True)
class Numbers:
    """A shuffled file of the numbers from 1 on, without some."""

    numbers: Annotated[
        int, count("numbers in the range", at_least=1000, at_most=2**30)
    ] = 2**17
    missing: Annotated[
        int,
        count("how many are missing", at_least=0, at_most=50_000),
    ] = 1
    promised: Annotated[
        int,
        count(
            "how many may be missing, 0 where nobody knows",
            at_least=0,
            at_most=50_000,
        ),
    ] = 1
    memory: Annotated[
        int, size("memory for a sort", at_least=2**18)
    ] = 2**30
    binary: bool = False


probe = Probe(
    name="missing-number",
    title="A sort keeps every number to name one",
    backend=Files,
    params=Numbers,
    work={
        "kept": "bytes kept",
        "passes": "passes",
        "read": "bytes read",
        "written": "bytes written",
        "memory": "memory",
    },
    cause="kept",
)

INPUT = "numbers"
A_NUMBER = 48  # bytes: its place in a list, itself, and room to sort
IN_A_RUN = 128  # the same, and once more to write it
IN_A_MERGE = 32  # bytes of a number that waits to be merged
STATE = 2**20  # bytes that a solver may have
BUFFER = 2**16  # bytes of text that a solver reads at a time
MOST_SUMS = 1000  # beyond, sums of powers take too long


@probe.setup
def write(files: Files, numbers: Numbers) -> None:
    """Write the file, in the order that a seed draws."""
    if 0 < numbers.promised < numbers.missing:
        raise UsageError(
            f"{numbers.missing:,} numbers are missing, but at most"
            f" {numbers.promised:,} are promised",
            fix=f"-s promised={numbers.missing}, or -s promised=0",
        )
    require("numba", "solve")
    from perfkit.missing.make import make
    from perfkit.missing.source import Kind

    kind = Kind.BINARY if numbers.binary else Kind.TEXT
    path = files.folder / INPUT
    make(path, promise(numbers), numbers.missing, kind, seed=1)


def promise(numbers: Numbers) -> Promise:
    """Say what may be relied upon."""
    return Promise(1, numbers.numbers, 0, numbers.promised or None)


# What people write: sort, and look for the gap.


def fits(numbers: Numbers) -> str:
    """Leave the external sort to those who need it."""
    enough = A_NUMBER * numbers.numbers <= numbers.memory
    return "the numbers fit in memory" if enough else ""


def too_big(numbers: Numbers) -> str:
    """Do not sort in memory what does not fit."""
    return "" if fits(numbers) else "the numbers do not fit in memory"


def without_gnu_sort(numbers: Numbers) -> str:
    """Say why GNU sort cannot be tried."""
    if numbers.binary:
        return "it reads text"
    program = shutil.which("sort")
    if program is None:
        return "there is no program sort here"
    said = subprocess.run(
        [program, "--version"], capture_output=True, check=False
    )
    return "" if b"GNU" in said.stdout else "the sort here is not GNU's"


@contextmanager
def opened(files: Files, numbers: Numbers) -> Iterator[Iterator[int]]:
    """Read the file number by number."""
    files.opened += 1
    with (files.folder / INPUT).open("rb") as file:
        if not numbers.binary:
            yield map(int, file)
            return
        with FileIO(file.fileno(), closefd=False) as raw:
            length = os.fstat(raw.fileno()).st_size // 4
            yield read_run(raw, 0, length, 2**14)


def read_run(
    file: FileIO, start: int, length: int, block: int
) -> Iterator[int]:
    """Yield some four-byte numbers of a file, block by block."""
    for first in range(start, start + length, block):
        wanted = min(block, start + length - first)
        yield from array(
            "I", os.pread(file.fileno(), 4 * wanted, 4 * first)
        )


def gaps(ordered: Iterable[int], numbers: Numbers) -> list[int]:
    """List what an ascending row leaves out."""
    missing: list[int] = []
    expected = 1
    for number in ordered:
        if not expected <= number <= numbers.numbers:
            raise BrokenPromise(f"{number} is there twice, or foreign")
        if number > expected:
            missing.extend(range(expected, number))
        expected = number + 1
    missing.extend(range(expected, numbers.numbers + 1))
    return missing


@probe.naive("sort and scan", unless=too_big)
def sort_in_memory(files: Files, numbers: Numbers) -> object:
    """Keep all numbers, in order."""
    with opened(files, numbers) as unsorted:
        return gaps(sorted(unsorted), numbers)


@probe.naive("external sort", unless=fits)
def sort_externally(files: Files, numbers: Numbers) -> object:
    """Sort what fits, write it down, and merge what was written."""
    fit = numbers.memory // IN_A_RUN
    with (
        opened(files, numbers) as unsorted,
        FileIO(files.folder / "runs", "w+") as runs,
    ):
        (files.folder / "runs").unlink()
        lengths = []
        while run := sorted(islice(unsorted, fit)):
            runs.write(array("I", run))
            lengths.append(len(run))
            del run
        block = max(1, numbers.memory // IN_A_MERGE // len(lengths))
        starts = (fit * index for index in range(len(lengths)))
        merged = heapq.merge(
            *(
                read_run(runs, start, length, block)
                for start, length in zip(starts, lengths, strict=True)
            )
        )
        return gaps(merged, numbers)


@probe.wrong_lever(
    "sort in threads",
    unless=too_big,
    why="Sorting needs the interpreter's lock, and every number is"
    " still kept.",
)
def sort_in_threads(files: Files, numbers: Numbers) -> object:
    """Sort two halves at the same time, and merge them."""
    with opened(files, numbers) as all_of_them:
        unsorted = list(all_of_them)
    middle = len(unsorted) // 2
    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(
            sorted, (unsorted[:middle], unsorted[middle:])
        )
        return gaps(heapq.merge(*halves), numbers)


@probe.wrong_lever(
    "twice the memory",
    unless=fits,
    why="Fewer runs to merge, and every number is still written.",
)
def sort_in_longer_runs(files: Files, numbers: Numbers) -> object:
    """Give the sort more memory than there is."""
    more = replace(numbers, memory=2 * numbers.memory)
    return sort_externally(files, more)


@probe.wrong_lever(
    "GNU sort, 1 GiB",
    unless=without_gnu_sort,
    why="A better sort is still a sort: it keeps every number.",
)
def sort_with_everything(files: Files, numbers: Numbers) -> object:
    """Buy the sort more threads and more memory."""
    files.opened += 1
    cores = str(os.cpu_count())
    command = ["sort", "-n", "-S", "1G", "--parallel", cores, INPUT]
    with files.run([*command, "-T", "."], {"LC_ALL": "C"}) as lines:
        return gaps(map(int, lines), numbers)


# What helps: a state that does not grow with the file.


def beyond(most: int) -> Callable[[Numbers], str]:
    """Leave out what can name so many numbers only."""

    def unless(numbers: Numbers) -> str:
        if not numbers.promised:
            return "nobody knows how many are missing"
        if numbers.promised > most:
            return f"it names {most:,}, and more may be missing"
        return ""

    return unless


def source(files: Files) -> "Source":
    """Look at the file."""
    from perfkit.missing.source import find

    return find([files.folder / INPUT])


def solved(files: Files, solver: "Solver") -> object:
    """Let a solver read the file."""
    from perfkit.missing.solve import solve
    from perfkit.missing.source import Reading

    took = Reading()
    found, _ = solve(source(files), solver, buffer=BUFFER, reading=took)
    files.mapped += took.mapped
    files.opened += took.passes
    return found.tolist()


@probe.fixed("invariants", unless=beyond(2))
def keep_invariants(files: Files, numbers: Numbers) -> object:
    """Keep a count, two sums and an exclusive or."""
    from perfkit.missing.invariants import Invariants

    return solved(files, Invariants(promise(numbers)))


@probe.fixed("64-bit sum", unless=beyond(1))
def keep_sum(files: Files, numbers: Numbers) -> object:
    """Add up the range, then subtract the file."""
    from perfkit.missing.folds import Sum

    class LongSum(Sum):
        """Add up the range number by number."""

        def _whole(self) -> int:
            return sum(range(self.promise.size))

    return solved(files, LongSum(promise(numbers), trusted=True))


@probe.fixed("closed form", unless=beyond(1))
def keep_sum_only(files: Files, numbers: Numbers) -> object:
    """Know the sum of the range: n (n + 1) / 2."""
    from perfkit.missing.folds import Sum

    return solved(files, Sum(promise(numbers), trusted=True))


@probe.fixed("XOR", unless=beyond(1))
def keep_xor(files: Files, numbers: Numbers) -> object:
    """Keep an exclusive or: what is there twice cancels."""
    from perfkit.missing.folds import Xor

    return solved(files, Xor(promise(numbers), trusted=True))


@probe.fixed("power sums mod p", unless=beyond(MOST_SUMS))
def keep_power_sums(files: Files, numbers: Numbers) -> object:
    """Keep a word for each number that may be missing."""
    from perfkit.missing.power_sums import PowerSums

    return solved(files, PowerSums(promise(numbers)))


@probe.fixed("peeled cells")
def keep_cells(files: Files, numbers: Numbers) -> object:
    """Keep cells that each lack a few numbers."""
    from perfkit.missing.cells import Cells

    return solved(files, Cells(promise(numbers), room(numbers)))


@probe.fixed("bucket counts")
def keep_bucket_counts(files: Files, numbers: Numbers) -> object:
    """Count buckets, then look into those that fall short."""
    from perfkit.missing.bucket_counts import BucketCounts

    return solved(files, BucketCounts(promise(numbers), room(numbers)))


def room(numbers: Numbers) -> int:
    """Return the bytes that a state may have."""
    from perfkit.missing.source import buffer_memory

    return min(STATE, numbers.memory) - buffer_memory(BUFFER)


@probe.fixed("bitmap")
def keep_bits(files: Files, numbers: Numbers) -> object:
    """Keep a bit for each number of the range."""
    from perfkit.missing.bitmap import Bitmap

    enough = numbers.numbers // 8 + 2**10
    return solved(files, Bitmap(promise(numbers), enough))


@probe.fixed(
    "pivot files",
    partial=True,
    why="It needs hardly any memory, and writes the file again, up to"
    " twice.",
)
def split_at_pivots(files: Files, numbers: Numbers) -> object:
    """Write each half down, and go on with the one that falls short."""
    from perfkit.missing.source import Kind, find

    missing: list[int] = []
    halves = [(files.folder / INPUT, 1, numbers.numbers)]
    while halves:
        path, low, high = halves.pop()
        kind = Kind.BINARY if path.name != INPUT else None
        whole = find([path], kind)
        if high - low < BUFFER:
            missing += look_into(files, whole, low, high)
        else:
            halves += split(files, whole, low, high)
        if path.name != INPUT:
            path.unlink()
    return sorted(missing)


def blocks(
    files: Files, whole: "Source", low: int, high: int
) -> Iterator["Block"]:
    """Read the numbers of a half, block by block."""
    from perfkit.missing.source import Reader

    reader = Reader(Promise(low, high), BUFFER)
    yield from reader.blocks(whole.parts[0])
    files.mapped += reader.reading.mapped
    files.opened += whole.parts[0].path.name == INPUT


def look_into(
    files: Files, whole: "Source", low: int, high: int
) -> list[int]:
    """Name what is missing from a half that is small enough."""
    import numpy as np

    there = np.zeros(high - low + 1, np.bool_)
    for numbers in blocks(files, whole, low, high):
        there[numbers - np.uint32(low)] = True
    found: list[int] = (np.flatnonzero(~there) + low).tolist()
    return found


def split(
    files: Files, whole: "Source", low: int, high: int
) -> list[tuple[Path, int, int]]:
    """Write two halves, and return those that fall short."""
    pivot = (low + high) // 2
    lower, upper = (
        files.folder / f"{first}-{last}"
        for first, last in ((low, pivot), (pivot + 1, high))
    )
    with FileIO(lower, "w") as below, FileIO(upper, "w") as above:
        for numbers in blocks(files, whole, low, high):
            small = numbers <= pivot
            below.write(numbers[small].data)
            above.write(numbers[~small].data)
    short = []
    for path, first, last in (
        (lower, low, pivot),
        (upper, pivot + 1, high),
    ):
        if path.stat().st_size < 4 * (last - first + 1):
            short.append((path, first, last))
        else:
            path.unlink()
    return short
