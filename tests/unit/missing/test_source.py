"""Files, parts and streams: told apart, cut at whole numbers, and never read while they change."""

from __future__ import annotations

import itertools
import mmap
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfkit.errors import BrokenPromise, PerfkitError, UnreadableFile
from perfkit.missing import source as reading_from
from perfkit.missing.bitmap import Bitmap
from perfkit.missing.bucket_counts import BucketCounts
from perfkit.missing.invariants import Invariants
from perfkit.missing.promise import UINT32, Promise
from perfkit.missing.solve import solve
from perfkit.missing.solver import Solver
from perfkit.missing.source import (
    WIDTH,
    Kind,
    Part,
    Reader,
    Reading,
    Source,
    count_lines,
    find,
    split,
)

SIZE = 20_000
PROMISE = Promise(0, SIZE - 1)
GAP = 7_777
PAGES = 2 * os.sysconf("SC_PAGE_SIZE")
EACH_KIND = pytest.mark.parametrize("kind", list(Kind))


def numbers(gap: int = GAP) -> np.ndarray:
    return np.delete(np.arange(SIZE), gap)


def encoded(kind: Kind, values: np.ndarray) -> bytes:
    if kind is Kind.BINARY:
        return values.astype("<u4").tobytes()
    return b"".join(b"%d\n" % value for value in values)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    # Long ago: a change within one tick of the file system's clock could not be seen.
    os.utime(path, (1, 1))
    return path


@pytest.fixture
def path(tmp_path: Path, kind: Kind) -> Path:
    return write(tmp_path / "numbers", encoded(kind, numbers()))


@EACH_KIND
def test_the_first_bytes_tell_text_from_binary(path: Path, kind: Kind) -> None:
    assert kind is find([path]).kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.TEXT),
        (b"1\r\n2\r\n", Kind.TEXT),
        (b"-17\n 3, 4.5;\t+6\n", Kind.TEXT),
        (b"1" * 5_000, Kind.TEXT),
        (b"id,name\n7,me\n", Kind.TEXT),
        (b"321\x00", Kind.BINARY),
        (b"32\xff1", Kind.BINARY),
    ],
)
def test_text_is_what_can_be_printed_numbers_or_not(
    tmp_path: Path, data: bytes, kind: Kind
) -> None:
    assert kind is find([write(tmp_path / "any", data)]).kind


def test_what_is_said_of_a_file_counts_more_than_its_first_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "any", b"321\n")

    assert Kind.BINARY is find([path], Kind.BINARY).kind
    assert find([path], Kind.BINARY).present == 1
    assert None is find([path]).present


@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_binary_file_of_an_odd_size_is_refused(tmp_path: Path, left: int) -> None:
    path = write(tmp_path / "odd", encoded(Kind.BINARY, numbers()) + b"\0" * left)

    with pytest.raises(UnreadableFile, match=f"{SIZE * WIDTH - WIDTH + left:,} bytes") as told:
        find([path])
    assert "cut short" in told.value.why


def test_text_and_binary_are_not_read_together(tmp_path: Path) -> None:
    paths = [write(tmp_path / kind, encoded(kind, numbers())) for kind in Kind]

    with pytest.raises(UnreadableFile, match=r"binary is binary, and .*text is text"):
        find(paths)


@pytest.mark.parametrize("kind", [None, *Kind])
def test_what_is_not_there_or_a_folder_cannot_be_read(tmp_path: Path, kind: Kind | None) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "nothing" / "deeper"):
        with pytest.raises(UnreadableFile, match=f"^cannot read {path}$"):
            find([path], kind)


@EACH_KIND
def test_several_files_are_one_input(tmp_path: Path, kind: Kind) -> None:
    pieces = np.array_split(numbers(), [1, 1, 9_000])
    paths = [
        write(tmp_path / f"{place}", encoded(kind, piece)) for place, piece in enumerate(pieces)
    ]
    source = find(paths, kind)

    for jobs in (1, 2, 5):
        missing, _ = solve(source, Invariants(PROMISE), jobs=jobs)
        assert missing.tolist() == [GAP]
    assert sum(path.stat().st_size for path in paths) == source.size


