"""`perfkit missing`: numbers on stdout, words on stderr, and never a wrong answer."""

import errno
import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, get_args, get_type_hints

import pexpect
import pytest

pytest.importorskip("numba")

from perfkit.cli import app, meter, missing
from perfkit.cli.options import Color
from perfkit.missing import make as making
from perfkit.missing.choose import BUILDERS
from perfkit.missing.source import Kind
from perfkit.report.missing import Found, Planned, Written
from perfkit.units import Unit

from .conftest import Run

SECRET = "7x7hunter2"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def numbers(self) -> list[int]:
        return [int(line) for line in self.out.splitlines()]


Here = Callable[..., Ended]


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    """Run `perfkit missing ARGUMENTS...` in this process, in an empty folder."""
    for name in ("PERFKIT_DEBUG", "FORCE_COLOR", "COLUMNS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        code = app.run(["missing", *arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def lines(path: str, *numbers: int) -> None:
    Path(path).write_text("".join(f"{number}\n" for number in numbers))


@pytest.mark.parametrize("file", ["ids.txt", "ids.bin"])
@pytest.mark.parametrize("bounds", ["1..5000", "-300..300", "4294960000..4294967295"])
@pytest.mark.parametrize(
    ("left_out", "promised"),
    [("0", ()), ("1", ("--k=1",)), ("2", ("--k", "..8")), ("3", ("--k=1..",)), ("40", ())],
)
def test_numbers_that_were_left_out_are_the_ones_that_are_named(
    here: Here, file: str, bounds: str, left_out: str, promised: tuple[str, ...]
) -> None:
    made = here("--make", file, f"--range={bounds}", "--k", left_out)
    found = here(file, f"--range={bounds}", *promised)

    assert (made.code, found.code) == (0, 0), made.err + found.err
    assert made.out == found.out
    assert len(made.numbers) == int(left_out)
    low, _, high = bounds.partition("..")
    size = int(high) - int(low) + 1
    assert Path(file).stat().st_size == 4 * (size - int(left_out)) or file == "ids.txt"


def test_report_says_who_named_them_and_what_that_took_and_proves(here: Here) -> None:
    lines("ids.txt", 2, 5, 4, 1)

    ended = here("ids.txt", "--range=1..5", "--k=1")

    head, *facts = ended.err.splitlines()
    said = " ".join(ended.err.split())
    assert (ended.code, ended.out) == (0, "3\n")
    assert head == "1 of 5 is missing"
    assert [line[2:8].strip() for line in facts if line[2:8].strip()] == [
        *("solver", "read", "memory", "time", "proves")
    ]
    assert "invariants: 1 is missing; one pass and 32 B of state: the cheapest that can" in said
    assert "8 B in one pass" in said
    assert "of state, 768 KiB of buffers; the limit is 64 MiB" in said
    assert "with 1 thread" in said
    assert max(map(len, ended.err.splitlines())) <= 80
    assert "\x1b" not in ended.err


def test_nothing_missing_is_said_and_prints_nothing(here: Here) -> None:
    lines("ids.txt", 3, 1, 2)

    ended = here("ids.txt", "--range=1..3")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("none of 3 are missing\n")


def test_quiet_prints_the_numbers_and_nothing_else(here: Here) -> None:
    made = here("--make", "ids.txt", "--range=1..9", "--k=2", "-q")
    found = here("ids.txt", "--range=1..9", "-q")

    assert (made.err, found.err) == ("", "")
    assert len(found.numbers) == 2
    assert found.out == made.out


def test_a_great_many_are_printed_all_the_same(here: Here) -> None:
    lines("ids.txt", 1, 3)

    assert here("ids.txt", "--range=1..40000").numbers == [2, *range(4, 40_001)]


def test_several_files_are_read_as_one(here: Here) -> None:
    lines("a", 1, 2)
    lines("b", 5, 4)
    lines("c")

    assert here("a", "b", "c", "--range=1..6").numbers == [3, 6]
    assert here("a", "b", "c", "--range=1..6", "--jobs=2").numbers == [3, 6]


def test_solver_that_cannot_name_them_is_told_and_another_one_reads_again(here: Here) -> None:
    made = here("--make", "ids.txt", "--range=1..200000", "--k=5000", "--seed=1")
    options = ("ids.txt", "--range=1..200000", "--memory=24KiB")

    ended = here(*options)
    document = json.loads(here(*options, "--json").out)

    said = " ".join(ended.err.split())
    assert ended.out == made.out
    assert "tried cells: nobody knows" in said
    assert "it said: the cells cannot name 5,000 missing numbers" in said
    assert "solver bucket-counts: 5,000 are missing" in said
    assert [one["solver"] for one in document["attempts"]] == ["cells"]
    assert document["solver"] == "bucket-counts"
    assert document["state"] + document["buffers"] <= document["memory"] == 24 * 2**10


def test_json_is_one_document_with_all_that_is_known(here: Here) -> None:
    lines("ids.txt", 12, 10)

    ended = here("ids.txt", "--range=10..13", "--memory=1MiB", "--json")

    document = json.loads(ended.out)
    assert ended.err == ""
    assert list(document) == list(Found.__struct_fields__)
    assert document["schema"] == "perfkit.missing/1"
    assert document["missing"] == [11, 13]
    assert (document["count"], document["present"], document["range"]) == (2, 2, [10, 13])
    assert (document["solver"], document["attempts"]) == ("bitmap", [])
    assert (document["passes"], document["read"], document["mapped"]) == (1, 6, 0)
    assert (document["memory"], document["jobs"]) == (2**20, 1)
    assert min(document["seconds"], document["cpu"], document["state"]) > 0


def test_json_of_a_mapped_file_tells_mapped_from_read(here: Here) -> None:
    here("--make", "ids.bin", "--range=1..1000")

    document = json.loads(here("ids.bin", "--range=1..1000", "--json").out)

    assert (document["read"], document["mapped"], document["buffers"]) == (0, 4 * 999, 0)


def test_solver_and_threads_are_those_that_were_asked_for(here: Here) -> None:
    made = here("--make", "ids.bin", "--range=1..50000", "--k=3")

    for solver in ("bitmap", "power-sums", "cells", "bucket-counts"):
        ended = here("ids.bin", "--range=1..50000", "--solver", solver, "--jobs=2", "--json")
        document = json.loads(ended.out)
        assert (document["solver"], document["why"], document["jobs"]) == (solver, "asked for", 2)
        assert document["missing"] == made.numbers


def test_plan_compares_all_solvers_and_reads_nothing(here: Here) -> None:
    Path("ids.txt").write_text("no number\n")
    options = ("ids.txt", "--range=1..1000000", "--memory=100KiB", "--plan")

    ended = here(*options)
    document = json.loads(here(*options, "--json").out)

    head, _, *table = ended.out.splitlines()
    rows = {row.split()[0]: row for row in table if row[:1].strip()}
    assert (ended.code, ended.err) == (0, "")
    assert head.startswith("1..1000000 · any number missing · 100 KiB, ")
    assert max(map(len, ended.out.splitlines())) <= 80
    assert set(rows) == {"solver", *BUILDERS}
    assert "cells          1          48 KiB" in rows["cells"]
    assert "2 or more" in rows["bucket-counts"]
    assert "no: the bitmap needs 122 KiB" in rows["bitmap"]
    assert list(document) == list(Planned.__struct_fields__)
    assert [one["solver"] for one in document["solvers"]] == list(rows)[1:]
    assert [one["solver"] for one in document["solvers"] if not one["why_not"]] == [
        *("cells", "bucket-counts")
    ]
    assert (document["fewest"], document["most"]) == (0, None)


def test_solver_that_runs_is_the_first_of_the_plan(here: Here) -> None:
    here("--make", "ids.bin", "--range=1..100000", "--k=9")
    options = ("ids.bin", "--range=1..100000", "--json")

    planned = json.loads(here(*options, "--plan").out)
    found = json.loads(here(*options).out)

    assert found["solver"] == planned["solvers"][0]["solver"]
    assert (planned["fewest"], planned["most"]) == (9, 9), "the size of a binary file tells"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1\n2\n\n4\n", "line 3 of ids.txt is no integer: it has no digit"),
        (b"1\n" + SECRET.encode() + b"\n", "line 2 of ids.txt is no integer: it has 'x' in"),
        (b"1\n2 \n", "line 2 of ids.txt is no integer: it has ' ' in column 2"),
        (b"1\r\n2\r\n", "line 1 of ids.txt ends in a carriage return"),
        (b"1\n2\n9\n", "line 3 of ids.txt: 9 is outside the range 1..8"),
        (b"1\n2\n3\n2\n", "line 4 of ids.txt: 2 is there twice"),
        (b"1\n12345678901\n", "line 2 of ids.txt is no integer: it has more than ten digits"),
        (b"\x01\x00\x00\x00\x02\x00", "ids.txt has 6 bytes, which is no whole number of"),
        (b"\x01\x00\x00\x00\x09\x00\x00\x00", "number 2 of ids.txt: 9 is outside the range"),
    ],
)
def test_broken_file_is_refused_where_it_is_broken(here: Here, content: bytes, said: str) -> None:
    Path("ids.txt").write_bytes(content)

    for options in ((), ("--k=..2", "--json")):
        ended = here("ids.txt", "--range=1..8", *options)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("error: ")
        assert "hunter2" not in ended.err
    assert said in here("ids.txt", "--range=1..8").err


