"""A process that uses a whole core on and off, for seeded times between 0.05 and 4 seconds."""

from __future__ import annotations

import math
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

SHORTEST, LONGEST = 0.05, 4.0
SLICE = 0.02
"""Seconds of work between two looks whether the parent is still there."""


@contextmanager
def hogs(seed: int, *, pinned: bool = False) -> Iterator[None]:
    """Keep one hog a core beside the block; they end with it, whatever ends it.

    `pinned` ones stay on their core, and short times are as likely as long ones, by their order
    of magnitude; others go where the kernel sends them, and all times are equally likely.
    """
    with ExitStack() as stack:
        cores = sorted(os.sched_getaffinity(0)) if pinned else range(os.cpu_count() or 1)
        for core in cores:
            process = stack.enter_context(
                # In a session of its own, so that Ctrl-C reaches the benchmark alone.
                subprocess.Popen(
                    [sys.executable, __file__, str(seed + core), *[str(core)] * pinned],
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                )
            )
            # Before the block of Popen waits for it.
            stack.callback(process.kill)
        yield


def span(draw: random.Random, *, pinned: bool) -> float:
    """Return how long to stay busy, or idle, in seconds."""
    if pinned:
        return math.exp(draw.uniform(math.log(SHORTEST), math.log(LONGEST)))
    return draw.uniform(SHORTEST, LONGEST)


def main() -> None:
    """Toggle until stdin is closed, which the kernel does even when the parent is killed."""
    draw = random.Random(int(sys.argv[1]))
    if pinned := len(sys.argv) > 2:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    busy = False
    while True:
        busy = not busy
        ends = time.monotonic() + span(draw, pinned=pinned)
        while (left := ends - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], 0 if busy else left)[0]:
                return
            pause = time.monotonic() + SLICE
            while busy and time.monotonic() < pause:
                pass


if __name__ == "__main__":
    main()
