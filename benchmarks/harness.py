"""What one more worker process costs besides the values it times: perfkit against pyperf.

Both time the same function (about 10 ms of pure Python) with one warm-up and four values a
worker. Each side is run as a whole command twice, with few workers and with many. What a worker
costs is the difference of the two wall times, less the time inside warm-ups and values, divided
by the difference in workers. What is paid once (starting up; in perfkit's case also checking the
answers and counting the work) cancels, and is printed beside it. The two sides take turns.

Goal: at most half of pyperf's.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from goal import compare, options, save

from perfkit.result import load
from perfkit.stats import typical_ratio

GOAL = 0.5
PAIRS, SHORT = 12, 6
FEW, MANY, SHORT_MANY = 4, 40, 12
"""Workers of the two runs of a side."""
HERE = Path(__file__).parent


class Run(NamedTuple):
    """One command: seconds outside the values, and timed workers."""

    outside: float
    workers: int


class Overhead(NamedTuple):
    """Seconds for each further worker, and once."""

    worker: float
    once: float


def run_perfkit(workers: int, file: Path) -> Run:
    """Run perfkit's harness; a round of the probe's two variants starts two workers."""
    wall = timed([str(HERE / "perfkit_side.py"), str(workers // 2), str(file)])
    samples = [sample for variant in load(file).variants for sample in variant.samples]
    inside = sum((sample.warm_up + sum(sample.wall)) * sample.loops for sample in samples)
    return Run(wall - inside, len(samples))


def run_pyperf(workers: int, file: Path) -> Run:
    """Run pyperf's."""
    file.unlink(missing_ok=True)
    wall = timed([str(HERE / "pyperf_side.py"), "-q", "-p", str(workers), "-o", str(file)])
    (benchmark,) = json.loads(file.read_bytes())["benchmarks"]
    runs = benchmark["runs"]
    inside: float = sum(
        sum(took for _, took in worker["warmups"]) + sum(worker["values"]) for worker in runs
    )
    return Run(wall - inside, len(runs))


def timed(words: list[str]) -> float:
    """Run a Python script quietly and return its wall time; its errors are shown."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def overhead(side: Callable[[int, Path], Run], many: int, file: Path) -> Overhead:
    """Return what a side costs, from a run with few workers and one with many."""
    small, large = side(FEW, file), side(many, file)
    worker = (large.outside - small.outside) / (large.workers - small.workers)
    return Overhead(worker, small.outside - worker * small.workers)


def main() -> None:
    """Measure pairs in random order, and hold the ratio to the goal."""
    given = options(__doc__).parse_args()
    pairs, many = (SHORT, SHORT_MANY) if given.short else (PAIRS, MANY)
    draw = random.Random(1)
    sides = {"perfkit": run_perfkit, "pyperf": run_pyperf}
    found: dict[str, list[Overhead]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(pairs):
            for name in draw.sample(list(sides), 2):
                found[name].append(overhead(sides[name], many, Path(folder, f"{name}.json")))
    print(f"overhead, {pairs} pairs of {FEW} and {many} workers each")
    for name, overheads in found.items():
        each = [one.worker for one in overheads]
        once = median(one.once for one in overheads)
        print(f"  {name:<8} {median(each) * 1e3:6.1f} ms a worker", end="")
        print(f"  ({min(each) * 1e3:.1f} to {max(each) * 1e3:.1f}), {once * 1e3:.0f} ms once")
    ours, theirs = ([one.worker for one in found[name]] for name in sides)
    ratio = typical_ratio(ours, theirs)
    save(given.json, {name: [list(one) for one in overheads] for name, overheads in found.items()})
    between = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low and ratio.high else ""
    print(
        f"a worker of perfkit costs {ratio.ratio:.2f} times{between} of pyperf's;"
        f" goal: at most {GOAL}: {compare(ratio.low, ratio.high, GOAL)}"
    )


if __name__ == "__main__":
    main()
