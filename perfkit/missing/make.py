"""Write a file that holds every number of a range but some, in an order drawn by a seed.

Nothing is kept in memory: the order is a bijection of the range that is computed number by number.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.errors import CannotRun, UsageError
from perfkit.missing.kernels import Numbers, compiled
from perfkit.missing.promise import Promise
from perfkit.missing.solver import Missing, named
from perfkit.missing.source import WIDTH, Kind
from perfkit.missing.text import LONGEST
from perfkit.units import Unit, show

BLOCKS = {Kind.TEXT: 2**18, Kind.BINARY: 2**22}
"""Numbers that are written at a time. Larger writes make larger pieces of the page cache, and what
maps a binary file later is faster for it."""
ROUNDS = 3
FEWEST_BITS = 2
SPARE = 2**26
"""Bytes that stay free on the disk."""

_U32, _U64 = np.uint32, np.uint64
_ONE, _TEN, _ZERO = _U64(1), _U64(10), _U64(48)


@dataclass(frozen=True, slots=True)
class Made:
    """What was written."""

    missing: Missing
    numbers: int
    size: int
    """Bytes."""


@compiled
def shuffled(start: Any, size: Any, bits: Any, factors: Numbers, values: Numbers) -> None:
    """Fill `values` with what the positions from `start` on hold in a shuffled 0 to `size` - 1.

    Odd factors and shifts by half the width are bijections of the numbers of so many bits; those
    that fall outside the range go round again (cycle walking: Black and Rogaway, 2002).
    """
    half = _U64((bits + 1) // 2)
    within = (_ONE << _U64(bits)) - _ONE
    limit = _U64(size)
    for i in range(values.size):
        place = _U64(start + i)
        while True:
            for factor in factors:
                place ^= place >> half
                place = (place * _U64(factor) + _U64(factor >> 7)) & within
            place ^= place >> half
            if place < limit:
                break
        values[i] = _U32(place)


@compiled
def write_lines(values: Numbers, lowest: Any, text: Any) -> int:
    """Write `lowest` plus each value as a line of decimal digits; return the bytes."""
    end = 0
    for value in values:
        number = lowest + np.int64(value)
        if number < 0:
            text[end] = 45
            end += 1
            number = -number
        digits, rest = 1, _U64(number)
        while rest >= _TEN:
            rest //= _TEN
            digits += 1
        rest = _U64(number)
        for place in range(end + digits - 1, end - 1, -1):
            text[place] = np.uint8(rest % _TEN + _ZERO)
            rest //= _TEN
        end += digits
        text[end] = 10
        end += 1
    return end


def make(
    path: Path,
    promise: Promise,
    missing: int,
    kind: Kind,
    *,
    seed: int = 0,
    force: bool = False,
    tell: Callable[[int], None] = lambda _: None,
) -> Made:
    """Write the file; `tell` hears of the numbers of each block.

    Nothing of it is there before it is whole. Raises UsageError for a file that exists, and
    CannotRun where the disk is too small or full.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no regular file", why="it would be removed")
    if path.exists() and not force:
        raise UsageError(f"{path} exists", why="nothing was written", fix="--force")
    if missing > promise.size:
        raise UsageError(f"{missing:,} of {promise.size:,} numbers cannot be missing")
    _require_room(path, promise, missing, kind)
    order = _Order.drawn(promise.size, seed)
    gaps = order.gaps(missing, seed)
    size = 0
    with _whole(path, force=force) as descriptor:
        for values in order.blocks(gaps, BLOCKS[kind]):
            size += _write(descriptor, values, promise, kind)
            tell(values.size)
    return Made(named(promise, order.at(gaps)), promise.size - missing, size)