# Parts


def cover(source: Source, parts: tuple[Part, ...]) -> None:
    """Check that parts hold each byte of each file once, in order."""
    for whole in source.parts:
        own = [part for part in parts if part.path == whole.path]
        assert whole.start == own[0].start
        assert whole.stop == own[-1].stop
        assert all(left.stop == right.start for left, right in itertools.pairwise(own))
        assert all(part.size or not whole.size for part in own)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


lines = st.lists(st.integers(*UINT32), max_size=200).map(
    lambda values: b"".join(b"%d\n" % value for value in values)
)


@given(st.lists(lines, min_size=1, max_size=3), st.integers(1, 300), st.sampled_from([b"", b"\n"]))
@settings(max_examples=150)
@example([b"1\n12345678\n"], 2, b"\n")
def test_parts_of_text_hold_each_byte_once_and_begin_at_lines(
    folder: Path, data: list[bytes], parts: int, cut: bytes
) -> None:
    texts = [each.removesuffix(cut) for each in data]
    paths = [folder / f"{place}" for place in range(len(texts))]
    for path, each in zip(paths, texts, strict=True):
        path.write_bytes(each)
    source = find(paths, Kind.TEXT)

    pieces = split(source, parts)

    cover(source, pieces)
    for piece in pieces:
        whole = texts[paths.index(piece.path)]
        assert not piece.start or whole[piece.start - 1 : piece.start] == b"\n"
        assert whole[: piece.start].count(b"\n") == count_lines(piece)
    # A part may be longer than asked for by what is left of a line.
    wanted = max(1, -(-source.size // parts))
    assert all(piece.size <= wanted + 11 for piece in pieces)


@given(st.binary(max_size=300), st.integers(1, 400))
@settings(max_examples=100)
@example(b"1" * 100, 100)
def test_parts_of_any_bytes_hold_each_byte_once(folder: Path, data: bytes, parts: int) -> None:
    path = folder / "any"
    path.write_bytes(data)
    source = find([path], Kind.TEXT)

    cover(source, split(source, parts))


@given(st.integers(0, 40_000), st.integers(1, 60))
@settings(max_examples=60)
def test_parts_of_binary_files_begin_at_pages(folder: Path, count: int, parts: int) -> None:
    path = folder / "binary"
    path.write_bytes(b"\1\2\3\4" * count)
    source = find([path], Kind.BINARY)

    pieces = split(source, parts)

    cover(source, pieces)
    assert all(piece.start % os.sysconf("SC_PAGE_SIZE") == 0 for piece in pieces)
    values = [block.copy() for piece in pieces for block in Reader(Promise(*UINT32)).blocks(piece)]
    assert count == sum(int((block == 0x04030201).sum()) for block in values)


@EACH_KIND
def test_a_file_that_goes_away_before_it_is_cut_is_told(path: Path) -> None:
    source = find([path])
    path.unlink()

    for jobs in (1, 3):
        with pytest.raises(UnreadableFile, match=f"^cannot read {path}$"):
            solve(source, Invariants(PROMISE), jobs=jobs)


# Changes while a file is read


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // WIDTH * WIDTH)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"777\n")


def overwrite(path: Path) -> None:
    """Let one number take another's place; the size stays."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 :][::-1])


def write_again(path: Path) -> None:
    """As a shell does that redirects into a file."""
    path.write_bytes(path.read_bytes())


CHANGES = [truncate, empty, append, overwrite, write_again]


@EACH_KIND
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", [1, 3])
def test_a_file_that_changes_between_two_blocks_is_no_input(
    monkeypatch: pytest.MonkeyPatch, path: Path, change: Callable[[Path], None], when: int
) -> None:
    monkeypatch.setattr(reading_from, "WINDOW", PAGES)
    heard: list[int] = []

    def tell(size: int) -> None:
        heard.append(size)
        if len(heard) == when:
            change(path)

    with pytest.raises((BrokenPromise, UnreadableFile)) as told:
        solve(find([path]), Invariants(PROMISE), buffer=2**10, tell=tell)
    # Text that was overwritten may be no number any more.
    assert change is overwrite or f"{path} was changed while it was read" == told.value.what


@EACH_KIND
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_between_the_blocks_of_two_threads_is_no_input(
    monkeypatch: pytest.MonkeyPatch, path: Path, change: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(reading_from, "WINDOW", PAGES)
    # Neither looks at a block meanwhile.
    begun, done = threading.Barrier(2), threading.Barrier(2)
    told = threading.local()

    def tell(_: int) -> None:
        if hasattr(told, "once"):
            return
        told.once = True
        if begun.wait(30) == 0:
            change(path)
        done.wait(30)

    with pytest.raises((BrokenPromise, UnreadableFile)):
        solve(find([path]), Invariants(PROMISE), buffer=2**10, jobs=2, tell=tell)


@pytest.mark.parametrize("before", [True, False])
def test_a_file_that_becomes_shorter_as_it_is_mapped_is_no_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, before: bool
) -> None:
    path = write(tmp_path / "numbers", encoded(Kind.BINARY, numbers()))
    source = find([path])

    mapped = mmap.mmap

    def late(*arguments: Any, **options: Any) -> mmap.mmap:
        if before:
            truncate(path)
        window = mapped(*arguments, **options)
        # The kernel would end who touched it.
        empty(path)
        return window

    monkeypatch.setattr(mmap, "mmap", late)
    with pytest.raises(BrokenPromise, match="was changed while it was read"):
        solve(source, Invariants(PROMISE))


@EACH_KIND
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_after_its_last_block_is_no_input(
    path: Path, change: Callable[[Path], None]
) -> None:
    left = [path.stat().st_size]

    def tell(size: int) -> None:
        left[0] -= size
        if not left[0]:
            change(path)

    with pytest.raises(BrokenPromise, match="was changed while it was read"):
        solve(find([path]), Invariants(PROMISE), tell=tell)


@EACH_KIND
def test_a_file_that_is_replaced_is_read_to_its_end_but_not_once_more(
    monkeypatch: pytest.MonkeyPatch, path: Path, kind: Kind
) -> None:
    monkeypatch.setattr(reading_from, "WINDOW", PAGES)
    other = encoded(kind, numbers(gap=5))

    def replace(_: int) -> None:
        write(path.with_name("new"), other).replace(path)

    once = solve(find([path]), Invariants(PROMISE), buffer=2**10, tell=replace)
    assert once[0].tolist() == [GAP]
    with pytest.raises(BrokenPromise, match="was changed while it was read"):
        solve(find([path]), BucketCounts(PROMISE, 2**12), buffer=2**10, tell=replace)


def test_another_pass_over_other_numbers_does_no_harm() -> None:
    solver = BucketCounts(Promise(0, 999), 2**10)
    solver.update(np.arange(999, dtype=np.uint32))
    assert solver.again()

    with pytest.raises(BrokenPromise, match="4294967295 is outside the range"):
        solver.update(np.array([2**32 - 1], np.uint32))


# Streams


@contextmanager
def fed(path: Path, data: bytes) -> Iterator[None]:
    """Write to a pipe from another thread."""

    def write_all() -> None:
        with path.open("wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=write_all, daemon=True)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@EACH_KIND
@pytest.mark.parametrize("buffer", [12, 13, 1_000, 2**18])
def test_a_pipe_is_read_once_from_end_to_end(pipe: Path, kind: Kind, buffer: int) -> None:
    data = encoded(kind, numbers())
    reading = Reading()

    with fed(pipe, data):
        source = find([pipe], kind)
        missing, _ = solve(source, Invariants(PROMISE), buffer=buffer, reading=reading)

    assert source.stream
    assert missing.tolist() == [GAP]
    assert Reading(read=len(data), passes=1) == reading


def test_a_pipe_is_not_opened_before_it_is_read(pipe: Path) -> None:
    found: list[Source] = []
    # Opening would wait for who writes to it, and closing would end them.
    thread = threading.Thread(target=lambda: found.append(find([pipe])), daemon=True)
    thread.start()
    thread.join(30)

    assert [source.stream for source in found] == [True]


@EACH_KIND
def test_a_pipe_that_ends_within_a_number_is_told(pipe: Path, kind: Kind) -> None:
    data = encoded(kind, numbers()) + b"\x01\x02"

    with fed(pipe, data), pytest.raises(UnreadableFile, match=r"middle of a number|line 20,000"):
        solve(find([pipe], kind), Invariants(PROMISE), buffer=1_000)


def refused(pipe: Path, data: bytes, kind: Kind, solver: Solver) -> list[str]:
    """Return what is said of a pipe; who opened it a second time would wait for ever."""
    told: list[str] = []

    def ask() -> None:
        try:
            solve(find([pipe], kind), solver)
        except PerfkitError as error:
            told.append(error.what)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    with fed(pipe, data):
        thread.join(30)
    return told


@EACH_KIND
def test_a_pipe_cannot_be_read_twice(pipe: Path, kind: Kind) -> None:
    told = refused(pipe, encoded(kind, numbers()), kind, BucketCounts(PROMISE, 2**10))

    assert told == ["bucket-counts takes another pass, and a stream can be read only once"]


@EACH_KIND
def test_a_pipe_that_lacks_nothing_needs_no_second_pass(pipe: Path, kind: Kind) -> None:
    with fed(pipe, encoded(kind, np.arange(SIZE))):
        missing, _ = solve(find([pipe], kind), BucketCounts(PROMISE, 2**10))

    assert missing.tolist() == []


@pytest.fixture
def standard_input(path: Path) -> Iterator[None]:
    kept = os.dup(0)
    with path.open("rb") as file:
        os.dup2(file.fileno(), 0)
    yield
    os.dup2(kept, 0)
    os.close(kept)


@EACH_KIND
@pytest.mark.usefixtures("standard_input")
def test_standard_input_is_a_stream_and_stays_open(kind: Kind) -> None:
    missing, _ = solve(find([Path("-")], kind), Invariants(PROMISE))

    assert missing.tolist() == [GAP]
    assert os.read(0, 1) == b""


def test_a_number_twice_in_a_pipe_is_told_with_its_line(pipe: Path) -> None:
    told = refused(pipe, b"3\n1\n2\n1\n", Kind.TEXT, Bitmap(PROMISE, 2**20))

    assert told == [f"line 4 of {pipe}: 1 is there twice"]


# Faults and their places


@EACH_KIND
@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("solver", [Bitmap(PROMISE, 2**20), Invariants(PROMISE)])
def test_a_number_outside_the_range_is_told_with_its_place(
    tmp_path: Path, kind: Kind, jobs: int, solver: Solver
) -> None:
    values = np.insert(numbers(), 15_000, SIZE)
    source = find([write(tmp_path / "numbers", encoded(kind, values))])
    noun = "line" if kind is Kind.TEXT else "number"

    with pytest.raises(BrokenPromise) as told:
        solve(source, solver.fresh(), buffer=2**10, jobs=jobs)
    place = re.escape(f"{noun} 15,001 of {tmp_path / 'numbers'}: {SIZE} is outside the range")
    assert re.match(place, told.value.what)


@EACH_KIND
def test_a_number_twice_in_one_part_is_told_with_its_place(tmp_path: Path, kind: Kind) -> None:
    values = np.insert(numbers(), 15_000, 15_003)
    source = find([write(tmp_path / "numbers", encoded(kind, values))])
    noun = "line" if kind is Kind.TEXT else "number"

    with pytest.raises(BrokenPromise) as told:
        solve(source, Bitmap(PROMISE, 2**20), jobs=3, buffer=2**10)
    assert f"{noun} 15,004 of {tmp_path / 'numbers'}: 15003 is there twice" == told.value.what


@EACH_KIND
def test_a_number_in_two_parts_is_told(tmp_path: Path, kind: Kind) -> None:
    values = np.append(numbers(), 3)
    source = find([write(tmp_path / "numbers", encoded(kind, values))])

    with pytest.raises(BrokenPromise, match=r"\b3 is there twice$"):
        solve(source, Bitmap(PROMISE, 2**20), jobs=3, buffer=2**10)
