"""Where the numbers are: text or binary files, read in blocks, whole or in parts.

Binary files are mapped, so that nothing is copied; text is read into one small buffer.
"""

from __future__ import annotations

import mmap
import os
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import BrokenPromise, CannotRun, UnreadableFile
from perfkit.missing import text
from perfkit.missing.kernels import Numbers
from perfkit.missing.promise import Promise

WIDTH = 4
"""Bytes of a binary number, the least significant first."""
WINDOW = 2**24
"""Bytes that are mapped at a time: below 4 MiB mapping costs more than reading."""
BUFFER = 2**18
"""Bytes of text that are read at a time where the memory limit does not ask for less."""
SNIFFED = 4096
"""Bytes that tell text from binary."""
STREAM = "-"
"""The name of standard input."""
PRINTABLE = bytes(range(ord(" "), ord("~") + 1)) + b"\t\r\n"


class Kind(StrEnum):
    """How the numbers are written."""

    TEXT = "text"
    BINARY = "binary"


@dataclass(slots=True)
class Reading:
    """How much was read, as the one place that reads counts it."""

    read: int = 0
    """Bytes copied by read()."""
    mapped: int = 0
    """Bytes seen through a mapping."""
    passes: int = 0

    def add(self, other: Reading) -> None:
        """Add what a part of the input took."""
        self.read += other.read
        self.mapped += other.mapped


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file that holds whole numbers; `stop` is None for a stream."""

    path: Path
    kind: Kind
    start: int
    stop: int | None
    signature: tuple[int, int, int]
    """Inode, size and time of change, by which a file is known to be the same."""

    @property
    def size(self) -> int:
        """Bytes; 0 where nobody knows."""
        return 0 if self.stop is None else self.stop - self.start

    @property
    def name(self) -> str:
        """The file's name, for people."""
        return "standard input" if str(self.path) == STREAM else str(self.path)


@dataclass(frozen=True, slots=True)
class Source:
    """The files that hold the numbers, together."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes; 0 for a stream."""
        return sum(part.size for part in self.parts)

    @property
    def kind(self) -> Kind:
        """How the numbers are written."""
        return self.parts[0].kind

    @property
    def stream(self) -> bool:
        """Whether the input can be read only once."""
        return any(part.stop is None for part in self.parts)

    @property
    def present(self) -> int | None:
        """How many numbers there are, where the size tells."""
        return None if self.stream or self.kind is Kind.TEXT else self.size // WIDTH


def find(paths: Sequence[Path], kind: Kind | None = None) -> Source:
    """Look at the files; without a kind, tell text from binary by the first bytes.

    Raises UnreadableFile for what cannot be read, has an odd size, or is of another kind.
    """
    found = [_find(path, kind) for path in paths]
    # An empty file is written in either way.
    told = [part for part in found if part.size or part.stop is None] or found
    for part in told:
        if part.kind is not told[0].kind:
            raise UnreadableFile(
                f"{part.name} is {part.kind}, and {told[0].name} is {told[0].kind}",
                why="files that are read together must be written alike",
            )
    return Source(tuple(replace(part, kind=told[0].kind) for part in found))


def _find(path: Path, kind: Kind | None) -> Part:
    if str(path) == STREAM:
        return Part(path, kind or Kind.TEXT, 0, None, (0, 0, 0))
    try:
        # Who writes to a pipe would be ended if it were opened and closed again.
        if stat.S_ISFIFO(path.stat().st_mode):
            return Part(path, kind or Kind.TEXT, 0, None, (0, 0, 0))
        with path.open("rb", buffering=0) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return Part(path, kind or Kind.TEXT, 0, None, (0, 0, 0))
            head = file.read(SNIFFED)
    except OSError as error:
        raise _unreadable(path, error) from error
    if kind is None:
        kind = Kind.BINARY if head.translate(None, PRINTABLE) else Kind.TEXT
    if kind is Kind.BINARY and about.st_size % WIDTH:
        raise UnreadableFile(
            f"{path} has {about.st_size:,} bytes, which is no whole number of 32-bit integers",
            why="it was cut short, or is text",
            fix="--format text",
        )
    return Part(path, kind, 0, about.st_size, _signature(about))


def _unreadable(path: Path, error: OSError) -> UnreadableFile:
    return UnreadableFile(f"cannot read {path}", why=error.strerror or str(error))


