"""The inner loops, compiled by numba on first use and kept in its cache.

All take a block of numbers as 32 bits and `base`, the first number of the range: the offset of a
number is the difference, modulo 2**32. They release the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.uint32]
Words: TypeAlias = NDArray[np.uint64]

P = ParamSpec("P")
R = TypeVar("R")

PRIME = 2**32 - 5
"""The largest prime below 2**32: the products of two residues fit 64 bits."""
EDGE = 5
"""The numbers 0 to 4 and PRIME to PRIME + 4 are congruent in pairs."""
BLOCK = 256
"""Numbers whose powers are computed together, so that they stay in the nearest cache."""
MIXER = 0x9E3779B1
"""A prime near 2**32 divided by the golden ratio: its multiples spread. Source: Knuth, The Art of
Computer Programming, volume 3, section 6.4."""
COUNT_SHIFT = 40
"""A cell's word holds a count above this bit and a sum below it."""
PENDING = 2**32 - 1
"""A bucket that falls short and has not been looked into."""

# Literals of the types the loops compute in: numba widens what is mixed.
_U32, _U64 = np.uint32, np.uint64
_PRIME, _FIVE, _LOW = _U64(PRIME), _U64(5), _U64(2**32 - 1)
_PENDING, _ROW = _U32(PENDING), _U32(1)
_MIXER = _U32(MIXER)
_EDGE, _EDGES = _U32(EDGE), _U32(2 * EDGE)
_SHIFT32, _SHIFT = _U64(32), _U64(COUNT_SHIFT)
_ONE, _SIX, _BITS63 = _U64(1), _U32(6), _U32(63)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a loop when it is first called, and keep it for the next process."""
    try:
        return cast("Callable[P, R]", njit(cache=True, nogil=True)(function))
    except RuntimeError:
        # Neither our folder nor the user's may be written, so there is no next process.
        return cast("Callable[P, R]", njit(nogil=True)(function))


@compiled
def fold_xor(values: Numbers, base: Any) -> tuple[Any, Any]:
    """Return the exclusive or of the offsets, and the largest."""
    folded, highest = _U32(0), _U32(0)
    for i in range(values.size):
        offset = _U32(values[i] - base)
        folded ^= offset
        highest = max(highest, offset)
    return folded, highest


@compiled
def fold_sum(values: Numbers, base: Any) -> tuple[Any, Any]:
    """Return the sum of the offsets modulo 2**64, and the largest."""
    total, highest = _U64(0), _U32(0)
    for i in range(values.size):
        offset = _U32(values[i] - base)
        total += _U64(offset)
        highest = max(highest, offset)
    return total, highest


@compiled
def fold_invariants(values: Numbers, base: Any) -> tuple[Any, Any, Any, Any]:
    """Return the exclusive or of the mixed offsets, sum, sum of squares, and the largest offset.

    The sums are modulo 2**64. An offset x is mixed as x MIXER modulo 2**32.
    """
    mixed, highest = _U32(0), _U32(0)
    total, squares = _U64(0), _U64(0)
    for i in range(values.size):
        offset = _U32(values[i] - base)
        wide = _U64(offset)
        mixed ^= _U32(offset * _MIXER)
        total += wide
        squares += wide * wide
        highest = max(highest, offset)
    return mixed, total, squares, highest


@compiled
def add_powers(values: Numbers, base: Any, powers: Words, edges: NDArray[np.int64]) -> None:
    """Add the powers 1, 2, ... of the offsets modulo PRIME; count those at the edges apart.

    2**32 is 5 modulo PRIME, so a product is reduced by two multiplications by 5.
    """
    offsets, terms = np.empty(BLOCK, _U64), np.empty(BLOCK, _U64)
    for start in range(0, values.size, BLOCK):
        size = min(BLOCK, values.size - start)
        near = _U32(0)
        for i in range(size):
            offset = _U32(values[start + i] - base)
            offsets[i] = _U64(offset)
            near |= _U32(_U32(offset + _EDGE) < _EDGES)
        if near:
            for i in range(size):
                place = _U32(_U32(values[start + i] - base) + _EDGE)
                if place < _EDGES:
                    edges[place] += 1
                    offsets[i] = _U64(0)
        total = _U64(0)
        for i in range(size):
            terms[i] = offsets[i]
            total += offsets[i]
        powers[0] = (powers[0] + total) % _PRIME
        for power in range(1, powers.size):
            total = _U64(0)
            for i in range(size):
                term = terms[i] * offsets[i]
                term = (term >> _SHIFT32) * _FIVE + (term & _LOW)
                term = (term >> _SHIFT32) * _FIVE + (term & _LOW)
                if term >= _PRIME:
                    term -= _PRIME
                terms[i] = term
                total += term
            powers[power] = (powers[power] + total) % _PRIME


@compiled
def add_to_cells(values: Numbers, base: Any, tables: Words, bits: Any, factors: Numbers) -> None:
    """Add each number to its cell of each of three tables.

    `tables` has the shape (3, cells), `factors` holds three odd numbers below 2**bits. The three
    places of a number are the upper bits of three bijections of its offset.
    """
    cells = tables.shape[1]
    cell_bits = 0
    while 1 << cell_bits < cells:
        cell_bits += 1
    shift = _U32(bits - cell_bits)
    half = _U32((bits + 1) // 2)
    within = _U32((_ONE << _U64(bits)) - _ONE)
    low = _U32((_ONE << _U64(shift)) - _ONE)
    single = _ONE << _SHIFT
    for i in range(values.size):
        first = _U32(values[i] - base)
        first ^= first >> half
        first = _U32(first * factors[0]) & within
        first ^= first >> half
        second = _U32(first * factors[1]) & within
        third = _U32(first * factors[2]) & within
        tables[0, first >> shift] += single + _U64(first & low)
        tables[1, second >> shift] += single + _U64(second & low)
        tables[2, third >> shift] += single + _U64(third & low)


@compiled
def add_span_to_cells(start: Any, stop: Any, tables: Words, bits: Any, factors: Numbers) -> None:
    """Add the offsets from `start` to before `stop` to their cells, block by block."""
    block = np.empty(BLOCK, _U32)
    for first in range(start, stop, BLOCK):
        size = min(BLOCK, stop - first)
        for i in range(size):
            block[i] = _U32(first + i)
        add_to_cells(block[:size], _U32(0), tables, bits, factors)


@compiled
def peel(lacking: Words, bits: Any, factors: Numbers, inverses: Numbers, found: Numbers) -> int:
    """Name the number of each cell that lacks one, take it out of the others, and go on.

    `lacking` holds what each cell lacks, in the shape of the tables, and is worked upon; mixed
    offsets go to `found`. Returns how many there are, or -1 when no set of numbers explains the
    cells. `inverses` undo the multiplications by `factors` modulo 2**bits.
    """
    cells = lacking.shape[1]
    cell_bits = 0
    while 1 << cell_bits < cells:
        cell_bits += 1
    shift = _U32(bits - cell_bits)
    within = _U32((_ONE << _U64(bits)) - _ONE)
    low = _U32((_ONE << _U64(shift)) - _ONE)
    single = _ONE << _SHIFT
    named, before = 0, -1
    while named != before:
        before = named
        for table in range(3):
            for cell in range(cells):
                word = lacking[table, cell]
                if word >> _SHIFT != _ONE:
                    continue
                rest = word & (single - _ONE)
                if rest > _U64(low) or named == found.size:
                    return -1
                first = _U32((_U64(cell) << _U64(shift)) | rest)
                if table:
                    first = _U32(first * inverses[table]) & within
                second = _U32(first * factors[1]) & within
                third = _U32(first * factors[2]) & within
                lacking[0, first >> shift] -= single + _U64(first & low)
                lacking[1, second >> shift] -= single + _U64(second & low)
                lacking[2, third >> shift] -= single + _U64(third & low)
                found[named] = first
                named += 1
    return named


@compiled
def count_buckets(values: Numbers, base: Any, shift: Any, counts: Numbers) -> None:
    """Count how many offsets fall into each bucket of 2**shift."""
    for i in range(values.size):
        counts[_U32(values[i] - base) >> shift] += _U32(1)


@compiled
def mark_buckets(values: Numbers, base: Any, shift: Any, slots: Numbers, marks: Words) -> int:
    """Set the bits of offsets in buckets that have a slot; return where one is set twice, or -1.

    `slots` holds a bucket's row in `marks` plus one, zero, or PENDING.
    """
    low = _U32((_ONE << _U64(shift)) - _ONE)
    twice = -1
    for i in range(values.size):
        offset = _U32(values[i] - base)
        # Neither 0 nor PENDING is a row.
        row = _U32(slots[offset >> shift] - _ROW)
        if row < marks.shape[0]:
            place = offset & low
            bit = _ONE << _U64(place & _BITS63)
            word = marks[row, place >> _SIX]
            if word & bit and twice < 0:
                twice = i
            marks[row, place >> _SIX] = word | bit
    return twice


@compiled
def mark(values: Numbers, base: Any, marks: Words) -> int:
    """Set the bit of each offset; return where one is set twice, or -1."""
    twice = -1
    for i in range(values.size):
        offset = _U32(values[i] - base)
        bit = _ONE << _U64(offset & _BITS63)
        word = marks[offset >> _SIX]
        if word & bit and twice < 0:
            twice = i
        marks[offset >> _SIX] = word | bit
    return twice


@compiled
def list_unmarked(marks: Words, start: Any, size: Any, found: Numbers) -> int:
    """List `start` plus each place below `size` whose bit is not set; return how many there are.

    Those that `found` has no room for are counted only.
    """
    listed = 0
    for index in range(marks.size):
        free = ~marks[index]
        for bit in range(64):
            if not free >> _U64(bit):
                break
            place = index * 64 + bit
            if free >> _U64(bit) & _ONE and place < size:
                if listed < found.size:
                    found[listed] = _U32(start + place)
                listed += 1
    return listed


@compiled
def list_open(marks: Words, opened: Numbers, wide: Any, size: Any, found: Numbers) -> int:
    """List what is not marked in the open buckets, one a row of `marks`; return how many."""
    listed = 0
    for row in range(opened.size):
        start = np.int64(opened[row]) * wide
        room = min(wide, size - start)
        listed += list_unmarked(marks[row], start, room, found[listed:])
    return listed


@compiled
def unite(marks: Words, others: Words) -> int:
    """Set the bits of others too; stop at the first word where both have one, or return -1."""
    for index in range(marks.size):
        if marks[index] & others[index]:
            return index
        marks[index] |= others[index]
    return -1


@compiled
def mark_short(buckets: Numbers, wide: Any, last: Any) -> int:
    """Make counts into PENDING where they are below `wide` (the last one: `last`), else into 0.

    Returns the first bucket that counts more, and leaves all as they are; or -1.
    """
    for bucket in range(buckets.size):
        if buckets[bucket] > (last if bucket == buckets.size - 1 else wide):
            return bucket
    for bucket in range(buckets.size):
        short = buckets[bucket] < (last if bucket == buckets.size - 1 else wide)
        buckets[bucket] = _PENDING if short else _U32(0)
    return -1


@compiled
def open_buckets(buckets: Numbers, opened: Numbers) -> int:
    """Close the open buckets, and give rows to the next pending ones; return how many those are."""
    row = 0
    for bucket in range(buckets.size):
        if buckets[bucket] != _PENDING:
            buckets[bucket] = _U32(0)
        elif row < opened.size:
            opened[row] = _U32(bucket)
            row += 1
            buckets[bucket] = _U32(row)
    return row
