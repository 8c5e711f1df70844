"""A process that uses a whole core on and off, for seeded times between 0.05 and 4 seconds."""

from __future__ import annotations

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
def hogs(seed: int) -> Iterator[None]:
    """Keep one hog a core beside the block; they end with it, whatever ends it."""
    with ExitStack() as stack:
        for core in range(os.cpu_count() or 1):
            process = stack.enter_context(
                # In a session of its own, so that Ctrl-C reaches the benchmark alone.
                subprocess.Popen(
                    [sys.executable, __file__, str(seed + core)],
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                )
            )
            # Before the block of Popen waits for it.
            stack.callback(process.kill)
        yield


def main() -> None:
    """Toggle until stdin is closed, which the kernel does even when the parent is killed."""
    draw = random.Random(int(sys.argv[1]))
    busy = False
    while True:
        busy = not busy
        ends = time.monotonic() + draw.uniform(SHORTEST, LONGEST)
        while (left := ends - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], 0 if busy else left)[0]:
                return
            pause = time.monotonic() + SLICE
            while busy and time.monotonic() < pause:
                pass


if __name__ == "__main__":
    main()