def _signature(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_ino, about.st_size, about.st_mtime_ns


def split(source: Source, parts: int) -> tuple[Part, ...]:
    """Cut the files into about so many stretches of whole numbers."""
    each = max(1, -(-source.size // parts))
    return tuple(piece for part in source.parts for piece in _split(part, each))


def _split(part: Part, each: int) -> Iterator[Part]:
    if part.stop is None or part.size <= each:
        yield part
        return
    with _opened(part) as file:
        start = part.start
        while start < part.stop:
            stop = min(_boundary(file.fileno(), part, start + each), part.stop)
            yield Part(part.path, part.kind, start, stop, part.signature)
            start = stop


def _boundary(descriptor: int, part: Part, near: int) -> int:
    """Return where a number begins, at or behind a place; windows begin at whole pages."""
    if part.kind is Kind.BINARY:
        return -(-near // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
    found = os.pread(descriptor, 2 * text.LONGEST, near - 1).find(b"\n")
    # It is the last line, or too long for a number, which is found where it is read.
    return part.start + part.size if found < 0 else near + found


@dataclass(slots=True)
class Reader:
    """Reads parts in blocks of at most `buffer` bytes of text, and says where it is.

    `tell` hears of the bytes of each block, and may raise to stop; `reading` counts.
    """

    promise: Promise
    buffer: int = BUFFER
    reading: Reading = field(default_factory=Reading)
    tell: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        """Refuse a buffer that a whole line does not fit into."""
        if self.buffer < text.LONGEST:
            raise CannotRun(
                f"a buffer of {self.buffer} bytes holds no line of text",
                why=f"the longest has {text.LONGEST} bytes with its newline",
                fix="--memory=1MiB",
            )

    @property
    def memory(self) -> int:
        """Bytes that reading text takes: the buffer, and the numbers of the shortest lines."""
        return buffer_memory(self.buffer)

    def blocks(self, part: Part) -> Iterator[Numbers]:
        """Yield the numbers of a part, as 32 bits; a block is valid until the next.

        Raises UnreadableFile for a malformed line, BrokenPromise for one outside the range.
        """
        if part.kind is Kind.TEXT:
            return self._text(part)
        return self._stream(part) if part.stop is None else self._mapped(part)

    def _mapped(self, part: Part) -> Iterator[Numbers]:
        with _opened(part) as file:
            descriptor = file.fileno()
            start, stop = part.start, part.start + part.size
            while start < stop:
                length = min(WINDOW, stop - start)
                _require_same(part, descriptor)
                window = _window(part, descriptor, start, length)
                # Of a file that was cut off meanwhile, the kernel would end us at a touch.
                _require_same(part, descriptor)
                numbers = np.frombuffer(window, np.uint32)
                try:
                    yield numbers
                finally:
                    del numbers
                    # Whoever still looks at the block, such as a traceback, keeps the window.
                    with suppress(BufferError):
                        window.close()
                start += length
                self.reading.mapped += length
                self.tell(length)
            _require_same(part, descriptor)

    def _stream(self, part: Part) -> Iterator[Numbers]:
        data = np.empty(self.buffer // WIDTH * WIDTH, np.uint8)
        view = data.data
        with _opened(part) as file:
            filled = 0
            while size := file.readinto(view[filled:]):
                self._count(size)
                filled += size
                if filled == len(view):
                    yield data.view(np.uint32)
                    filled = 0
        if filled % WIDTH:
            raise UnreadableFile("the input ends in the middle of a number")
        yield data[:filled].view(np.uint32)

    def _text(self, part: Part) -> Iterator[Numbers]:
        data = np.zeros(self.buffer + text.PADDING, np.uint8)
        numbers = np.empty(self.buffer // text.SHORTEST + 1, np.uint32)
        low, high = self.promise.lowest, self.promise.highest
        lines = 0
        for stop in self._lines(part, data):
            count, place, fault = text.parse(data, stop, low, high, numbers)
            lines += count
            if fault:
                raise _bad_line(part, bytes(data[place:stop]), lines, self.promise, fault)
            yield numbers[:count]

    def _lines(self, part: Part, data: NDArray[np.uint8]) -> Iterator[int]:
        """Fill `data` with whole lines, again and again; yield where the last one ends."""
        view, kept, left = data.data[: self.buffer], 0, part.size
        with _opened(part) as file:
            if part.start:
                file.seek(part.start)
            while kept < len(view):
                room = len(view) - kept
                wanted = room if part.stop is None else min(room, left)
                size = file.readinto(view[kept : kept + wanted])
                if not size:
                    break
                self._count(size)
                left -= size
                filled = kept + size
                stop = _after_newline(view, filled)
                if stop:
                    yield stop
                kept = filled - stop
                view[:kept] = bytes(view[stop:filled])
            if part.stop is not None:
                _require_same(part, file.fileno())
            if kept:
                # The last line may lack its newline; one that fills the buffer is no number.
                data[kept] = ord("\n")
                yield kept + 1

    def _count(self, size: int) -> None:
        self.reading.read += size
        self.tell(size)


def buffer_memory(buffer: int) -> int:
    """Return the bytes that reading text through a buffer takes."""
    return buffer + text.PADDING + 4 * (buffer // text.SHORTEST + 1)


@contextmanager
def _opened(part: Part) -> Iterator[FileIO]:
    """Open a part's file unbuffered; raises UnreadableFile, also for what reading raises."""
    try:
        with FileIO(0, closefd=False) if str(part.path) == STREAM else FileIO(part.path) as file:
            if part.stop is not None:
                os.posix_fadvise(file.fileno(), part.start, part.size, os.POSIX_FADV_SEQUENTIAL)
            yield file
    except OSError as error:
        raise _unreadable(part.path, error) from error


def _window(part: Part, descriptor: int, start: int, length: int) -> mmap.mmap:
    """Map a stretch of a file; raises BrokenPromise where the file has become shorter."""
    try:
        window = mmap.mmap(
            descriptor, length, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=start
        )
    except ValueError:
        _require_same(part, descriptor)
        raise
    # Nothing more: where the pages were asked for beforehand, warm or cold, it was slower.
    window.madvise(mmap.MADV_SEQUENTIAL)
    return window


def _after_newline(view: memoryview, filled: int) -> int:
    """Return where the last whole line ends, or 0; it is near the end but in malformed text."""
    near = max(0, filled - text.LONGEST)
    found = bytes(view[near:filled]).rfind(b"\n")
    return near + found + 1 if found >= 0 else bytes(view[:filled]).rfind(b"\n") + 1


def _require_same(part: Part, descriptor: int) -> None:
    """Raise BrokenPromise for a file that was changed since it was first looked at."""
    if _signature(os.fstat(descriptor)) != part.signature:
        raise BrokenPromise(
            f"{part.name} was changed while it was read",
            why="its size or its time of change is another one",
            fix="read a file that nobody writes to",
        )


def _bad_line(
    part: Part, rest: bytes, before: int, promise: Promise, fault: int
) -> UnreadableFile | BrokenPromise:
    """Describe the line that `rest` begins with; `before` lines of the part come before it."""
    if part.start:
        before += count_lines(part)
    place = f"line {before + 1:,} of {part.name}"
    line = rest.partition(b"\n")[0]
    if fault == text.OUTSIDE:
        said = f"{line.decode('ascii')} is outside the range {promise}"
        return BrokenPromise(f"{place}: {said}", fix="correct the number, or --range")
    if line.endswith(b"\r"):
        return UnreadableFile(
            f"{place} ends in a carriage return",
            why="lines end in a newline alone",
            fix=f"tr -d '\\r' < {shlex.quote(str(part.path))} > without-returns",
        )
    return UnreadableFile(
        f"{place} is no integer: {_wrong(line)}",
        why="a line holds one integer of at most ten digits, such as -42, and nothing else",
    )


def _wrong(line: bytes) -> str:
    """Say what is wrong with a line without showing it: it may be of the wrong file."""
    digits = line.removeprefix(b"-")
    if not digits:
        return "it has no digit"
    for column, byte in enumerate(digits, 1 + len(line) - len(digits)):
        if not ord("0") <= byte <= ord("9"):
            return f"it has {chr(byte)!a} in column {column}"
    return "it has more than ten digits"


def count_lines(part: Part) -> int:
    """Count the lines of the file before the part."""
    lines, left = 0, part.start
    if not left:
        # It may be a stream, which cannot be opened again.
        return 0
    with _opened(part) as file:
        while left and (block := file.read(min(left, BUFFER))):
            lines += block.count(b"\n")
            left -= len(block)
    return lines
