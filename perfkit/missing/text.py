"""Read decimal integers, one a line, eight digits at a time and strictly.

Eight ASCII digits fit a machine word, and three multiplications turn them into their value.
Source: Lemire, Quickly parsing eight digits, 2018, after Muła. The word that a line begins with is
searched for its newline by the carry of a subtraction: Mycroft's zero-byte test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from perfkit.missing.kernels import Numbers, compiled

PADDING = 32
"""Bytes behind the last line that may be read, whatever they hold."""
SHORTEST, LONGEST = 2, 12
"""Bytes of a line with its newline."""
FINE, MALFORMED, OUTSIDE = 0, 1, 2

_U64 = np.uint64
_NEWLINES, _ONES, _HIGHS = (_U64(int(byte * 8, 16)) for byte in ("0a", "01", "80"))
_ZEROS, _SIXES, _UPPER = (_U64(int(byte * 8, 16)) for byte in ("30", "06", "f0"))
_LOWER, _PAIRS = _U64(0x0F0F0F0F0F0F0F0F), _U64(0x00FF00FF00FF00FF)
_FOURS = _U64(0x0000FFFF0000FFFF)
_TENS, _HUNDREDS, _MYRIADS = _U64(10 * 2**8 + 1), _U64(100 * 2**16 + 1), _U64(10_000 * 2**32 + 1)
_BYTE, _NINE, _ZERO, _ONE, _TEN = _U64(255), _U64(9), _U64(48), _U64(1), _U64(10)
_3, _8, _16, _32, _64 = _U64(3), _U64(8), _U64(16), _U64(32), _U64(64)
_MINUS = 45
WORD, MORE = 8, 2
"""Digits that are read together, and those that a number may have beyond them."""


def _load_word(_context: Any, data: Any, _place: Any) -> Any:
    """Describe, for the compiler, how to load eight bytes of an array, aligned or not."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        word = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        loaded = builder.load(word)
        loaded.align = 1
        return loaded

    return types.uint64(data, types.intp), generate


def _trailing_zeros(_context: Any, _word: Any) -> Any:
    """Describe how to count the zero bits below the lowest set one."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


# A function of the compiled code takes no context: its types are not those of what describes it.
load_word: Any = intrinsic(_load_word)
trailing_zeros: Any = intrinsic(_trailing_zeros)


@compiled
def newline_in(word: Any) -> Any:
    """Return the place of the first newline among eight bytes; 8 where there is none."""
    rest = word ^ _NEWLINES
    return trailing_zeros((rest - _ONES) & ~rest & _HIGHS) >> _3


@compiled
def all_digits(word: Any) -> Any:
    """Say whether eight bytes are all decimal digits."""
    rest = word ^ _ZEROS
    return not (rest | (rest + _SIXES)) & _UPPER


@compiled
def value_of(word: Any) -> Any:
    """Return the value of eight digits, the first byte being the most significant."""
    word = (word & _LOWER) * _TENS >> _8
    word = (word & _PAIRS) * _HUNDREDS >> _16
    return (word & _FOURS) * _MYRIADS >> _32


@compiled
def parse(
    data: NDArray[np.uint8], stop: Any, lowest: Any, highest: Any, numbers: Numbers
) -> tuple[int, int, int]:
    """Read the lines of `data` before `stop`, of which the last ends in a newline, into `numbers`.

    Returns how many were read, where the next line begins, and FINE; or MALFORMED or OUTSIDE for
    that next line. `data` has PADDING bytes behind `stop`.
    """
    place, count = 0, 0
    while place < stop:
        negative = data[place] == _MINUS
        begin = place + negative
        word: Any = load_word(data, begin)
        digits = np.int64(newline_in(word))
        if digits == 0:
            return count, place, MALFORMED
        if digits < WORD:
            # Move the digits to the end of the word, behind zeros.
            move = _U64(digits) * _8
            word = word << (_64 - move) | _ZEROS >> move
            if not all_digits(word):
                return count, place, MALFORMED
            value = np.int64(value_of(word))
        else:
            rest = load_word(data, begin + WORD)
            more = newline_in(rest)
            if more > MORE or not all_digits(word):
                return count, place, MALFORMED
            one, two = _U64(more >= 1), _U64(more == MORE)
            ninth, tenth = (rest & _BYTE) - _ZERO, (rest >> _8 & _BYTE) - _ZERO
            if ninth * one > _NINE or tenth * two > _NINE:
                return count, place, MALFORMED
            whole = value_of(word) * (_ONE + _NINE * one + _U64(90) * two)
            whole += ninth * one * (_ONE + _NINE * two) + tenth * two
            value = np.int64(whole)
            digits = WORD + np.int64(more)
        if negative:
            value = -value
        if value < lowest or value > highest:
            return count, place, OUTSIDE
        numbers[count] = np.uint32(value)
        count += 1
        place = begin + digits + 1
    return count, place, FINE