@pytest.mark.parametrize("file", ["ids.txt", "ids.bin"])
def test_number_of_missing_ones_is_held_to_what_was_promised(here: Here, file: str) -> None:
    here("--make", file, "--range=1..100", "--k=3")

    for promised in ("--k=2", "--k=..2", "--k=4..", "--k=0"):
        ended = here(file, "--range=1..100", promised)
        assert (ended.code, ended.out) == (2, ""), promised
        assert "3 numbers are missing" in ended.err


def test_forgotten_range_is_what_the_error_asks_about(here: Here) -> None:
    lines("ids.txt", 1, 2, 3)

    ended = here("ids.txt")

    assert (ended.code, ended.out) == (3, "")
    assert "4,294,967,293 of 4,294,967,296 numbers are missing: too many to name" in ended.err
    assert "--range=FIRST..LAST" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which file?"),
        (("a", "--range=5"), "--range 5: not a range"),
        (("a", "--range=1.."), "--range 1..: not a range"),
        (("a", "--range=int64"), "int32 or uint32"),
        (("a", "--range=9..1"), "the range 9..1 is empty"),
        (("a", "--range", "-1..3000000000"), "fits neither int32 nor uint32"),
        (("a", "--k=two"), "--k two: not a count"),
        (("a", "--k=.."), "--k ..: not a count"),
        (("a", "--k=8..1"), "missing numbers cannot be"),
        (("a", "--memory=16"), "'16' has no unit"),
        (("a", "--memory=15KiB"), "--memory 15KiB is too little"),
        (("a", "--jobs=0"), "--jobs"),
        (("a", "--format=csv"), "--format"),
        (("a", "--solver=quick"), "no solver 'quick'"),
        (("a", "--seed=1"), "--seed and --force are for --make"),
        (("a", "--force"), "--seed and --force are for --make"),
        (("absent",), "cannot read absent"),
        (("a", "b.bin"), "b.bin is binary, and a is text"),
        (("a", "--make", "b", "--range=1..9"), "--make reads nothing"),
        (("--plan", "--make", "b", "--range=1..9"), "--make reads nothing"),
        (("--make", "c", "--range=1..9", "--k=..2"), "--make leaves out exactly so many"),
        (("--make", "-", "--range=1..9"), "--make writes a file, not a stream"),
        (("--make", "a", "--range=1..9"), "a exists"),
        (("--make", "pipe", "--range=1..9", "--force"), "pipe is no regular file"),
    ],
)
def test_mistake_is_named_with_a_way_out(here: Here, arguments: tuple[str, ...], said: str) -> None:
    lines("a", 1)
    Path("b.bin").write_bytes(b"\x00" * 4)
    os.mkfifo("pipe")

    ended = here(*arguments)

    assert (ended.code, ended.out) == (2, ""), ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize("bounds", [("--range=-5..-1",), ("--range", "-5..-1")])
