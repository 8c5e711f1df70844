"""This Python interpreter as a place to work in: its lock, and processes beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from perfkit.backends.python import WITNESS, Counting, Python, PythonService
from perfkit.errors import CannotRun
from perfkit.model import Location, Tally

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor
    from types import CodeType, FrameType

WRITTEN = "/proc/self/io"
ASK = "import sys; print('on' if sys._is_gil_enabled() else 'off')"

Item = TypeVar("Item")
Found = TypeVar("Found")


def free_threaded() -> bool:
    """Say whether this Python was built to run without its lock, the GIL."""
    return "t" in sys.abiflags


def gil_is_on() -> bool:
    """Say whether threads of this process need the GIL to run Python code."""
    # New in 3.13; an extension or PYTHON_GIL=1 can switch it back on.
    asked: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return asked is None or asked()


def cores() -> int:
    """Return how many cores this process may use."""
    import os

    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Interpreter(Python):
    """The interpreter, which can have a pool of processes beside it."""

    def __init__(self) -> None:
        self._followed: set[CodeType] = set()
        self._pool: ProcessPoolExecutor | None = None
        self._processes = 0

    @classmethod
    @contextmanager
    def serve(cls, location: Location) -> Iterator[PythonService]:
        """Describe the interpreter and its lock; raises UsageError for a URL or a distance."""
        with Python.serve(location) as service:
            if not free_threaded():
                yield service
                return
            from msgspec.structs import replace

            known = service.component
            version = f"{known.version} free-threaded, GIL {_asked()}"
            yield PythonService(replace(known, version=version))

    @classmethod
    @contextmanager
    def connect(cls, _address: None) -> Iterator[Self]:
        """Hand out the interpreter, and end the processes that were opened."""
        here = cls()
        try:
            yield here
        finally:
            if here._pool is not None:
                here._pool.shutdown(cancel_futures=True)

    def follow(self, function: Callable[..., object]) -> None:
        """Count the calls of this function."""
        self._followed.add(function.__code__)

    def counting(self) -> Following:
        """Count `calls` of the followed functions here, and the bytes `sent` to processes."""
        return Following(self._followed)

    def open_processes(self, many: int) -> None:
        """Start processes that wait for work, all of them now."""
        import os
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        # Forked ones leave no named semaphores behind, however they are ended; and all of them
        # start at the first task. A worker has no threads yet that a fork could harm.
        self._pool = ProcessPoolExecutor(many, mp_context=get_context("fork"))
        self._processes = many
        self._pool.submit(os.getpid).result()

    def in_processes(self, function: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
        """Call the function for each item, each process for one share; raises CannotRun."""
        from concurrent.futures.process import BrokenProcessPool

        if self._pool is None:
            raise AssertionError
        share = -(-len(items) // self._processes)
        try:
            return list(self._pool.map(function, items, chunksize=share))
        except BrokenProcessPool as error:
            raise CannotRun(
                "a process of the pool was ended from outside, in the middle of its work",
                why=f"{type(error).__name__}: {error}",
                fix="look for a memory limit (dmesg names who was killed), or take fewer processes",
            ) from error


class Following(Counting):
    """Counts the calls of some functions, in all threads, and what the process writes."""

    def __init__(self, followed: set[CodeType]) -> None:
        super().__init__()
        self._followed = followed
        # Appending is one step, with and without a GIL.
        self._seen: list[None] = []
        self._written: int | None = None

    def __enter__(self) -> dict[str, Tally]:
        """Begin to count; the dictionary is filled when the block ends."""
        self._written = written()
        return super().__enter__()

    def __exit__(self, *details: object) -> None:
        """Fill the dictionary."""
        super().__exit__(*details)
        self.work.clear()
        self.work["calls"] = Tally(len(self._seen), WITNESS)
        after = written()
        if self._written is not None and after is not None:
            self.work["sent"] = Tally(after - self._written, WRITTEN)

    def _watch(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code in self._followed:
            self._seen.append(None)


def written() -> int | None:
    """Return how many bytes this process has written so far, to whatever; None where unknown."""
    try:
        with open(WRITTEN, "rb") as file:  # noqa: PTH123 (no pathlib in a worker)
            lines = file.read().split(b"\n")
    except OSError:
        return None
    return next((int(line[7:]) for line in lines if line.startswith(b"wchar: ")), None)


def _asked() -> str:
    """Ask a fresh interpreter whether its GIL is on: ours imports more than a worker does."""
    import subprocess

    command = [sys.executable, "-P", "-c", ASK]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
