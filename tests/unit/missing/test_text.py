"""Lines of integers are read as a strict grammar says, whatever the bytes and the buffer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfkit.errors import BrokenPromise, CannotRun, PerfkitError, UnreadableFile
from perfkit.missing import text
from perfkit.missing.promise import INT32, UINT32, Promise
from perfkit.missing.source import Kind, Part, Reader, Source, find, split

FAULTS: dict[type[PerfkitError], int] = {
    UnreadableFile: text.MALFORMED,
    BrokenPromise: text.OUTSIDE,
}
LINE = re.compile(rb"-?[0-9]{1,10}")
BUFFERS = st.one_of(st.integers(text.LONGEST, 64), st.sampled_from([127, 4096]))
RANGES = st.sampled_from([INT32, UINT32, (0, 0), (-5, 5), (10**9, 10**9 + 7), (-(2**31), 99)])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "numbers.txt"


def reference(data: bytes, bounds: tuple[int, int]) -> list[int] | tuple[type[PerfkitError], int]:
    """Return the numbers, or the error and its line."""
    lines = data.split(b"\n")
    numbers = []
    for number, line in enumerate(lines[:-1] if lines[-1] == b"" else lines, 1):
        if not LINE.fullmatch(line):
            return UnreadableFile, number
        if not bounds[0] <= int(line) <= bounds[1]:
            return BrokenPromise, number
        numbers.append(int(line))
    return numbers


def read(
    parts: Sequence[Part], bounds: tuple[int, int], buffer: int
) -> list[int] | tuple[type[PerfkitError], int]:
    reader = Reader(Promise(*bounds), buffer)
    numbers: list[int] = []
    try:
        for part in parts:
            for block in reader.blocks(part):
                numbers += block.view(np.int32).tolist() if bounds[0] < 0 else block.tolist()
    except (UnreadableFile, BrokenPromise) as error:
        told = re.match(rf"line ([\d,]+) of {re.escape(str(parts[0].path))}\b", error.what)
        return type(error), int(told[1].replace(",", "")) if told else -1
    return numbers


def written(path: Path, data: bytes) -> Source:
    path.write_bytes(data)
    return find([path], Kind.TEXT)


def digits(least: int, most: int) -> st.SearchStrategy[bytes]:
    return st.text("0123456789", min_size=least, max_size=most).map(str.encode)


edges = st.sampled_from([bound for bounds in (INT32, UINT32, (0, 0)) for bound in bounds])
near_edges = st.builds(lambda edge, step: b"%d" % (edge + step), edges, st.integers(-2, 2))
signed = st.builds(lambda sign, digit: sign + digit, st.sampled_from([b"", b"-"]), digits(1, 12))
small = st.integers(-5, 5).map(lambda value: b"%d" % value)
spoilt = st.builds(
    lambda line, place, byte: line[:place] + byte + line[place:],
    digits(0, 11),
    st.integers(0, 11),
    st.binary(min_size=1, max_size=1),
)
odd = st.sampled_from([b"", b"-", b"--1", b"+1", b"-0", b"1\r", b"\x00", b" 1", b"1" * 70, b"1_0"])
junk = st.binary(max_size=100)
fine = st.one_of(small, near_edges, digits(1, 10), st.just(b"-0"))


def files(*lines: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Join lines with newlines, the last with one or without."""
    end = st.sampled_from([b"", b"\n"])
    return st.builds(
        lambda first, last: b"\n".join(first) + last, st.lists(st.one_of(*lines), max_size=40), end
    )


@given(
    files(small, fine, near_edges, signed, spoilt, odd, junk),
    RANGES,
    BUFFERS,
    st.integers(1, 5),
)
@settings(max_examples=400)
def test_files_are_read_as_the_grammar_says(
    place: Path, data: bytes, bounds: tuple[int, int], buffer: int, parts: int
) -> None:
    source = written(place, data)

    assert reference(data, bounds) == read(source.parts, bounds, buffer)
    assert reference(data, bounds) == read(split(source, parts), bounds, buffer)


@given(files(fine), st.sampled_from([INT32, UINT32]), BUFFERS, st.integers(1, 40))
@settings(max_examples=200)
@example(b"", INT32, 12, 1)
@example(b"\n", INT32, 12, 1)
@example(b"1\n12345678", UINT32, 12, 2)
@example(b"-2147483648", INT32, 12, 9)
@example(b"0000000000\n-000000000\n4294967295", UINT32, 12, 7)
def test_any_buffer_and_any_cut_give_the_same(
    place: Path, data: bytes, bounds: tuple[int, int], buffer: int, parts: int
) -> None:
    source = written(place, data)

    assert reference(data, bounds) == read(split(source, parts), bounds, buffer)


def test_each_byte_in_each_column_is_judged_alike() -> None:
    for length, byte in itertools.product(range(1, 12), set(range(256)) - {ord("\n")}):
        for column in range(length):
            line = b"1" * column + bytes([byte]) + b"1" * (length - column - 1)
            data = np.frombuffer(line + b"\n" + b"7" * text.PADDING, np.uint8).copy()

            _, _, fault = text.parse(data, len(line) + 1, *UINT32, np.empty(1, np.uint32))

            expected = reference(line, UINT32)
            assert fault == (FAULTS[expected[0]] if isinstance(expected, tuple) else text.FINE), (
                line
            )


def test_a_fault_is_found_in_the_last_line_of_a_full_buffer(place: Path) -> None:
    for length in range(1, 80):
        for end in (b"", b"\n"):
            source = written(place, b"1\n" * 5 + b"x" * length + end)

            assert read(source.parts, INT32, 12) == (UnreadableFile, 6)


@pytest.mark.parametrize("buffer", [0, 1, 4, text.LONGEST - 1])
def test_a_buffer_that_no_line_fits_into_is_refused(buffer: int) -> None:
    with pytest.raises(CannotRun, match=f"a buffer of {buffer} bytes"):
        Reader(Promise(*INT32), buffer)


def test_a_line_number_counts_the_lines_of_the_parts_before(place: Path) -> None:
    source = written(place, b"17\n" * 5_000 + b"x\n" + b"17\n" * 5_000)

    for parts in (1, 2, 3, 7):
        assert read(split(source, parts), INT32, 64) == (UnreadableFile, 5_001)


def test_reading_leaves_its_buffer_as_large_as_it_says(place: Path) -> None:
    reader = Reader(Promise(*INT32), 1_000)

    blocks = [block.copy() for block in reader.blocks(written(place, b"1\n" * 5_000).parts[0])]

    assert sum(block.size for block in blocks) == 5_000
    assert max(block.size for block in blocks) == 500
    assert reader.memory == 1_000 + text.PADDING + 4 * 501
