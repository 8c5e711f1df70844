"""What goes where: stdout carries the report or the JSON, whatever stands at its other end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import GOLDEN, Run

RESULT = str(GOLDEN / "db-fetch.json")


def test_json_is_all_that_stdout_carries(perfkit: Run) -> None:
    ended = perfkit("show", RESULT, "--json")

    assert json.loads(ended.stdout)["schema"] == "perfkit.result/1"
    assert ended.stdout == Path(RESULT).read_text()


def test_report_without_a_terminal_has_no_escapes_and_fits_80_columns(perfkit: Run) -> None:
    ended = perfkit("show", RESULT)

    assert "\x1b" not in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert ended.stdout == perfkit("show", RESULT, NO_COLOR="1").stdout


def test_color_follows_the_option_before_the_environment(perfkit: Run) -> None:
    assert "\x1b" in perfkit("show", RESULT, "--color", "always").stdout
    assert "\x1b" in perfkit("show", RESULT, FORCE_COLOR="1").stdout
    assert "\x1b" not in perfkit("show", RESULT, "--color", "never", FORCE_COLOR="1").stdout
    assert "\x1b" not in perfkit("show", RESULT, FORCE_COLOR="1", NO_COLOR="1").stdout


def test_ascii_terminal_gets_stand_ins(perfkit: Run) -> None:
    ended = perfkit("show", RESULT, PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert ended.returncode == 0
    assert ended.stdout.isascii()
    assert "x naive" in ended.stdout
    assert "~ wrong lever" in ended.stdout


@pytest.mark.parametrize("columns", ["62", "80", "120"])
def test_report_fits_the_terminal(perfkit: Run, columns: str) -> None:
    ended = perfkit("show", RESULT, COLUMNS=columns)

    assert max(map(len, ended.stdout.splitlines())) <= int(columns)
    assert "round trips" in ended.stdout


@pytest.mark.parametrize("arguments", [("show", RESULT), ("show", RESULT, "--json"), ("list",)])
def test_reader_that_leaves_early_is_no_error(
    environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "perfkit", *arguments],
            env=environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_full_disk_is_said_and_leaves_no_piece(perfkit: Run, tmp_path: Path) -> None:
    (tmp_path / "full.json").symlink_to("/dev/full")

    ended = perfkit("show", RESULT, "-o", str(tmp_path / "full.json"), "--force")

    assert ended.returncode == 3
    assert "No space left on device" in ended.stderr
    assert "N+1 queries" in ended.stdout, "what was measured is still printed"


def test_file_that_cannot_grow_leaves_the_old_one_whole(
    environment: dict[str, str], tmp_path: Path
) -> None:
    old = tmp_path / "result.json"
    old.write_bytes(Path(RESULT).read_bytes())
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
        "from perfkit.cli.app import run; sys.exit(run(sys.argv[1:]))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", limited, "show", RESULT, "-o", str(old)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 3
    assert "cannot write" in ended.stderr
    assert old.read_bytes() == Path(RESULT).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "tmp"]


def test_markdown_and_json_come_from_one_result(perfkit: Run, tmp_path: Path) -> None:
    ended = perfkit("show", RESULT, "-o", "a.json", "-o", "a.md", "-q")

    assert ended.returncode == 0
    assert (tmp_path / "a.json").read_bytes() == Path(RESULT).read_bytes()
    assert "one JOIN for the page" in (tmp_path / "a.md").read_text()
    assert len(ended.stdout.splitlines()) < 20


def test_bug_is_kept_in_a_file_without_secrets(environment: dict[str, str], tmp_path: Path) -> None:
    broken = (
        "import sys\n"
        "from perfkit.cli import app, listing\n"
        "from perfkit import registry\n"
        "def fail():\n"
        "    raise RuntimeError('postgresql://me:hunter2@db password=hunter2 snmp://hunter2@hunter2@a')\n"
        "registry.listed = fail\n"
        "sys.exit(app.run(['list']))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", broken], env=environment, capture_output=True, text=True, check=False
    )
    report = subprocess.run(
        [sys.executable, "-m", "perfkit", "doctor", "--bug"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 70
    assert "perfkit doctor --bug" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "RuntimeError" in (tmp_path / "state/perfkit/last-bug.txt").read_text()
    for text in (ended.stderr, report.stdout):
        assert "hunter2" not in text.replace("raise RuntimeError", "")
