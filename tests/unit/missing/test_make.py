"""Test files: what is in them, the same for the same seed, and nothing of one that failed."""

from __future__ import annotations

import errno
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.missing.inputs import ranges

from perfkit.errors import CannotRun, UsageError
from perfkit.missing import make as making
from perfkit.missing.make import Made, make, size_of
from perfkit.missing.promise import INT32, Promise
from perfkit.missing.source import Kind

SMALL = Promise(-500, 1500)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made") / "numbers"


def numbers(path: Path, promise: Promise, kind: Kind) -> list[int]:
    if kind is Kind.TEXT:
        return [int(line) for line in path.read_text().splitlines()]
    values = np.fromfile(path, np.int32 if promise.lowest < 0 else np.uint32)
    return values.astype(np.int64).tolist()  # type: ignore[no-any-return]


@given(
    drawn=ranges(3000), share=st.floats(0, 1), seed=st.integers(0, 9), kind=st.sampled_from(Kind)
)
def test_file_holds_every_number_once_but_those_said_to_be_missing(
    path: Path, drawn: tuple[int, int], share: float, seed: int, kind: Kind
) -> None:
    lowest, size = drawn
    promise, missing = Promise(lowest, lowest + size - 1), int(share * size)

    made = make(path, promise, missing, kind, seed=seed, force=True)

    there = numbers(path, promise, kind)
    assert len(there) == made.numbers == size - missing
    assert sorted([*there, *made.missing.tolist()]) == list(range(lowest, lowest + size))
    assert made.missing.tolist() == sorted(made.missing.tolist())
    assert made.size == path.stat().st_size
    if not missing or kind is Kind.BINARY:
        assert made.size == size_of(promise, missing, kind)


def test_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]

    first, again, other = (
        make(path, SMALL, 5, Kind.TEXT, seed=seed)
        for path, seed in zip(paths, (7, 7, 8), strict=True)
    )

    data = [path.read_bytes() for path in paths]
    assert data[0] == data[1] != data[2]
    assert first.missing.tolist() == again.missing.tolist() != other.missing.tolist()


def test_numbers_are_in_no_order(path: Path) -> None:
    make(path, SMALL, 0, Kind.TEXT, force=True)
    there = numbers(path, SMALL, Kind.TEXT)

    rising = sum(after > before for before, after in pairwise(there))
    assert 0.4 < rising / len(there) < 0.6


def test_file_longer_than_a_block_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "BLOCKS", dict.fromkeys(Kind, 100))
    heard: list[int] = []

    made = make(tmp_path / "a", SMALL, 50, Kind.TEXT, tell=heard.append)

    there = numbers(tmp_path / "a", SMALL, Kind.TEXT)
    assert sorted([*there, *made.missing.tolist()]) == list(range(-500, 1501))
    assert len(heard) == 21
    assert sum(heard) == made.numbers


def test_file_that_exists_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("mine")

    with pytest.raises(UsageError, match="exists"):
        make(path, SMALL, 1, Kind.TEXT)

    assert path.read_text() == "mine"
    make(path, SMALL, 1, Kind.TEXT, force=True)
    assert path.stat().st_size > 1000


def test_more_than_there_are_cannot_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2,002 of 2,001 numbers cannot be missing"):
        make(tmp_path / "a", SMALL, 2002, Kind.TEXT)


def test_file_that_does_not_fit_the_disk_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "SPARE", 2**62)

    with pytest.raises(CannotRun, match=r"would have 16 GiB, and .* are free"):
        make(tmp_path / "a", Promise(*INT32), 0, Kind.BINARY)

    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="cannot write") as caught:
        make(tmp_path / "absent" / "a", SMALL, 0, Kind.TEXT)

    assert "No such file" in caught.value.why


def write_half(path: Path, *, nameless: bool, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Write until the disk is full at the second block."""
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE")
    monkeypatch.setattr(making, "BLOCKS", dict.fromkeys(Kind, 500))
    write, calls = os.write, iter(range(100))

    def fail(descriptor: int, data: memoryview) -> int:
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", fail)
    return make(path, SMALL, 0, Kind.TEXT)


@pytest.mark.parametrize("nameless", [True, False])
def test_full_disk_leaves_nothing(
    tmp_path: Path, *, nameless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotRun, match="cannot write") as caught:
        write_half(tmp_path / "a", nameless=nameless, monkeypatch=monkeypatch)

    assert "No space left" in caught.value.why
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nameless", [True, False])
def test_interrupted_file_is_not_there(
    tmp_path: Path, *, nameless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", SMALL, 0, Kind.TEXT, tell=interrupt)

    assert list(tmp_path.iterdir()) == []


def test_disk_without_nameless_files_gets_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "a", SMALL, 3, Kind.TEXT, seed=1)
    monkeypatch.delattr(os, "O_TMPFILE")
    make(tmp_path / "b", SMALL, 3, Kind.TEXT, seed=1)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_file_may_be_read_by_those_whom_the_user_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        make(tmp_path / "a", SMALL, 0, Kind.TEXT)
    finally:
        os.umask(before)

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
