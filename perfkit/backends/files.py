"""Files on a disk of this machine, in a folder of the run's own.

| work    | witness                                                                |
|---------|------------------------------------------------------------------------|
| read    | the kernel's account of this process, and what was mapped              |
| written | the kernel's account of this process                                   |
| passes  | who opens the input says so                                            |
| memory  | tracemalloc; for programs the kernel's peak of their resident memory   |
| kept    | `memory` and what was written in the same call, together               |

Programs that the code starts count as well. What a program sends here through a pipe is neither
read nor written: it is not kept anywhere.
"""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

from perfkit.errors import CannotRun, ComponentLost, UsageError
from perfkit.model import Location, Tally

if TYPE_CHECKING:
    from perfkit.result import Component

ACCOUNT, OURSELVES, TRACER = "/proc/self/io", "perfkit.backends.files", "tracemalloc"
PEAK = """
import os, resource, sys
status = os.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=sys.stderr)
sys.exit(abs(status))
"""
"""Runs a program and says how much memory it had. A small process of its own must do that: the
kernel counts for a program also what its parent had when it was started."""


@dataclass(frozen=True, slots=True)
class FilesService:
    """A folder that is gone after the run, however that ends."""

    component: Component
    address: str

    def check(self) -> None:
        """Raise ComponentLost when the folder is gone."""
        if not Path(self.address).is_dir():
            raise ComponentLost(f"the folder {self.address} is gone", why="somebody removed it")


class Account(NamedTuple):
    """What this process has read and written so far, with its programs that have ended; bytes."""

    read: int
    written: int
    own: int
    """What reading the account itself adds to the next one."""

    @classmethod
    def now(cls) -> Account:
        """Read the account; raises CannotRun where the kernel keeps none."""
        try:
            with io.FileIO(ACCOUNT) as file:
                text = file.readall()
        except OSError as error:
            raise CannotRun(
                "nobody here can count what is read and written",
                why=f"{ACCOUNT}: {error.strerror}",
                fix="run it on Linux",
            ) from error
        fields = dict(line.split(b": ") for line in text.splitlines())
        return cls(int(fields[b"rchar"]), int(fields[b"wchar"]), len(text))


class Piped(io.RawIOBase):
    """The reading end of a pipe, which counts what comes through."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.through = 0

    def readable(self) -> bool:
        """Yes, it is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer, and count."""
        size = os.readv(self._descriptor, [buffer])
        self.through += size
        return size

    def close(self) -> None:
        """Close the pipe's end, once."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class Files:
    """A folder as a probe's functions see it, and programs that work in it.

    Who maps a file adds to `mapped` what was looked at; who reads the input adds to `opened`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mapped = self.opened = 0
        self._piped = 0
        self._peak: int | None = None

    @classmethod
    @contextmanager
    def serve(cls, location: Location) -> Iterator[FilesService]:
        """Make a folder: among the temporary ones, or inside the one that the location names.

        Raises UsageError for a distance, and for a location that is no folder.
        """
        from perfkit.backends.guarded import Guarded
        from perfkit.result import Component

        if location.rtt:
            raise UsageError(
                "this probe works on files of this machine and takes no --rtt",
                why="there is nothing to be far away from",
                fix="leave --rtt out; --backend may name a folder on another disk",
            )
        inside = Path(location.url).absolute() if location.url else None
        if inside is not None and not inside.is_dir():
            raise UsageError(
                f"--backend {location.url} is no folder",
                why="this probe makes a folder of its own inside it",
                fix="--backend /mnt/disk",
            )
        with Guarded("files", inside) if inside else Guarded("files") as guarded:
            place = "a folder of yours" if inside else "temporary folder"
            component = Component("files", version=file_system(guarded.folder), place=place)
            yield FilesService(component, str(guarded.folder))

    @classmethod
    @contextmanager
    def connect(cls, address: str) -> Iterator[Self]:
        """Go to the folder."""
        yield cls(Path(address))

    @contextmanager
    def counting(self) -> Iterator[dict[str, Tally]]:
        """Count `read`, `written` and `passes`; the dictionary is filled when the block ends."""
        work: dict[str, Tally] = {}
        self.mapped = self.opened = self._piped = 0
        before = Account.now()
        yield work
        after = Account.now()
        read = after.read - before.read - before.own - self._piped
        work["read"] = Tally(read + self.mapped, ACCOUNT)
        work["written"] = Tally(after.written - before.written - self._piped, ACCOUNT)
        work["passes"] = Tally(self.opened, OURSELVES)

    def passes(self) -> tuple[Callable[[], AbstractContextManager[dict[str, Tally]]], ...]:
        """Return what else counts, each with a call of its own."""
        return (self._keeping,)

    @contextmanager
    def _keeping(self) -> Iterator[dict[str, Tally]]:
        """Count `memory` and `kept`; tracing slows the code down."""
        work: dict[str, Tally] = {}
        gc.collect()
        self._peak = self._piped = 0
        tracemalloc.start()
        began, _ = tracemalloc.get_traced_memory()
        before = Account.now()
        try:
            yield work
        finally:
            written = Account.now().written - before.written - self._piped
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            programs, self._peak = self._peak, None
        memory = in_pages(peak - began) + programs
        work["memory"] = Tally(memory, f"{TRACER}, getrusage" if programs else TRACER)
        work["kept"] = Tally(memory + written, f"{TRACER}, {ACCOUNT}")

    @contextmanager
    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[BinaryIO]:
        """Run a program in the folder, and hand out what it prints.

        Raises CannotRun with its last words when it fails, or is not there.
        """
        words = [*command]
        if self._peak is not None:
            words = [sys.executable, "-I", "-S", "-c", PEAK, *words]
        reading, writing = os.pipe()
        pipe = Piped(reading)
        try:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            pipe.close()
            raise CannotRun(f"cannot run {command[0]}", why=str(error.strerror)) from error
        finally:
            os.close(writing)
        with process, io.BufferedReader(pipe) as lines:
            try:
                yield lines
            except BaseException:
                process.kill()
                raise
            said = process.stderr.read() if process.stderr is not None else b""
            if process.wait():
                why = said.decode(errors="replace").strip()
                raise CannotRun(f"{command[0]} failed", why=why)
            self._piped += pipe.through
            if self._peak is not None:
                self._peak = max(self._peak, in_pages(int(said.split()[-1])))


def in_pages(size: int) -> int:
    """Round up to whole pages: what a few bytes more or less are is the interpreter's business."""
    page = 4096
    return -(-size // page) * page


def file_system(folder: Path) -> str:
    """Return what kind of file system a folder is on, such as `ext4`."""
    import psutil

    mounts = [
        (len(part.mountpoint), part.fstype)
        for part in psutil.disk_partitions(all=True)
        if folder.resolve().is_relative_to(part.mountpoint)
    ]
    return max(mounts, default=(0, "unknown"))[1]
