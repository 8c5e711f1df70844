"""`perfkit new probe`: what it writes works as it is, installed like any package."""

import subprocess
import sys
from pathlib import Path

from .conftest import Run


def test_scaffold_passes_check_and_its_own_test_as_generated(
    perfkit: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    written = perfkit("new", "probe", "image-resize")
    folder = tmp_path / "perfkit-image-resize"
    site = tmp_path / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"),
            *("--disable-pip-version-check", "--target", str(site), str(folder)),
        ],
        env=environment,
        check=True,
        capture_output=True,
    )

    checked = perfkit("check", "image-resize", PYTHONPATH=str(site))
    listed = perfkit("list", PYTHONPATH=str(site))
    explained = perfkit("explain", "image-resize", PYTHONPATH=str(site))
    shown = perfkit("scenario", "show", "image-resize-small", PYTHONPATH=str(site))
    gated = perfkit("gate", "--counted", "image-resize-small", PYTHONPATH=str(site))
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "tests")],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert written.returncode == 0
    assert (checked.returncode, checked.stdout) == (
        0,
        "holds  image-resize: round_trips 100 -> 1\n",
    )
    assert "image-resize" in listed.stdout
    assert "## Wrong levers" in explained.stdout
    assert "ask-once/ask-per-item: time < 0.5x" in shown.stdout
    assert gated.returncode == 0, gated.stdout
    assert gated.stdout.splitlines()[-1] == "verdict: pass"
    assert "3 pass" in gated.stdout
    assert tested.returncode == 0, tested.stdout


def test_nothing_is_overwritten(perfkit: Run, tmp_path: Path) -> None:
    folder = tmp_path / "perfkit-mine"
    folder.mkdir()
    (folder / "precious.txt").write_text("mine")

    ended = perfkit("new", "probe", "mine")

    assert ended.returncode == 2
    assert "exists already" in ended.stderr
    assert [path.name for path in folder.iterdir()] == ["precious.txt"]
