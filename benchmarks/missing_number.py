"""What a missing number costs to find: perfkit's solvers against the machine, and against peers.

    python benchmarks/missing_number.py                     # all but the full file
    python benchmarks/missing_number.py --only text growth
    python benchmarks/missing_number.py --full              # 16 GiB of disk, deleted after

`binary` reads a file from the page cache, `cold` from the disk; `text` has one number a line;
`unknown` makes its numbers in memory; `growth` draws how the cost grows. Contenders take turns
within a round, ratios are of rounds, and every answer is checked. A missed goal is the exit
code 1. Raw values go to recorded/missing_number.json, section by section, and the drawing of
`growth` to docs/images, and the tables of the documentation are written again.

`--short` runs small files a few times, which proves that it runs and that the answers are right; so
little cannot say how fast, so no goal decides the exit code, and nothing is recorded.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from shutil import which
from typing import Any, NoReturn

import missing_number_plot
import numpy as np
from goal import options, save
from missing_number_files import disk_bytes, forget, made, read_whole
from missing_number_growth import around_zero, grow
from missing_number_peers import (
    SORT,
    polars_read,
    polars_scan,
    python_loop,
    solve_with,
    sort_and_awk,
)
from missing_number_plot import PICTURE, RECORDED
from missing_number_rounds import (
    MISSED,
    Action,
    Answer,
    Goal,
    Rounds,
    Took,
    judge,
    require_right,
    say_goal,
    say_speed,
    table,
    take_turns,
    timed,
)
from missing_number_table import COLD_GOALS, TEXT_GOALS, XOR_GOALS, write_table
from numpy.typing import NDArray

from perfkit.errors import PerfkitError
from perfkit.missing.cells import Cells
from perfkit.missing.folds import Xor
from perfkit.missing.invariants import Invariants
from perfkit.missing.kernels import Numbers
from perfkit.missing.promise import INT32, Promise
from perfkit.missing.source import WIDTH, Kind
from perfkit.run.machine import describe
from perfkit.units import Unit, show

UNKNOWN, UNKNOWN_GOAL = 50_000, 0.8
"""Missing numbers, and 10**9 bytes a processor second."""
MEMORY = 2**20
FROM_DISK = 0.9
"""The least share of the bytes that come from the disk where a file is cold."""
BLOCK = 2**18
ODD = 0x9E3779B1
"""A factor that spreads neighbours over the whole range: 2**32 over the golden ratio."""


@dataclass(frozen=True)
class Extent:
    """How much is measured; the numbers are powers of two."""

    binary: int = 28
    cold: int = 28
    text: int = 22
    unknown: int = 32
    full: int = 32
    growth: tuple[int, ...] = tuple(range(16, 32, 2))
    rounds: int = 30
    slow_rounds: int = 10
    cold_rounds: int = 60
    """Disks differ from turn to turn."""
    budget: float = 20.0
    """Processor seconds for a point of growth."""


SHORT = Extent(22, 22, 16, 22, 22, (14, 16), rounds=3, slow_rounds=2, cold_rounds=2)


@dataclass(frozen=True)
class Job:
    """Where files are made, how much is measured, and in which order."""

    folder: Path
    extent: Extent
    draw: random.Random
    picture: Path


@dataclass(frozen=True)
class Found:
    """What a section measured, and its verdicts."""

    values: dict[str, Any]
    verdicts: tuple[str, ...] = ()


def binary(job: Job) -> Found:
    """Fold a file that the page cache holds, against reading as much from memory."""
    promise = around_zero(2**job.extent.binary)
    with made(job.folder, promise, Kind.BINARY) as (path, expected):
        words = np.arange(path.stat().st_size // 8, dtype=np.uint64)
        contenders: dict[str, Action] = {
            "memory read": lambda: _read_memory(words),
            "xor": lambda: solve_with(Xor(promise, trusted=True), path),
            "invariants": lambda: solve_with(Invariants(promise), path),
        }
        rounds = job.extent.rounds
        written = _compare(job, path, contenders, expected, XOR_GOALS, rounds)
        # How the page cache cut the file into pieces decides what mapping it costs.
        print("the same file, read back from the disk:")
        forget(path)
        read_whole(path)
        back = _compare(job, path, contenders, expected, (), rounds)
        print(say_speed(back.values["rounds"], "xor", "memory read"))
    return Found({"written": written.values, "read_back": back.values}, written.verdicts)


def cold(job: Job) -> Found:
    """Read a file from the disk, with and without solving it."""
    promise = around_zero(2**job.extent.cold)
    with made(job.folder, promise, Kind.BINARY) as (path, expected):
        contenders: dict[str, Action] = {
            "read()": lambda: read_whole(path),
            "invariants": lambda: solve_with(Invariants(promise), path),
        }
        rounds, before = job.extent.cold_rounds, disk_bytes()
        found = take_turns(contenders, expected, rounds, job.draw, partial(forget, path))
        size = path.stat().st_size
    share = (disk_bytes() - before) / (size * len(contenders) * (rounds + 1))
    print(f"{promise.size:,} numbers, {show(size, Unit.BYTES)}, {share:.0%} of it from the disk")
    goals = COLD_GOALS if share >= FROM_DISK else ()
    if not goals:
        print("no verdict: the file was not cold; --folder may be one on a disk")
    values = {"numbers": promise.size, "bytes": size, "from_disk": share, "rounds": found}
    return Found(values, _tell(found, size, goals))


def text(job: Job) -> Found:
    """Solve a file of lines, against what people use; then one whose lines have equal length.

    In the first one signs and lengths are mixed, as in the file of the whole range.
    """
    promise = around_zero(2**job.extent.text)
    with made(job.folder, promise, Kind.TEXT) as (path, expected):
        contenders: dict[str, Action] = {
            "perfkit": lambda: solve_with(Invariants(promise), path, Kind.TEXT),
            "sort -n | awk": lambda: sort_and_awk(path, promise),
            "polars read_csv": lambda: polars_read(path, promise),
            "polars scan_csv": lambda: polars_scan(path, promise),
            "Python loop": lambda: python_loop(path, promise),
        }
        rounds = job.extent.slow_rounds
        mixed = _compare(job, path, contenders, expected, TEXT_GOALS, rounds)
    lowest = INT32[0]
    promise = Promise(lowest, lowest + 2**job.extent.text - 1)
    print("lines of equal length:")
    with made(job.folder, promise, Kind.TEXT) as (path, expected):
        contenders = {
            "perfkit": lambda: solve_with(Invariants(promise), path, Kind.TEXT),
            "polars read_csv": lambda: polars_read(path, promise),
            "polars scan_csv": lambda: polars_scan(path, promise),
        }
        equal = _compare(job, path, contenders, expected, (), job.extent.rounds)
        for theirs in list(contenders)[1:]:
            print(say_speed(equal.values["rounds"], "perfkit", theirs))
    return Found({"mixed": mixed.values, "equal": equal.values}, mixed.verdicts)


def unknown(job: Job) -> Found:
    """Add numbers made in memory to cells, and name those that were left out."""
    # The first use compiles the loops.
    _stream(8, 3, job.draw)
    numbers = 2**job.extent.unknown
    took, state = _stream(job.extent.unknown, UNKNOWN, job.draw)
    rate = WIDTH * (numbers - UNKNOWN) / took.cpu / 1e9
    met = rate >= UNKNOWN_GOAL and state <= MEMORY
    verdict = "met" if met else MISSED
    print(
        f"{UNKNOWN:,} of {numbers:,} numbers were missing, and all were named in one pass: "
        f"{show(took.cpu, Unit.SECONDS)} of processor time, {show(state, Unit.BYTES)} of state\n"
        f"{rate:.3g} GB/s; goal: at least {UNKNOWN_GOAL} by processor time, "
        f"within {show(MEMORY, Unit.BYTES)}: {verdict}"
    )
    values = {"numbers": numbers, "missing": UNKNOWN, "took": took, "state": state}
    return Found(values, (verdict,))


def _stream(bits: int, missing: int, draw: random.Random) -> tuple[Took, int]:
    """Return what cells took for all numbers of so many bits but a few, and their bytes."""
    solver = Cells(Promise(0, 2**bits - 1), MEMORY)
    positions = np.sort(draw.sample(range(2**bits), missing))
    wall = cpu = 0.0
    for values in blocks(bits, positions):
        took, _ = timed(partial(solver.update, values))
        wall, cpu = wall + took.wall, cpu + took.cpu
    took, found = timed(solver.solve)
    expected = np.sort(scattered(positions, bits))
    require_right("cells", Answer(found.tolist()), expected.tolist())
    return Took(wall + took.wall, cpu + took.cpu), solver.state


def blocks(bits: int, left_out: NDArray[np.int64]) -> Iterator[Numbers]:
    """Yield the numbers of so many bits in blocks, without those at ascending positions."""
    wide = min(BLOCK, 2**bits)
    order = np.random.default_rng(1).permutation(wide)
    places = np.argsort(order)
    for start in range(0, 2**bits, wide):
        first, last = np.searchsorted(left_out, [start, start + wide])
        inside = left_out[first:last] - start
        yield scattered(np.delete(order, places[inside]) + start, bits)


def scattered(positions: NDArray[np.int64], bits: int) -> Numbers:
    """Return the numbers at some positions: neighbours lie far apart."""
    return positions.astype(np.uint32) * np.uint32(ODD) & np.uint32(2**bits - 1)


def full(job: Job) -> Found:
    """Solve the file of all numbers of int32 but one, from the disk, and only read it, once."""
    took = {}
    promise = around_zero(2**job.extent.full)
    with made(job.folder, promise, Kind.BINARY) as (path, expected):
        size, before = path.stat().st_size, disk_bytes()
        contenders: dict[str, Action] = {
            "read()": lambda: read_whole(path),
            "invariants": lambda: solve_with(Invariants(promise), path),
        }
        for name, action in contenders.items():
            forget(path)
            took[name], answer = timed(action)
            require_right(name, answer, expected)
    share = (disk_bytes() - before) / (size * len(contenders))
    print(f"{promise.size:,} numbers, {show(size, Unit.BYTES)}, {share:.0%} of it from the disk")
    print(table({name: [once] for name, once in took.items()}, size))
    speed = took["read()"].wall / took["invariants"].wall
    print(f"the answer is right; invariants have {speed:.0%} of the speed of read(), by wall time")
    return Found({"numbers": promise.size, "bytes": size, "from_disk": share, "took": took})


def growth(job: Job) -> Found:
    """Measure every solver with ever more numbers, and draw it."""
    points = list(grow(job.folder, job.extent.growth, job.extent.budget))
    values = [asdict(point) for point in points]
    last = {point.name: point for point in points}
    wide = max(len(name) for name in last)
    print(f"  {'':<{wide}} {'numbers':>13}  processor   each      memory")
    for name, point in last.items():
        each = show(point.cpu / point.numbers, Unit.SECONDS)
        seconds, memory = show(point.cpu, Unit.SECONDS), show(point.memory, Unit.BYTES)
        print(f"  {name:<{wide}} {point.numbers:>13,} {seconds:>10} {each:>8} {memory:>10}")
    missing_number_plot.write(values, job.picture)
    return Found({"budget": job.extent.budget, "points": values})


SECTIONS: dict[str, Callable[[Job], Found]] = {
    "binary": binary,
    "cold": cold,
    "text": text,
    "unknown": unknown,
    "full": full,
    "growth": growth,
}


def _compare(
    job: Job,
    path: Path,
    contenders: dict[str, Action],
    expected: Sequence[int],
    goals: Sequence[Goal],
    rounds: int,
) -> Found:
    size = path.stat().st_size
    found = take_turns(contenders, expected, rounds, job.draw)
    print(f"{show(size, Unit.BYTES)}, {rounds} rounds")
    return Found({"bytes": size, "rounds": found}, _tell(found, size, goals))


def _tell(found: Rounds, size: int, goals: Sequence[Goal]) -> tuple[str, ...]:
    """Print the table and the ratios, and return the verdicts."""
    print(table(found, size))
    verdicts = tuple(judge(found, goal) for goal in goals)
    for goal, verdict in zip(goals, verdicts, strict=True):
        print(f"{say_speed(found, goal.ours, goal.theirs)}; {say_goal(goal, verdict)}")
    return verdicts


def _read_memory(words: NDArray[np.uint64]) -> Answer:
    np.bitwise_xor.reduce(words)
    return Answer(None)


def measured() -> dict[str, Any]:
    """Say when, where and with what."""
    machine = describe()
    # The version alone: the rest says whose kernel it is.
    system = f"{machine.system} {machine.kernel.partition('-')[0]}"
    sort = subprocess.run([SORT[0], "--version"], check=True, capture_output=True, text=True)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{machine.cores} cores of {machine.cpu}, {system}, {machine.python}",
        "tools": {name: version(name) for name in ("perfkit", "numpy", "numba", "polars")}
        | {"sort": sort.stdout.partition("\n")[0], "awk": Path(which("awk") or "").resolve().name},
    }


def keep(path: Path, section: str, values: dict[str, Any]) -> None:
    """Put the raw values of a section into the file, beside those of the others."""
    kept = json.loads(path.read_bytes()) if path.exists() else {}
    save(path, kept | {section: values})


def main() -> None:
    """Measure the sections that are asked for, and hold them to their goals."""
    parser = options(__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION")
    parser.add_argument("--full", action="store_true", help="the full file too, and growth to it")
    parser.add_argument("--folder", type=Path, help="where files are made, for as long as it takes")
    given = parser.parse_args()
    # Whoever ends it, it cleans up.
    signal.signal(signal.SIGTERM, stop)
    try:
        verdicts = run(given)
    except KeyboardInterrupt:
        sys.exit(130)
    except PerfkitError as error:
        sys.exit(f"error: {error}")
    sys.exit(MISSED in verdicts and not given.short)


def stop(*_: object) -> NoReturn:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def run(given: argparse.Namespace) -> list[str]:
    """Run the sections, and return all verdicts."""
    extent = SHORT if given.short else Extent()
    if given.full and not given.short:
        extent = replace(extent, growth=(*extent.growth, extent.full))
    names = given.only or [name for name in SECTIONS if name != "full" or given.full]
    verdicts: list[str] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as inside:
        folder = Path(inside)
        record = given.json or (folder / "record.json" if given.short else RECORDED)
        picture = folder / "growth.svg" if given.short else PICTURE
        job = Job(folder, extent, random.Random(1), picture)
        for name in names:
            print(f"{name}:")
            head = measured()
            found = SECTIONS[name](job)
            keep(record, name, head | found.values)
            verdicts += found.verdicts
            print(flush=True)
    if record == RECORDED:
        write_table()
    return verdicts


if __name__ == "__main__":
    main()