def test_negative_bounds_need_no_special_care(here: Here, bounds: tuple[str, ...]) -> None:
    lines("ids.txt", -4, -2, -1)

    assert here("ids.txt", *bounds).numbers == [-5, -3]


def test_range_may_have_underscores_and_a_name(here: Here) -> None:
    lines("ids.txt", *range(1, 1000))

    assert here("ids.txt", "--range=1..1_000").numbers == [1000]
    assert "0..4294967295 · any number" in here("ids.txt", "--range=uint32", "--plan").out


def test_solver_without_room_says_why_not_for_each(here: Here) -> None:
    here("--make", "ids.bin", "--range=1..10000000", "--k=9000", "-q")

    ended = here("ids.bin", "--range=1..10000000", "--memory=16KiB", "--jobs=64")

    assert (ended.code, ended.out) == (3, "")
    assert "no solver can do it within 16 KiB" in ended.err
    assert "bitmap: " in ended.err


@pytest.mark.parametrize("file", ["ids.txt", "ids.bin"])
def test_same_seed_writes_the_same_file(here: Here, file: str) -> None:
    options = ("--make", file, "--range=1..3000", "--force")
    first = here(*options, "--seed=5"), Path(file).read_bytes()
    again = here(*options, "--seed=5"), Path(file).read_bytes()
    other = here(*options, "--seed=6"), Path(file).read_bytes()

    assert first == again
    assert first[1] != other[1]
    assert "seed     5" in first[0].err


