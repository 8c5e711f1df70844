"""A base that was kept in a file: what can be read, and what may be compared with it."""

from pathlib import Path

import msgspec
import pytest
from unit.report import gates
from unit.report.samples import change, sample

from perfkit import outcome, result
from perfkit.errors import UnreadableFile
from perfkit.gate import stored
from perfkit.result import Given

GATE = outcome.encode(gates.every())


def write(tmp_path: Path, data: bytes) -> Path:
    file = tmp_path / "base.json"
    file.write_bytes(data)
    return file


def refused(file: Path) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        stored.load(file)
    return caught.value


# Reading it


def test_a_saved_gate_has_the_result_of_every_scenario_that_ran(tmp_path: Path) -> None:
    read = stored.load(write(tmp_path, GATE))

    expected = {one.name: one.result for one in gates.every().scenarios if one.result is not None}
    assert read.named() == expected
    assert len(expected) < len(gates.every().scenarios), "one of them did not run"
    assert [read.of(name) for name in expected] == list(expected.values())
    assert read.of("absent") is None


def test_the_result_of_a_probe_stands_for_any_scenario(tmp_path: Path) -> None:
    read = stored.load(write(tmp_path, result.encode(sample())))

    assert read.of("orders-page") == read.of("anything") == sample()
    assert read.named() == {"db-fetch": sample()}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no JSON"),
        (GATE[: len(GATE) // 2], "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"{}", "its schema is None, not 'perfkit.gate/1'"),
        (b"[]", "its schema is None"),
        (b'"perfkit.gate/1"', "its schema is None"),
        (GATE.replace(b"perfkit.gate/1", b"perfkit.gate/2"), "its schema is 'perfkit.gate/2'"),
        (GATE.replace(b'"seed"', b'"sead"', 1), "sead"),
        (GATE.replace(b'"rounds"', b'"runds"', 1), "runds"),
        (result.encode(sample()).replace(b"perfkit.result/1", b"perfkit.result/9"), "result/9"),
        (result.encode(sample()).replace(b'"wall"', b'"wal"', 1), "wal"),
    ],
)
def test_a_file_of_another_kind_or_version_is_refused(
    tmp_path: Path, data: bytes, said: str
) -> None:
    file = write(tmp_path, data)

    error = refused(file)

    assert str(file) in error.what
    assert said in f"{error.what} {error.why}"


def test_a_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    error = refused(tmp_path / "base.json")

    assert error.what == f"cannot read {tmp_path / 'base.json'}"
    assert error.why == "No such file or directory"
    assert error.fix == f"make one: perfkit gate --save {tmp_path / 'base.json'}"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path).why == "Is a directory"


# Comparing with it


def test_what_was_measured_the_same_way_compares() -> None:
    again = change(sample(), seed=99, budget=1.0, started="2027-01-01T00:00:00+00:00")

    assert stored.difference(again, sample()) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"probe": "db-top-rows"}, "another probe: db-top-rows, not db-fetch"),
        ({"params": {}}, "another orders: none, not 200"),
        ({"params": {"orders": Given(7)}}, "another orders: 7, not 200"),
        (
            {"params": {**sample().params, "names": Given(3)}},
            "another names: 3, not None",
        ),
        (
            {"component": msgspec.structs.replace(sample().component, rtt_asked=0.002)},
            "another distance to the component",
        ),
    ],
)
def test_what_was_measured_differently_does_not(changes: dict[str, object], said: str) -> None:
    assert stored.difference(sample(), change(sample(), **changes)) == said


def test_times_compare_on_one_machine_only() -> None:
    here = sample().machine

    def other(**changes: object) -> str:
        there = msgspec.structs.replace(here, fingerprint="0", **changes)
        return stored.foreign(here, there).removeprefix("the base is of another machine: ")

    assert stored.foreign(here, here) == ""
    assert other() == "its fingerprint differs"
    assert other(cores=64) == f"processor 64 x {here.cpu}, here {here.cores} x {here.cpu}"
    assert other(python="CPython 3.9.1") == f"Python CPython 3.9.1, here {here.python}"
    assert other(kernel="1") == f"kernel {here.system} 1, here {here.system} {here.kernel}"
    assert other(packages={"perfkit": "9"}).startswith("packages perfkit 9, here ")
