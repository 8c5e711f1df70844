"""How much the same code differs by the name of its folder, and what perfkit does about it.

The page of `gated_project` is copied into folders with names of different length, and timed in
fresh processes, in random order: as it is, and with objects placed anew before each value, as
perfkit's workers do (`perfkit.run.worker.scatter`). The figures are ratios of floors of processor
time to the first folder, with 99 % intervals; equal code should have 1.

`--short` runs a few rounds, which proves that it runs.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from gated_project import ORDERS, WORK

from perfkit.stats import floor_ratio

LENGTHS = (1, 6, 12, 24, 48, 96)
ROUNDS, SHORT = 40, 8
VALUES = 17

SAMPLE = f"""
import sys, time
folder, scattered = sys.argv[1:]
sys.path.insert(0, folder)
from perfkit.run.worker import scatter
from work import render_page

render_page()
values = []
for _ in range({VALUES}):
    if scattered == "scattered":
        scatter()
    begun = time.process_time()
    render_page()
    values.append(time.process_time() - begun)
print(min(values))
"""


def sample(folder: Path, how: str) -> float:
    """Return the fastest value of a fresh process, in seconds of processor time."""
    words = [sys.executable, "-P", "-c", SAMPLE, str(folder), how]
    return float(subprocess.run(words, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    """Time every folder both ways in each round, and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few rounds only, as CI runs it")
    rounds = SHORT if parser.parse_args().short else ROUNDS
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as inside:
        folders = [Path(inside, "x" * length) for length in LENGTHS]
        for folder in folders:
            folder.mkdir()
            work = WORK.format(commit="base", orders=ORDERS["base"])
            (folder / "work.py").write_text(work)
        arms = [(folder, how) for folder in folders for how in ("as it is", "scattered")]
        found: dict[tuple[Path, str], list[float]] = {arm: [] for arm in arms}
        for _ in range(rounds):
            for folder, how in draw.sample(arms, len(arms)):
                found[folder, how].append(sample(folder, how))
    print(f"{rounds} rounds; length of the folder's name, ratio to the first, 99 % interval")
    for how in ("as it is", "scattered"):
        print(f"{how}:")
        for length, folder in zip(LENGTHS[1:], folders[1:], strict=True):
            ratio = floor_ratio(found[folder, how], found[folders[0], how], 0.99, draws=2000)
            print(
                f"  {length:>3}  {ratio.ratio:.3f} ({ratio.low or 0:.3f} to {ratio.high or 0:.3f})"
            )


if __name__ == "__main__":
    main()