def test_seed_that_was_drawn_is_told(here: Here) -> None:
    drawn = json.loads(here("--make", "a.bin", "--range=1..99", "--json").out)
    here("--make", "b.bin", "--range=1..99", "--seed", str(drawn["seed"]))

    assert Path("a.bin").read_bytes() == Path("b.bin").read_bytes()


def test_json_of_make_is_one_document(here: Here) -> None:
    ended = here("--make", "a.dat", "--range=1..9", "--k=2", "--format=binary", "--json")

    document = json.loads(ended.out)
    assert ended.err == ""
    assert list(document) == list(Written.__struct_fields__)
    assert (document["path"], document["format"]) == ("a.dat", "binary")
    assert (document["numbers"], document["bytes"], document["range"]) == (7, 28, [1, 9])
    assert document["missing"] == here("a.dat", "--range=1..9").numbers


def test_file_that_exists_is_replaced_only_when_forced(here: Here) -> None:
    Path("notes.txt").write_text("mine\n")

    refused = here("--make", "notes.txt", "--range=1..9")
    kept = Path("notes.txt").read_text()
    forced = here("--make", "notes.txt", "--range=1..9", "--force")

    assert (refused.code, refused.out, kept) == (2, "", "mine\n")
    assert forced.code == 0
    assert len(Path("notes.txt").read_text().splitlines()) == 8


def test_disk_that_is_too_small_is_known_before_anything_is_written(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = shutil.disk_usage(".")._replace(free=2**27)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: few)
    monkeypatch.setattr(os, "write", pytest.fail)

    ended = here("--make", "ids.bin")

    assert (ended.code, ended.out) == (3, "")
    assert "ids.bin would have 16 GiB, and 128 MiB are free" in ended.err


