from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from leftovers import alive, folders, until

from perfkit.backends import guard, guarded
from perfkit.backends.guarded import Guarded, Order, sweep
from perfkit.errors import CannotRun

SLEEP = ("/bin/sleep", "1000")

HOLD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
from perfkit.backends.guarded import Guarded, Order
order = Order(command=["/bin/sleep", "1000"], finally_=("leaving:note", sys.argv[3]))
with Guarded("test", Path(sys.argv[2])) as held:
    server = held.start(order)
    print(json.dumps([str(held.folder), held._process.pid, server]), flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(inside: Path, note: Path) -> Iterator[tuple[subprocess.Popen[str], Path, int, int]]:
    """Hold a guard in another process; yield it, the folder, the guard's pid and the server's."""
    leaving = inside / "modules" / "leaving.py"
    leaving.parent.mkdir()
    leaving.write_text("def note(path):\n    open(path, 'x').close()\n")
    path = json.dumps([*sys.path, str(leaving.parent)])
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path, str(inside), str(note)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            folder, guard_process, server = json.loads(process.stdout.readline())
            yield process, Path(folder), guard_process, server
        finally:
            process.kill()


def guard_of(held: Guarded) -> int:
    return held._process.pid


def test_folder_guard_and_server_are_gone_after_the_block(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        server = held.start(Order(command=SLEEP))
        assert held.folder.is_dir()
        assert held.alive()
        assert alive(server)
    assert folders(tmp_path) == []
    assert not alive(server)
    assert not alive(guard_of(held))


def test_folder_guard_and_server_are_gone_after_an_exception(tmp_path: Path) -> None:
    held = Guarded("test", tmp_path)
    with pytest.raises(KeyboardInterrupt), held:  # noqa: PT012 (the end of the block is the point)
        server = held.start(Order(command=SLEEP))
        raise KeyboardInterrupt
    assert folders(tmp_path) == []
    assert not alive(server)
    assert not alive(guard_of(held))


def test_everything_goes_and_the_last_act_is_done_when_the_holder_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with holder(tmp_path, note) as (process, folder, guard_process, server):
        assert alive(server)
        process.kill()
        until(lambda: not alive(guard_process), "the guard ends")
    assert not alive(server)
    assert not folder.exists()
    assert note.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_server_ends_when_the_guard_is_killed_and_a_sweep_removes_the_folder(
    tmp_path: Path,
) -> None:
    with holder(tmp_path, tmp_path / "note") as (_, folder, guard_process, server):
        os.kill(guard_process, signal.SIGKILL)
        until(lambda: not alive(server), "the server ends")
        assert folder.exists()
        assert sweep(tmp_path) == [folder]
        assert not folder.exists()


def test_a_new_guard_sweeps(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        os.kill(guard_of(held), signal.SIGKILL)
        held._process.wait()
        with Guarded("test", tmp_path) as other:
            assert folders(tmp_path) == [other.folder]


def test_a_sweep_leaves_the_living_alone(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        held.start(Order(command=SLEEP))
        assert sweep(tmp_path) == []
        assert held.folder.is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_sweep_leaves_a_folder_whose_server_outlives_its_guard(tmp_path: Path) -> None:
    stubborn = ("/bin/sh", "-c", "trap '' TERM; echo ready; sleep 1000 & wait; wait")
    with Guarded("test", tmp_path) as held:
        server = held.start(Order(command=stubborn))
        until(lambda: held.log() == "ready", "the server ignores SIGTERM")
        children = psutil.Process(server).children()
        os.kill(guard_of(held), signal.SIGKILL)
        held._process.wait()
        assert sweep(tmp_path) == []
        for process in (*children, psutil.Process(server)):
            process.kill()
        until(lambda: sweep(tmp_path) == [held.folder], "the folder can be swept")


def test_a_sweep_leaves_what_is_not_ours_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "perfkit-notes-2026"
    theirs.mkdir()
    (theirs / "important.txt").write_text("keep me")
    os.utime(theirs, (0, 0))
    (tmp_path / "perfkit-test-file").write_text("no folder")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / guard.LOCK).touch()
    (tmp_path / "perfkit-test-linked").symlink_to(elsewhere)
    before = sorted(tmp_path.rglob("*"))
    assert sweep(tmp_path) == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_sweep_leaves_other_users_folders_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "perfkit-test-theirs"
    theirs.mkdir()
    (theirs / guard.LOCK).touch()
    os.chown(theirs, 65534, 65534)
    assert sweep(tmp_path) == []
    os.chown(theirs, 0, 0)
    assert sweep(tmp_path) == [theirs]


def test_a_removal_that_stops_half_way_can_be_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = guard.claim("perfkit-test-", str(tmp_path))
    (Path(folder) / "data" / "deep").mkdir(parents=True)
    os.close(lock)
    removed = []

    def die_after_the_first(path: str, *, ignore_errors: bool) -> None:
        removed.append(path)
        if len(removed) > 1:
            raise KeyboardInterrupt
        os_rmtree(path, ignore_errors=ignore_errors)

    os_rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", die_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path)
    monkeypatch.undo()
    assert sweep(tmp_path) == [Path(folder)]


def test_a_folder_that_a_sweep_took_before_its_lock_was_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def take_first(lock: int, operation: int) -> None:
        if not taken:
            taken.extend(folders(tmp_path))
            shutil.rmtree(taken[0])
        flock(lock, operation)

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", take_first)
    folder, lock = guard.claim("perfkit-test-", str(tmp_path))
    os.close(lock)
    assert [Path(folder)] == folders(tmp_path) != taken


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    steps = [["/bin/sh", "-c", "true"], ["/bin/sh", "-c", "echo no space >&2; exit 3"]]
    with (
        pytest.raises(CannotRun, match="cannot start test") as caught,
        Guarded("test", tmp_path) as held,
    ):
        held.start(Order(steps=steps, command=SLEEP))
    assert caught.value.why == "sh ended with 3: no space"
    assert folders(tmp_path) == []


@pytest.mark.parametrize(
    "order",
    [Order(steps=[["/nonexistent/program"]]), Order(command=["/nonexistent/program"])],
    ids=["step", "command"],
)
def test_a_missing_program_says_why(tmp_path: Path, order: Order) -> None:
    with pytest.raises(CannotRun) as caught, Guarded("test", tmp_path) as held:
        held.start(order)
    assert caught.value.why == "[Errno 2] No such file or directory: '/nonexistent/program'"


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(CannotRun) as caught, Guarded("test", tmp_path / "missing"):
        pass
    assert "No such file or directory" in caught.value.why


def test_a_guard_that_is_gone_is_an_error_of_ours(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        os.kill(guard_of(held), signal.SIGKILL)
        held._process.wait()
        assert not held.alive()
        with pytest.raises(CannotRun, match="cannot start test"):
            held.start(Order(command=SLEEP))


def test_steps_run_in_order_before_the_command(tmp_path: Path) -> None:
    file = tmp_path / "order"
    steps = [["/bin/sh", "-c", f"echo {word} >> {file}"] for word in ("one", "two")]
    with Guarded("test", tmp_path) as held:
        held.start(Order(steps=steps, command=["/bin/sh", "-c", f"echo three >> {file}"]))
        until(lambda: not held.alive(), "the command ends")
    assert file.read_text().split() == ["one", "two", "three"]


def test_the_log_of_a_server_that_ended_by_itself_can_be_read(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        held.start(Order(command=["/bin/sh", "-c", "echo disk full; exit 1"]))
        until(lambda: not held.alive(), "the server ends")
        assert held.log() == "disk full"


def test_signals_to_the_guard_do_not_end_it(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(guard_of(held), number)
        server = held.start(Order(command=["/bin/sh", "-c", "kill -TERM $$; sleep 1000"]))
        # The server does not inherit our indifference.
        until(lambda: not held.alive(), "the server dies of its own signal")
        assert not alive(server)
        assert alive(guard_of(held))


def test_the_server_is_asked_to_stop_with_the_signal_of_the_order(tmp_path: Path) -> None:
    note = tmp_path / "note"
    script = f"trap 'echo stopped > {note}; exit' USR1; echo ready; while :; do sleep 0.01; done"
    with Guarded("test", tmp_path) as held:
        held.start(Order(command=["/bin/sh", "-c", script], stop=(signal.SIGUSR1,)))
        until(lambda: held.log() == "ready", "the server has set its trap")
    assert note.read_text() == "stopped\n"


def test_the_environment_and_the_working_directory_are_the_orders(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        held.start(Order(command=["/bin/sh", "-c", "pwd; env"], environment={"ONLY": "this"}))
        until(lambda: not held.alive(), "the command ends")
        lines = held.log().splitlines()
    assert lines[0] == "/"
    assert "ONLY=this" in lines
    assert not any(line.startswith("PATH=") for line in lines)


def test_the_holder_that_dies_during_a_step_takes_the_step_along(tmp_path: Path) -> None:
    with Guarded("test", tmp_path) as held:
        held._send(
            {
                "command": [],
                "steps": [["/bin/sleep", "1000"]],
                "environment": None,
                "user": None,
                "stop": [signal.SIGTERM],
                "finally": None,
            }
        )
        process = psutil.Process(guard_of(held))
        until(process.children, "the step runs")
        (step,) = process.children()
    assert not alive(step.pid)
    assert folders(tmp_path) == []


def test_ctrl_c_while_the_guard_cleans_up_does_not_leave_it_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Guarded("test", tmp_path) as held:
        server = held.start(Order(command=SLEEP))
        wait = held._process.wait
        pressed: list[bool] = []

        def interrupted(timeout: float | None = None) -> int:
            if not pressed:
                pressed.append(True)
                raise KeyboardInterrupt
            return wait(timeout)

        monkeypatch.setattr(held._process, "wait", interrupted)
    assert not alive(server)
    assert folders(tmp_path) == []


def test_a_guard_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "GOODBYE", 0.0)
    with Guarded("test", tmp_path) as held:
        held.start(Order(command=SLEEP))
        os.kill(guard_of(held), signal.SIGSTOP)
    assert not alive(guard_of(held))
