"""A gate that is killed, crowded out or cut off: nothing of it stays, no file is torn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import projects
import pytest
from leftovers import alive, folders, processes, until
from projects import EACH, Project

from perfkit.backends.guarded import Guarded, Order
from perfkit.errors import CannotRun
from perfkit.outcome import decode

CHECKS = 'naive = ["calls == 11"]\n"naive@base" = ["calls <= 1x"]'
STUCK = "echo $$ > {place}/stuck; sleep 1000 & echo $! > {place}/child; wait"
"""A step that never ends, with a child that would outlive it."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A temporary folder for what is run, outside the project."""
    folder = Path(tempfile.mkdtemp(prefix="tests-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = projects.make(tmp_path / "project")
    made.scenario(CHECKS)
    made.commit()
    return made


def environment(place: Path, **variables: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT", "PERFKIT_", "COLUMNS"))
    }
    return kept | {"TMPDIR": str(place)} | variables


def start(project: Project, place: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "perfkit", "gate", *words],
        cwd=project.folder,
        env=environment(place, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# Whatever the moment at which it is killed


def stuck_in_the_clone(project: Project, place: Path) -> dict[str, str]:
    """Put a git before the real one that never comes back from a clone."""
    order = STUCK.format(place=place)
    real = shutil.which("git")
    shim = project.write(".git/shim/git", f'#!/bin/sh\n[ "$1" = clone ] && {{ {order}; }}\n')
    shim.write_text(shim.read_text() + f'exec {real} "$@"\n')
    shim.chmod(0o755)
    return {"PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}


def stuck_in_the_build(project: Project, place: Path) -> dict[str, str]:
    build = json.dumps(["sh", "-c", STUCK.format(place=place)])
    project.write("pyproject.toml", f"[tool.perfkit.gate]\nbuild = {build}\n")
    return {}


def stuck_in_the_base(project: Project, place: Path) -> dict[str, str]:
    """Commit code that never comes back, and go on with code that does."""
    order = f"    import subprocess; subprocess.run(['sh', '-c', {STUCK.format(place=place)!r}])\n"
    project.edit(EACH, order + EACH)
    project.commit()
    project.edit(order, "")
    return {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("stuck", [stuck_in_the_clone, stuck_in_the_build, stuck_in_the_base])
def test_nothing_stays_of_a_gate_that_is_ended(
    project: Project, place: Path, stuck: object, number: signal.Signals
) -> None:
    assert callable(stuck)
    variables: dict[str, str] = stuck(project, place)
    with projects.untouched(project.folder / ".git"):
        run = start(project, place, "--base", "HEAD", **variables)
        until(lambda: (place / "child").is_file() and (place / "child").read_text(), "it is stuck")
        pids = [int((place / name).read_text()) for name in ("stuck", "child")]
        assert all(map(alive, pids))
        assert len(folders(place)) == 1
        run.send_signal(number)
        printed, _ = run.communicate(timeout=60)

    until(lambda: not any(map(alive, pids)), "the step and its child end")
    until(lambda: processes(place) == [], "every process ends")
    until(lambda: folders(place) == [], "the checkout is removed")
    if number is signal.SIGINT:
        assert run.returncode == 130
        assert printed.splitlines()[-1] == "verdict: inconclusive"


def test_what_a_build_leaves_running_ends_with_the_build(project: Project, place: Path) -> None:
    build = ["sh", "-c", f"sleep 1000 & echo $! > {place}/child"]
    project.write("pyproject.toml", f"[tool.perfkit.gate]\nbuild = {json.dumps(build)}\n")

    run = start(project, place, "--base", "HEAD")
    printed, _ = run.communicate(timeout=60)

    assert printed.splitlines()[-1] == "verdict: pass"
    until(lambda: not alive(int((place / "child").read_text())), "the child ends")


def test_a_step_that_fails_takes_its_children_along(place: Path) -> None:
    step = ["sh", "-c", f"sleep 1000 & echo $! > {place}/child; exit 3"]

    with Guarded("test", place) as guarded, pytest.raises(CannotRun, match="cannot start test"):
        guarded.start(Order(steps=[step]))

    until(lambda: not alive(int((place / "child").read_text())), "the child ends")


def test_the_next_gate_sweeps_what_was_left_when_the_guard_was_killed_too(
    project: Project, place: Path
) -> None:
    stuck_in_the_build(project, place)
    run = start(project, place, "--base", "HEAD")
    until(lambda: (place / "child").is_file() and (place / "child").read_text(), "it is stuck")
    (left,) = folders(place)
    run.kill()
    run.communicate()
    for line in processes(place):
        if "guard.py" in line:
            os.kill(int(line.split()[0]), signal.SIGKILL)
    os.kill(int((place / "child").read_text()), signal.SIGKILL)
    until(lambda: processes(place) == [], "every process ends")
    project.write("pyproject.toml", "")

    again = start(project, place, "--base", "HEAD", "-q")
    printed, _ = again.communicate(timeout=60)

    assert printed == "verdict: pass\n"
    assert not left.exists()
    assert folders(place) == []


# Files


def test_gates_that_write_the_same_files_at_once_leave_whole_ones(
    project: Project, place: Path
) -> None:
    words = ("--save", "base.json", "-o", "gate.md", "-o", "gate.json", "--json")
    runs = [start(project, place, *words, "--seed", str(seed)) for seed in range(3)]
    saved = project.folder / "base.json"
    while any(run.poll() is None for run in runs):
        if saved.exists():
            assert decode(saved.read_bytes(), "base.json").verdict == "pass"
    printed = [run.communicate()[0] for run in runs]

    assert [run.returncode for run in runs] == [0] * 3
    assert saved.read_text() in printed
    assert (project.folder / "gate.json").read_text() in printed
    assert (project.folder / "gate.md").read_text().startswith("<!-- perfkit.gate/1 -->")
    assert not [path.name for path in project.folder.iterdir() if "json-" in path.name]


def test_a_full_disk_is_said_after_the_report_and_is_no_pass(project: Project, place: Path) -> None:
    (project.folder / "full.json").symlink_to("/dev/full")

    run = start(project, place, "--save", "full.json", "-o", "gate.json")
    printed, said = run.communicate(timeout=60)

    assert run.returncode == 3
    assert "ask-each: calls == 11" in printed
    assert printed.splitlines()[-1] == "verdict: pass"
    assert "error: cannot write full.json" in said
    assert "No space left on device" in said
    assert decode((project.folder / "gate.json").read_bytes(), "gate.json").verdict == "pass"


def test_a_folder_that_goes_away_is_said_and_a_fail_stays_a_fail(
    project: Project, place: Path
) -> None:
    out = project.folder / "out"
    out.mkdir()
    # A call more than the check allows.
    project.edit(EACH, "    import os\n    if os.path.isdir('out'): os.rmdir('out')\n" + EACH)

    run = start(project, place, "--save", "out/base.json")
    printed, said = run.communicate(timeout=60)

    assert run.returncode == 1
    assert printed.splitlines()[-1] == "verdict: fail"
    assert "error: cannot write out/base.json" in said
    assert "Traceback" not in said


# Checkouts


def test_a_checkout_on_a_read_only_file_system_will_do(project: Project, place: Path) -> None:
    mount = f"mount --bind {project.folder} {project.folder}"
    read_only = f"mount -o remount,ro,bind {project.folder}"
    allowed = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{mount} && {read_only} && ! touch {project.folder}/x"],
        capture_output=True,
        check=False,
    )
    if allowed.returncode:
        pytest.skip("nothing may be mounted here")
    gate = f"cd {project.folder} && exec {sys.executable} -m perfkit gate --base HEAD --counted"

    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{mount} && {read_only} && {gate}"],
        env=environment(place),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout.splitlines()[-1] == "verdict: pass"
    assert ended.returncode == 0


def test_a_hook_of_git_may_run_a_gate(project: Project, place: Path) -> None:
    hook = project.write(
        ".git/hooks/pre-commit",
        f"#!/bin/sh\nexec {sys.executable} -m perfkit gate --base HEAD --counted > {place}/said\n",
    )
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    project.edit(EACH, projects.ONE_MORE)
    project.git("add", "--all")
    before = project.git("rev-parse", "HEAD")

    with pytest.raises(subprocess.CalledProcessError):
        project.git("commit", "-q", "-m", "slower")
    refused = (place / "said").read_text()
    project.edit(projects.ONE_MORE, EACH)
    project.git("add", "--all")
    project.git("commit", "-q", "--allow-empty", "-m", "as fast")

    assert "calls 12 against 11" in refused
    assert refused.splitlines()[-1] == "verdict: fail"
    assert (place / "said").read_text().splitlines()[-1] == "verdict: pass"
    assert project.git("rev-parse", "HEAD~1") == before
    assert project.git("status", "--porcelain") == ""