@dataclass(frozen=True, slots=True)
class _Order:
    """A shuffled 0 to `size` - 1."""

    size: int
    bits: int
    factors: Numbers

    @classmethod
    def drawn(cls, size: int, seed: int) -> _Order:
        """Draw an order."""
        bits = max((size - 1).bit_length(), FEWEST_BITS)
        draw = np.random.default_rng(seed)
        return cls(size, bits, draw.integers(0, 2**32, ROUNDS, np.uint32) | np.uint32(1))

    def gaps(self, missing: int, seed: int) -> Missing:
        """Draw the positions whose numbers are left out, in ascending order."""
        draw = np.random.default_rng([seed, 1])
        chosen = draw.choice(self.size, missing, replace=False, shuffle=False)
        return np.sort(chosen).astype(np.int64)

    def at(self, places: Missing) -> Missing:
        """Return the numbers at some positions."""
        values, one = np.empty(places.size, np.int64), np.empty(1, np.uint32)
        for index, place in enumerate(places.tolist()):
            shuffled(place, self.size, self.bits, self.factors, one)
            values[index] = one[0]
        return values

    def blocks(self, gaps: Missing, length: int) -> Iterator[Numbers]:
        """Yield all numbers in order but those at the gaps."""
        for start in range(0, self.size, length):
            values = np.empty(min(length, self.size - start), np.uint32)
            shuffled(start, self.size, self.bits, self.factors, values)
            first, last = np.searchsorted(gaps, [start, start + values.size])
            yield np.delete(values, gaps[first:last] - start)


def _write(descriptor: int, values: Numbers, promise: Promise, kind: Kind) -> int:
    """Write a block; return its bytes."""
    if kind is Kind.BINARY:
        data = (values + np.uint32(promise.base)).data.cast("B")
    else:
        text = np.empty(values.size * LONGEST, np.uint8)
        data = text.data[: write_lines(values, promise.lowest, text)]
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written:])
    return written


def size_of(promise: Promise, missing: int, kind: Kind) -> int:
    """Return the bytes that a file takes: exactly for binary, for text without the gaps."""
    if kind is Kind.BINARY:
        return WIDTH * (promise.size - missing)
    low, high = promise.lowest, promise.highest
    size = promise.size
    if low < 0:
        nearest = max(1, -high)
        size += _digits(-low) - _digits(nearest - 1) + (-low - nearest + 1)
    if high >= 0:
        size += _digits(high) - _digits(max(low, 0) - 1)
    return size


def _digits(last: int) -> int:
    """Return how many digits the numbers from 0 to `last` have together; 0 for a negative one."""
    if last < 0:
        return 0
    total, start = 1, 1
    for digits in range(1, len(str(last)) + 1):
        stop = min(10**digits - 1, last)
        total += digits * (stop - start + 1)
        start = 10**digits
    return total


def _require_room(path: Path, promise: Promise, missing: int, kind: Kind) -> None:
    """Raise CannotRun where the file does not fit the disk."""
    needed = size_of(promise, missing, kind)
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise _unwritable(path, error) from error
    if needed + SPARE > free:
        raise CannotRun(
            f"{path} would have {show(needed, Unit.BYTES)}, and {show(free, Unit.BYTES)} are free",
            why="nothing was written",
            fix="a smaller --range, or another disk",
        )


def _unwritable(path: Path, error: OSError) -> CannotRun:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return CannotRun(
        f"cannot write {path}",
        why=(error.strerror or str(error)) + "; nothing of it was left behind" * full,
    )


@contextmanager
def _whole(path: Path, *, force: bool) -> Iterator[int]:
    """Open a file that has a name only when it is whole, so that nothing of a part stays."""
    try:
        descriptor = _nameless(path.parent)
        if descriptor is None:
            with _named(path, force=force) as descriptor:
                yield descriptor
            return
        with os.fdopen(descriptor, "wb"):
            yield descriptor
            _name(descriptor, path, force=force)
    except OSError as error:
        raise _unwritable(path, error) from error


def _nameless(folder: Path) -> int | None:
    """Open a file without a name, which is gone with us; None where the disk has none."""
    with suppress(OSError, AttributeError):
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666)
    return None


def _name(descriptor: int, path: Path, *, force: bool) -> None:
    """Give a nameless file its name."""
    if force:
        path.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Only with a folder's descriptor does Python ask for the link to be followed.
        os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


@contextmanager
def _named(path: Path, *, force: bool) -> Iterator[int]:
    """Open a file under its name, and remove it unless all goes well."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    descriptor = os.open(path, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb"):
            yield descriptor
    except BaseException:
        path.unlink(missing_ok=True)
        raise
