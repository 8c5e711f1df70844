"""Files are chosen by their ending, refused before anything is measured, and replaced whole."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unit.report import gates
from unit.report.samples import GOLDEN, sample

from perfkit.cli import files
from perfkit.errors import CannotRun, MissingExtra, UnreadableFile, UsageError
from perfkit.outcome import Gate, decode, encode
from perfkit.result import load

RESULT = GOLDEN / "db-fetch.json"
EVERY = pytest.mark.parametrize("ending", files.GATE_FORMATS)


@cache
def gate() -> Gate:
    return gates.every()


def accept(path: Path, *, force: bool = False) -> None:
    files.check([path], force=force, formats=files.GATE_FORMATS)


# Which format


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.json", "{\n"),
        ("a.md", "<!-- perfkit.gate/1 -->"),
        ("a.xml", '<?xml version="1.0"'),
        ("a.pyperf.json", '{\n    "benchmarks"'),
        ("a.base.pyperf.json", '{\n    "benchmarks"'),
        ("a.b.prom", "# HELP perfkit_gate_info"),
        ("a.om", "# HELP perfkit_gate_info"),
        ("a.benchmark.json", "[\n"),
        ("a.bencher.json", '{\n "perfkit.gate/1"'),
        ("a.gate.json", '{\n "perfkit": "0.1.0"'),
    ],
)
def test_the_longest_ending_chooses_the_format(name: str, begins: str, tmp_path: Path) -> None:
    accept(tmp_path / name)
    files.write_gate(tmp_path / name, gate())

    assert (tmp_path / name).read_text().startswith(begins)


def test_a_gate_comes_back_from_its_file(tmp_path: Path) -> None:
    files.write_gate(tmp_path / "gate.json", gate())

    back = files.load(tmp_path / "gate.json")

    assert encode(gate()) == (tmp_path / "gate.json").read_bytes()
    assert isinstance(back, Gate)
    assert encode(back) == encode(gate())


def test_the_base_has_a_pyperf_file_of_its_own(tmp_path: Path) -> None:
    small = gates.gate(gates.failed())
    for name in ("now.pyperf.json", "then.base.pyperf.json"):
        files.write_gate(tmp_path / name, small)

    now, then = (tmp_path / "now.pyperf.json", tmp_path / "then.base.pyperf.json")

    assert now.read_text() != then.read_text()
    assert '"orders-page-cloud/ask-once"' in then.read_text()


@pytest.mark.parametrize("name", ["a.html", "a", ".xml", "a.json.gz"])
def test_an_unknown_ending_is_refused_with_those_that_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no report format ends in") as caught:
        accept(tmp_path / name)

    assert all(ending in caught.value.why for ending in files.GATE_FORMATS)


@pytest.mark.parametrize("ending", sorted(set(files.GATE_FORMATS) - set(files.RESULT_FORMATS)))
def test_what_only_a_gate_can_be_is_refused_for_a_result(ending: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="that is for gates") as caught:
        files.check([tmp_path / f"a{ending}"], force=False)

    assert caught.value.fix == f"-o {tmp_path / 'a.json'}"


# What is refused before anything is measured


@EVERY
def test_a_missing_package_is_named_before_anything_is_measured(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = files.PACKAGES.get(ending)
    if needs is None:
        for name in set(files.PACKAGES.values()):
            monkeypatch.setitem(sys.modules, name, None)
        accept(tmp_path / f"a{ending}")
        files.write_gate(tmp_path / f"a{ending}", gate())
        return

    monkeypatch.setitem(sys.modules, needs, None)

    with pytest.raises(MissingExtra) as caught:
        accept(tmp_path / f"a{ending}")
    assert caught.value.fix == "pip install 'perfkit[ci]'"


def test_a_folder_that_must_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs the tests as root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path or mode != os.W_OK)

    with pytest.raises(CannotRun, match="cannot write") as caught:
        accept(tmp_path / "a.xml")

    assert "read-only" in caught.value.why


@EVERY
def test_a_file_of_ours_may_be_written_again(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    for known in (gate(), gates.gate(gates.failed())):
        accept(path)
        files.write_gate(path, known)

    accept(path)


@pytest.mark.parametrize("ending", [".json", ".md"])
def test_a_result_and_a_gate_may_replace_each_other(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    files.write(path, sample())
    accept(path)
    files.write_gate(path, gate())

    files.check([path], force=False)


FOREIGN_METRICS = "# HELP perfkit_of_somebody perfkit.gate/1\n# EOF\n"
FOREIGN_SUITES = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="my tests"><testsuite name="perfkit.gate/1"/></testsuites>
"""


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".json", '{"name": "my package", "for": "perfkit.gate/2"}'),
        (".md", "# Notes\n<!-- perfkit.gate/1 -->\n"),
        (".xml", FOREIGN_SUITES),
        (".prom", FOREIGN_METRICS),
        (".om", FOREIGN_METRICS),
        (".pyperf.json", '{"benchmarks": [], "version": "1.0"}'),
        (".base.pyperf.json", '{"benchmarks": [], "version": "1.0"}'),
        (".benchmark.json", '[{"name": "mine", "unit": "s", "value": 1}]'),
        (".bencher.json", '{"mine": {"latency": {"value": 1}}}'),
    ],
)
def test_a_file_of_others_is_only_overwritten_with_force(
    ending: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{ending}"
    path.write_text(text)

    with pytest.raises(UsageError, match="perfkit did not write it"):
        accept(path)

    accept(path, force=True)
    assert path.read_text() == text


# Reading


def test_a_result_is_read_as_one() -> None:
    assert files.load(RESULT) == load(RESULT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema": "perfkit.gate/9"}', "is no gate that this perfkit reads"),
        ('{"schema": "perfkit.result/9"}', "is no result that this perfkit reads"),
        ('{"schema": "perfkit.gate/1"}', "is not a whole gate"),
        ("[]", "is no result"),
        ("", "is no JSON"),
        (None, "cannot read"),
    ],
)
def test_what_is_neither_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UnreadableFile, match=said):
        files.load(path)


# Writing


def test_what_a_format_has_no_room_for_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pyperf.json"
    files.write_gate(path, gate())
    old = path.read_bytes()

    with pytest.raises(CannotRun, match="no pyperf file"):
        files.write_gate(path, gates.empty())

    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import sys
from pathlib import Path
from perfkit.cli import files
gate = files.load(Path(sys.argv[1]))
for _ in range(40):
    files.write_gate(Path(sys.argv[2]), gate)
"""


def test_two_writers_at_once_always_leave_one_whole_file(tmp_path: Path) -> None:
    sources = [tmp_path / "one.json", tmp_path / "other.json"]
    for seed, source in enumerate(sources):
        files.write_gate(source, msgspec.structs.replace(gate(), seed=seed))
    whole = {source.read_bytes() for source in sources}
    target = tmp_path / "together" / "gate.json"
    target.parent.mkdir()
    files.write_gate(target, decode(sources[0].read_bytes(), "one.json"))

    writers: list[subprocess.Popen[Any]] = [
        subprocess.Popen([sys.executable, "-c", WRITER, source, target]) for source in sources
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(target.read_bytes())
    seen.add(target.read_bytes())

    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= whole
    assert list(target.parent.iterdir()) == [target]
