"""`perfkit probe` on the real PostgreSQL of the wheel."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from perfkit import registry
from perfkit.cli.check import check_probes
from perfkit.errors import Exit

from .conftest import Run

FEW = ("-s", "orders=10")


def test_probe_counts_checks_and_times(
    perfkit: Run, tmp_path: Path, nothing_left: Callable[[], list[str]]
) -> None:
    ended = perfkit(
        *("probe", "db-fetch", *FEW, "--rounds", "1", "--seed", "7"),
        *("--json", "-o", "a.json", "-o", "a.md"),
    )

    result = json.loads(ended.stdout)
    work = {variant["name"]: variant["work"] for variant in result["variants"]}
    assert ended.returncode == 4, "one round has no interval, so the fix is not told apart"
    assert result == json.loads((tmp_path / "a.json").read_text())
    assert (result["seed"], result["stopped"], result["answer"]) == (7, "rounds", "10 rows")
    assert result["component"]["product"] == "PostgreSQL"
    assert work["ask-per-row"]["round_trips"]["value"] == 11
    assert work["ask-once"]["round_trips"]["value"] == 1
    assert work["ask-once"]["statements"]["witness"] == "pg_stat_statements"
    assert work["ask-once"]["bytes_in"]["others"]["TCP_INFO"] > 0
    for variant in result["variants"]:
        (sample,) = variant["samples"]
        assert len(sample["wall"]) == len(sample["cpu"]) == 4
        assert sample["peak_rss"] > 2**20
    assert "timing: every variant once a round" in ended.stderr
    assert "\x1b" not in ended.stderr
    assert nothing_left() == []


def test_distance_is_measured_not_believed(perfkit: Run) -> None:
    ended = perfkit("probe", "db-fetch", *FEW, "--rounds", "0", "--rtt", "3ms", "--json", "-q")

    assert (ended.returncode, ended.stderr) == (0, ""), "-q says nothing of the progress"
    component = json.loads(ended.stdout)["component"]
    assert component["rtt_asked"] == 0.003
    assert component["rtt"] != 0.003
    assert component["rtt"] > 0.003, "the relay holds every byte back for that long"


def test_ctrl_c_reports_what_there_is(
    environment: dict[str, str], nothing_left: Callable[[], list[str]], tmp_path: Path
) -> None:
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "perfkit", "probe", "db-fetch", *FEW, "--rounds", "40", "-o", "part.json"],
        cwd=str(tmp_path),
        env=environment,
        encoding="utf-8",
        dimensions=(60, 100),
        timeout=90,
    )
    terminal.expect("timing: 1 rounds")
    terminal.sendintr()
    terminal.expect("Partial")
    terminal.expect("interrupted after")
    terminal.expect(pexpect.EOF)
    terminal.close()

    result = json.loads((tmp_path / "part.json").read_text())
    assert terminal.exitstatus == 130
    assert result["stopped"] == "interrupted"
    assert len({len(variant["samples"]) for variant in result["variants"]}) == 1
    assert nothing_left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_before_the_first_round_cleans_up(
    environment: dict[str, str], nothing_left: Callable[[], list[str]], number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "perfkit", "probe", "db-fetch", *FEW],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("counting 2/"):
            break
    process.send_signal(number)
    printed, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert printed == ""
    assert "interrupted before anything was measured" in said
    assert nothing_left() == []


def test_picker_runs_what_was_picked(environment: dict[str, str]) -> None:
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "perfkit", "probe", "--rounds", "0"],
        env=environment,
        encoding="utf-8",
        dimensions=(40, 100),
        timeout=90,
    )
    terminal.expect("Which probe")
    terminal.expect("db-top-rows")
    terminal.send("\x1b[B\r")
    terminal.expect("Fetch everything, use the first row")
    terminal.expect("bytes received")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0


def test_two_runs_at_once_do_not_meet(
    environment: dict[str, str], nothing_left: Callable[[], list[str]]
) -> None:
    command = [sys.executable, "-m", "perfkit", "probe", "db-fetch", *FEW, "--rounds", "0"]
    runs = [
        subprocess.Popen(
            [*command, "--json", "-q"], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]

    results = [json.loads(run.communicate(timeout=120)[0]) for run in runs]

    first, second = ([variant["work"] for variant in result["variants"]] for result in results)
    assert first == second
    assert nothing_left() == []


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/x", 3, "cannot connect"),
        ("postgresql://me:hunter2@db.example.org/x", 3, "--allow-remote"),
        ("postgresql://me:hunter2@h:99999999/?nonsense=1", 2, "cannot be read"),
        ("host=127.0.0.1 hunter2", 2, "cannot be read"),
    ],
)
def test_server_of_the_user_that_cannot_be_used(
    perfkit: Run, url: str, code: int, said: str
) -> None:
    for ended in (
        perfkit("probe", "db-fetch", "--backend", url),
        perfkit("probe", "db-fetch", PERFKIT_PG_DSN=url),
    ):
        assert ended.returncode == code
        assert said in ended.stderr
        assert "hunter2" not in ended.stderr + ended.stdout


def test_check_holds_the_probes_it_is_given(perfkit: Run) -> None:
    ended = perfkit("check", "db-first-row", "db-top-rows")

    assert ended.returncode == 0
    held = [line.split()[:2] for line in ended.stdout.splitlines()]
    assert held == [["holds", "db-first-row:"], ["holds", "db-top-rows:"]]


def test_check_holds_all_probes_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Not all there are: `tests/test_stories.py` does that, and it takes its time.
    alone = {"db-top-rows": registry.entry("db-top-rows")}
    monkeypatch.setattr(registry, "entries", lambda: alone)

    assert check_probes() == Exit.FINE
    assert capfd.readouterr().out.startswith("holds  db-top-rows: rows 10,000 -> 10")
