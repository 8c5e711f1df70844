"""`perfkit show` draws what a probe left and what a gate left."""

from pathlib import Path

import pytest
from unit.report import gates

from perfkit.cli.files import GATE_FORMATS
from perfkit.outcome import encode

from .conftest import GOLDEN, Run


@pytest.fixture
def gate_file(tmp_path: Path) -> Path:
    path = tmp_path / "gate.json"
    path.write_bytes(encode(gates.every()))
    return path


def test_a_gate_is_drawn_again_with_the_verdict_last(perfkit: Run, gate_file: Path) -> None:
    ended = perfkit("show", str(gate_file), COLUMNS="80")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (GOLDEN / "gate-80.txt").read_text()
    assert ended.stdout.splitlines()[-1] == "verdict: fail"


def test_a_quiet_gate_is_what_did_not_pass(perfkit: Run, gate_file: Path) -> None:
    ended = perfkit("show", str(gate_file), "-q", COLUMNS="80")

    assert ended.stdout == (GOLDEN / "gate-short-80.txt").read_text()


def test_a_gate_as_json_is_the_file_itself(perfkit: Run, gate_file: Path) -> None:
    assert perfkit("show", str(gate_file), "--json").stdout == gate_file.read_text()


def test_a_gate_becomes_every_other_format(perfkit: Run, gate_file: Path, tmp_path: Path) -> None:
    names = [f"copy{ending}" for ending in GATE_FORMATS]
    outputs = [word for name in names for word in ("-o", name)]

    first, again = (perfkit("show", str(gate_file), *outputs) for _ in range(2))

    assert (first.returncode, again.returncode, again.stderr) == (0, 0, "")
    assert all((tmp_path / name).stat().st_size for name in names)
    assert (tmp_path / "copy.json").read_bytes() == gate_file.read_bytes()


def test_a_result_becomes_no_format_of_gates(perfkit: Run, tmp_path: Path) -> None:
    ended = perfkit("show", str(GOLDEN / "db-fetch.json"), "-o", "a.xml")

    assert ended.returncode == 2
    assert "no report format ends in '.xml' here: that is for gates" in ended.stderr
    assert not (tmp_path / "a.xml").exists()


def test_a_gate_cut_short_is_refused(perfkit: Run, gate_file: Path) -> None:
    gate_file.write_bytes(gate_file.read_bytes()[:-100])

    ended = perfkit("show", str(gate_file))

    assert ended.returncode == 2
    assert "is no JSON" in ended.stderr
