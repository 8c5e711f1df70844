"""The command line, run as a user runs it: a process with its own environment."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without the colours, servers and homes of whoever runs the tests."""
    foreign = ("PG", "PERFKIT_", "NO_COLOR", "FORCE_COLOR", "GITHUB_", "COLUMNS", "CI")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    # The embedded server may run as `nobody`, who has to get through.
    for folder in (temporary, *list(temporary.parents)[:3]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    return kept | {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TMPDIR": str(temporary),
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def perfkit(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run `perfkit ARGUMENTS...` in an empty folder; keywords are environment variables."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "perfkit", *arguments],
            cwd=tmp_path,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def nothing_left(environment: dict[str, str]) -> Callable[[], list[str]]:
    """What is left in the run's temporary folder."""
    return lambda: sorted(path.name for path in Path(environment["TMPDIR"]).iterdir())
