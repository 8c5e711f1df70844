"""The folder of a run: what is counted there, against what was certainly done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfkit.backends.files import Files, FilesService, file_system, in_pages
from perfkit.errors import CannotRun, ComponentLost, UsageError
from perfkit.model import Location

MEBIBYTE = 2**20


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def counted(files: Files, *, kept: bool = False) -> Any:
    (keeping,) = files.passes()
    return keeping() if kept else files.counting()


# Read and written


def test_what_is_read_and_written_is_counted_to_the_byte(files: Files) -> None:
    (files.folder / "a").write_bytes(bytes(12_345))

    with files.counting() as work:
        data = (files.folder / "a").read_bytes()
        (files.folder / "b").write_bytes(data[:777])

    assert (work["read"].value, work["written"].value) == (12_345, 777)


def test_nothing_is_counted_as_nothing(files: Files) -> None:
    with files.counting() as work:
        pass

    assert {name: tally.value for name, tally in work.items()} == {
        "read": 0,
        "written": 0,
        "passes": 0,
    }


def test_what_was_mapped_is_added_and_passes_are_those_that_were_reported(files: Files) -> None:
    with files.counting() as work:
        files.mapped += 1000
        files.opened += 2

    assert (work["read"].value, work["passes"].value) == (1000, 2)


def test_each_block_counts_for_itself(files: Files) -> None:
    with files.counting():
        files.mapped += 1000
        files.opened += 1
    with files.counting() as work:
        files.opened += 1

    assert (work["read"].value, work["passes"].value) == (0, 1)


def test_programs_count_with_what_they_read_and_write(files: Files) -> None:
    (files.folder / "a").write_bytes(bytes(3 * MEBIBYTE))

    with files.counting() as work, files.run(["cp", "a", "b"]) as said:
        assert said.read() == b""

    # What a program reads to start, its libraries' heads, comes on top.
    assert 0 <= work["read"].value - 3 * MEBIBYTE < 64 * 1024 or _cloned(work["read"].value)
    assert work["written"].value == 3 * MEBIBYTE or _cloned(work["written"].value)


def _cloned(size: int) -> bool:
    """Say whether cp had the file system share the data, which moves no byte."""
    return size < 64 * 1024


def test_what_comes_through_the_pipe_is_neither_read_nor_written(files: Files) -> None:
    command = [sys.executable, "-S", "-c", f"import os; os.write(1, bytes({MEBIBYTE}))"]
    with files.counting() as without, files.run([sys.executable, "-S", "-c", ""]):
        pass

    with files.counting() as work, files.run(command) as said:
        assert len(said.read()) == MEBIBYTE

    assert abs(work["read"].value - without["read"].value) < 4096
    assert work["written"].value == without["written"].value


# Memory


def test_memory_is_the_peak_in_whole_pages_and_kept_adds_what_was_written(files: Files) -> None:
    with counted(files, kept=True) as work:
        data = bytes(MEBIBYTE)
        del data
        (files.folder / "a").write_bytes(bytes(1000))

    assert MEBIBYTE <= work["memory"].value < MEBIBYTE + 64 * 1024
    assert work["memory"].value % 4096 == 0
    assert work["kept"].value == work["memory"].value + 1000


def test_memory_of_a_program_is_its_own_and_not_that_of_who_started_it(files: Files) -> None:
    ballast = b"x" * (64 * MEBIBYTE)
    small = [sys.executable, "-S", "-c", "pass"]
    large = [sys.executable, "-S", "-c", f"x = b'x' * {40 * MEBIBYTE}"]

    with counted(files, kept=True) as work, files.run(small):
        pass
    with counted(files, kept=True) as more, files.run(large):
        pass

    assert len(ballast) == 64 * MEBIBYTE
    assert 2 * MEBIBYTE < work["memory"].value < 30 * MEBIBYTE
    assert 35 * MEBIBYTE < more["memory"].value - work["memory"].value < 45 * MEBIBYTE


def test_program_says_the_same_when_its_memory_is_looked_at(files: Files) -> None:
    with counted(files, kept=True), files.run(["echo", "hello"]) as said:
        assert said.read() == b"hello\n"


def test_pages_are_rounded_up() -> None:
    assert [in_pages(size) for size in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]


# Programs


def test_program_that_fails_says_why(files: Files) -> None:
    with pytest.raises(CannotRun, match="sort failed") as caught, files.run(["sort", "absent"]):
        pass

    assert "absent" in caught.value.why


def test_program_that_is_not_there_is_said_to_be_missing(files: Files) -> None:
    with pytest.raises(CannotRun, match="cannot run no-such-program"):  # noqa: SIM117 (raised inside)
        with files.run(["no-such-program"]):
            pass


def test_program_is_gone_when_the_block_is_left_early(files: Files) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117 (raised inside)
        with files.run(["sleep", "1000"]):
            raise ZeroDivisionError

    ours = ["ps", "-o", "args=", "--ppid", str(os.getpid())]
    left = subprocess.run(ours, capture_output=True, check=True)
    assert b"sleep 1000" not in left.stdout


def test_program_runs_in_the_folder_with_the_environment_asked_for(files: Files) -> None:
    with files.run(["sh", "-c", "pwd; echo $COLOUR"], {"COLOUR": "red"}) as said:
        place, colour = said.read().decode().split()

    assert (Path(place), colour) == (files.folder.resolve(), "red")


# The service


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.fixture
def service(inside: Path) -> Iterator[FilesService]:
    with Files.serve(Location(url=str(inside))) as running:
        yield running


def test_folder_is_made_inside_the_one_that_was_named_and_is_gone_afterwards(
    inside: Path,
) -> None:
    with (
        Files.serve(Location(url=str(inside))) as service,
        Files.connect(service.address) as files,
    ):
        assert files.folder.parent == inside
        (files.folder / "a").write_bytes(b"left behind")

    assert list(inside.iterdir()) == []


def test_report_names_the_file_system(service: FilesService) -> None:
    shown = str(service.component)

    assert shown == f"files {file_system(Path(service.address))} (a folder of yours)"
    assert file_system(Path("/proc")) == "proc"


def test_folder_that_somebody_removed_is_noticed(service: FilesService) -> None:
    service.check()
    shutil.rmtree(service.address)

    with pytest.raises(ComponentLost, match="is gone"):
        service.check()


def test_distance_is_refused() -> None:
    with pytest.raises(UsageError, match="takes no --rtt"):  # noqa: SIM117 (raised inside)
        with Files.serve(Location(rtt=0.002)):
            pass


def test_backend_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):  # noqa: SIM117 (raised inside)
        with Files.serve(Location(url=str(tmp_path / "absent"))):
            pass


def test_system_that_keeps_no_account_is_said_so(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfkit.backends.files.ACCOUNT", "/proc/self/no-such-account")

    with pytest.raises(CannotRun, match="nobody here can count"):  # noqa: SIM117 (raised inside)
        with files.counting():
            pass
