"""The files of a section: made for it, gone after it, and read from the cache or from the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from missing_number_rounds import Answer

from perfkit.missing.make import make
from perfkit.missing.promise import Promise
from perfkit.missing.source import Kind

BLOCK = 2**20


@contextmanager
def made(folder: Path, promise: Promise, kind: Kind) -> Iterator[tuple[Path, list[int]]]:
    """Make a file that lacks one number of the range, and say which one."""
    path = folder / f"numbers.{kind}"
    try:
        missing = make(path, promise, 1, kind).missing.tolist()
        # Else the kernel would still write it while we measure, and could not forget it.
        with path.open("rb") as file:
            os.fsync(file.fileno())
        yield path, missing
    finally:
        path.unlink(missing_ok=True)


def read_whole(path: Path) -> Answer:
    """Read the file to its end, and do nothing with it."""
    buffer = bytearray(BLOCK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return Answer(None)


def forget(path: Path) -> None:
    """Drop a file from the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_bytes() -> int:
    """Return how many bytes this process has had read from disks."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["read_bytes"])
