"""What a worker process costs besides the values it times: perfkit's harness against pyperf's.

Both time the same function (about 10 ms of pure Python) with one warm-up and four values a
worker. Each side is a whole command, from its start to its end. The overhead is its wall time
less the time inside warm-ups and values, divided by the number of workers it started. perfkit's
includes what pyperf does not do: the setup worker and two untimed workers a variant that check
the answers and count the work, whose calls are not taken off. The two sides take turns.

Goal: at most half of pyperf's.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from goal import compare, options, save

from perfkit.result import load
from perfkit.stats import typical_ratio

GOAL = 0.5
PAIRS, SHORT = 10, 6
ROUNDS, SHORT_ROUNDS = 15, 2
"""Timed rounds of perfkit's run; each starts two workers."""
UNTIMED = 5
"""perfkit's further workers: one loads, two a variant count."""
HERE = Path(__file__).parent


def perfkit_overhead(rounds: int, file: Path) -> float:
    """Return the seconds a worker that perfkit takes besides its values."""
    wall = timed([str(HERE / "perfkit_side.py"), str(rounds), str(file)])
    samples = [sample for variant in load(file).variants for sample in variant.samples]
    inside = sum((sample.warm_up + sum(sample.wall)) * sample.loops for sample in samples)
    return (wall - inside) / (len(samples) + UNTIMED)


def pyperf_overhead(workers: int, file: Path) -> float:
    """Return the seconds a worker that pyperf takes besides its values."""
    file.unlink(missing_ok=True)
    wall = timed([str(HERE / "pyperf_side.py"), "-q", "-p", str(workers), "-o", str(file)])
    (benchmark,) = json.loads(file.read_bytes())["benchmarks"]
    runs = benchmark["runs"]
    inside: float = sum(
        sum(took for _, took in worker["warmups"]) + sum(worker["values"]) for worker in runs
    )
    return (wall - inside) / len(runs)


def timed(words: list[str]) -> float:
    """Run a Python script quietly and return its wall time; its errors are shown."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Measure pairs in random order, and hold the ratio to the goal."""
    given = options(__doc__).parse_args()
    pairs, rounds = (SHORT, SHORT_ROUNDS) if given.short else (PAIRS, ROUNDS)
    workers = 2 * rounds + UNTIMED
    draw = random.Random(1)
    seconds: dict[str, list[float]] = {"perfkit": [], "pyperf": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(pairs):
            for side in draw.sample(list(seconds), 2):
                file = Path(folder, f"{side}.json")
                seconds[side].append(
                    perfkit_overhead(rounds, file)
                    if side == "perfkit"
                    else pyperf_overhead(workers, file)
                )
    print(f"overhead a worker, {pairs} pairs of {workers} workers each")
    for name, values in seconds.items():
        middle = sorted(values)[len(values) // 2]
        print(f"  {name:<8} {middle * 1e3:6.1f} ms  ({min(values) * 1e3:.1f}", end="")
        print(f" to {max(values) * 1e3:.1f})")
    ratio = typical_ratio(seconds["perfkit"], seconds["pyperf"])
    save(given.json, seconds)
    between = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low and ratio.high else ""
    print(
        f"perfkit takes {ratio.ratio:.2f} times{between} of pyperf's overhead;"
        f" goal: at most {GOAL}: {compare(ratio.low, ratio.high, GOAL)}"
    )


if __name__ == "__main__":
    main()