@pytest.mark.parametrize("file", ["without a name", "with its name"])
def test_disk_that_fills_up_leaves_nothing(
    here: Here, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    if file == "with its name":
        monkeypatch.setattr(making, "_nameless", lambda _: None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        stopped = here("--make", "ids.bin", "--range=1..100000")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (stopped.code, stopped.out) == (3, "")
    assert "cannot write ids.bin" in stopped.err
    assert list(Path().iterdir()) == []


def test_full_disk_is_said(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fill)
    ended = here("--make", "ids.bin", "--range=1..100")
    monkeypatch.undo()

    assert (ended.code, ended.out) == (3, "")
    assert "No space left on device; nothing of it was left behind" in ended.err


AT = """
import os, signal, sys
from perfkit.cli import app, meter

def tell(self, size, told=meter.Meter.tell):
    told(self, size)
    if self._done > {after}:
        os.kill(os.getpid(), signal.{name})

meter.Meter.tell = tell
sys.exit(app.run(sys.argv[1:]))
"""
"""Sends itself a signal when so much is done."""


@pytest.fixture
def signalled(environment: dict[str, str], tmp_path: Path) -> Run:
    folder = tmp_path / "made"
    folder.mkdir()

    def run(name: str, after: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", AT.format(after=after, name=name), "missing", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )

    return run


def test_ctrl_c_leaves_no_file_and_says_how_far_it_was(signalled: Run, tmp_path: Path) -> None:
    ended = signalled("SIGINT", 0, "--make", "ids.txt", "--range=1..600000", "--k=9")

    part = re.search(r"interrupted: numbers written: ([\d,]+) of 599,991\n", ended.stderr)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert part is not None, ended.stderr
    assert 0 < int(part[1].replace(",", "")) < 599_991
    assert "why  nothing was left behind" in ended.stderr
    assert list((tmp_path / "made").iterdir()) == []


def test_file_that_was_being_written_is_gone_with_its_process(
    signalled: Run, tmp_path: Path
) -> None:
    if (descriptor := making._nameless(tmp_path)) is None:
        pytest.skip("this disk has no files without a name")
    os.close(descriptor)

    ended = signalled("SIGKILL", 0, "--make", "ids.txt", "--range=1..600000")

    assert ended.returncode == -signal.SIGKILL
    assert list((tmp_path / "made").iterdir()) == []


def test_ctrl_c_stops_all_threads_in_any_pass(signalled: Run, here: Here, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    here("--make", str(ids), "--range=1..300000", "--k=3", "-q")
    after = ids.stat().st_size + 2**18

    ended = signalled(
        *("SIGINT", after, str(ids), "--range=1..300000", "--jobs=2"),
        *("--solver=bucket-counts", "--memory=256KiB"),
    )

    assert (ended.returncode, ended.stdout) == (130, "")
    assert "interrupted: bucket-counts, pass 2: " in ended.stderr
    assert "why  nothing was named" in ended.stderr


@pytest.fixture
def piped(
    environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `perfkit missing ARGUMENTS...` with pipes at all ends."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        *arguments: str, stdout: int | IO[bytes] = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "perfkit", "missing", *arguments],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=subprocess.PIPE,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


Piped = Callable[..., subprocess.Popen[bytes]]


def test_standard_input_is_read_once_and_as_it_comes(piped: Piped) -> None:
    text = piped("-", "--range=-2..5")
    binary = piped("-", "--range=1..4", "--format=binary", "--k=..2", "-q")

    assert text.communicate(b"-2\n-1\n1\n2\n3\n5", timeout=60)[0] == b"0\n4\n"
    assert binary.communicate(bytes([4, 0, 0, 0, 1, 0, 0, 0]), timeout=60) == (b"2\n3\n", b"")


def test_ctrl_c_while_waiting_for_input_says_how_far_it_was(piped: Piped) -> None:
    process = piped("-", "--range=int32", "--k=..2")
    assert process.stdin is not None
    # More than a pipe holds: when it is written, most of it was read.
    process.stdin.write(b"".join(b"%d\n" % number for number in range(50_000)))
    process.stdin.flush()

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, b"")
    assert re.match(rb"error: interrupted: invariants: \d+ KiB\n  why  nothing was named", err)


def test_reader_that_leaves_early_is_no_error(piped: Piped) -> None:
    process = piped("-", "--range=1..500000", "-q")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"1\n3\n")
    process.stdin.close()
    process.stdin = None

    assert process.stdout.readline() == b"2\n"
    process.stdout.close()
    process.stdout = None

    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_output_that_cannot_be_written_is_said(piped: Piped) -> None:
    with Path("/dev/full").open("wb") as full:
        process = piped("-", "--range=1..5", stdout=full)
        _, err = process.communicate(b"1\n", timeout=60)

    assert process.returncode == 3
    assert b"error: cannot write to stdout\n  why  No space left on device" in err


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("numpy", ("absent.txt",)),
        ("numba", ("absent.txt", "--plan")),
        ("numba", ("--make", "ids.txt")),
        ("flint", ("absent.txt",)),
    ],
)
def test_missing_package_says_what_to_install(
    environment: dict[str, str], tmp_path: Path, package: str, arguments: tuple[str, ...]
) -> None:
    without = (
        f"import sys; sys.modules['{package}'] = None;"
        "from perfkit.cli.app import run; sys.exit(run(sys.argv[1:]))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", without, "missing", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (3, "")
    assert f"error: the package '{package}' is not installed" in ended.stderr
    assert "pip install 'perfkit[solve]'" in ended.stderr


def test_loops_are_compiled_where_no_folder_may_be_written(
    environment: dict[str, str], tmp_path: Path
) -> None:
    lines(str(tmp_path / "ids.txt"), 3, 1)
    homeless = (
        "import sys; from numba.core import caching; caching.CacheImpl._locator_classes = [];"
        "from perfkit.cli.app import run; sys.exit(run(sys.argv[1:]))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", homeless, "missing", "ids.txt", "--range=1..3", "--k=1", "-q"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "2\n", "")


def test_terminal_shows_how_far_it_is_and_then_only_the_answer(
    environment: dict[str, str], here: Here, tmp_path: Path
) -> None:
    made = here("--make", "ids.txt", "--range=1..400000", "--k=2")

    for variables in ({}, {"NO_COLOR": "1"}):
        terminal = pexpect.spawn(
            sys.executable,
            ["-m", "perfkit", "missing", "ids.txt", "--range=1..400000", "--memory=1MiB"],
            cwd=str(tmp_path),
            env=environment | variables,
            encoding="utf-8",
            dimensions=(24, 80),
            timeout=60,
        )
        terminal.expect(pexpect.EOF)
        terminal.close()
        drawn, _, rest = str(terminal.before).partition("\x1b[1A\x1b[2K")
        assert "bitmap" in drawn
        assert "/2." in drawn, "megabytes of how many"
        assert rest.splitlines()[:2] == made.out.splitlines()
        assert "2 of 400,000 are missing" in rest
        assert ("\x1b[1m" in rest) == (not variables)
        assert terminal.exitstatus == 0


def test_long_work_is_told_line_by_line_where_there_is_no_terminal(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = here("--make", "ids.txt", "--range=1..100000", "--k=9")
    silent = here("ids.txt", "--range=1..100000", "--solver=bucket-counts")
    monkeypatch.setattr(meter, "EVERY", 0.0)

    ended = here("ids.txt", "--range=1..100000", "--solver=bucket-counts")
    quiet = here("ids.txt", "--range=1..100000", "--solver=bucket-counts", "-q")

    assert ended.out == made.out
    assert "bucket-counts: 256 KiB of 575 KiB\n" in ended.err
    assert "bucket-counts, pass 2: 256 KiB of 575 KiB\n" in ended.err
    assert silent.err.startswith("9 of 100,000 are missing\n")
    assert quiet.err == ""


class Piece(int):
    """A number that lets other threads run while it is added."""

    def __radd__(self, other: int) -> int:
        time.sleep(0)
        return int(other) + int(self)


def test_meter_adds_up_what_several_threads_tell() -> None:
    one = meter.Meter(Color.NEVER, Unit.COUNT, quiet=False)
    one.start("numbers", 5_000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one.tell, itertools.repeat(Piece(1), 4_000)))

    assert str(one) == "numbers: 4,000 of 5,000"


def test_solvers_are_completed_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing.complete_solver("b") == ["bucket-counts", "bitmap"]

    monkeypatch.setitem(sys.modules, "numba", None)
    assert missing.complete_solver("b") == []


def test_formats_are_those_that_there_are() -> None:
    kinds, _ = get_args(get_type_hints(missing.find_numbers)["format_"])

    assert get_args(kinds) == tuple(Kind)
