"""The interpreter as a place to work in: what is counted, and that processes leave with us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from leftovers import alive, until
from sample_probes import notes, pooled
from sample_probes.notes import Notes

from perfkit import reference
from perfkit.backends import interpreter
from perfkit.backends.interpreter import Interpreter, gil_is_on
from perfkit.errors import UsageError
from perfkit.model import Location
from perfkit.run.job import Action, Counted, Failed, Job, Report
from perfkit.run.process import Worker

RUN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from perfkit.model import Plan
from perfkit.run.orchestrator import run
from sample_probes import pooled
from sample_probes.notes import Notes
run(Plan(pooled.probe, Notes(sys.argv[2], "hang"), rounds=0))
"""


def hot() -> None:
    """Do what is to be counted."""


def cold() -> None:
    """Do what is not."""


def counted(block: Callable[[], object]) -> dict[str, int]:
    here = Interpreter()
    here.follow(hot)
    with here.counting() as work:
        block()
    return {name: tally.value for name, tally in work.items()}


def job(wish: str, file: Path | str = "") -> Job:
    named = reference.name(pooled.probe)
    return Job(named, Notes(str(file), wish), None, Action.COUNT, "together")


def ask(wish: str) -> Report:
    with Worker() as one:
        return one.ask(job(wish))


def test_only_calls_of_the_followed_function_count() -> None:
    def block() -> None:
        for _ in range(7):
            hot()
            cold()
            len("")

    assert counted(block) == {"calls": 7, "sent": 0}


def test_calls_in_all_threads_count_and_none_is_missed() -> None:
    def spend() -> None:
        for _ in range(5000):
            hot()

    def block() -> None:
        threads = [threading.Thread(target=spend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert counted(block)["calls"] == 20_000


def test_what_goes_out_is_counted_by_the_kernel() -> None:
    out, into = os.pipe()
    try:
        assert counted(lambda: os.write(into, bytes(1234))) == {"calls": 0, "sent": 1234}
    finally:
        os.close(out)
        os.close(into)


def test_where_the_kernel_does_not_say_only_the_calls_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interpreter, "WRITTEN", str(tmp_path / "io"))
    assert counted(hot) == {"calls": 1}


def test_who_counted_is_named() -> None:
    with Interpreter().counting() as work:
        pass
    assert {name: tally.witness for name, tally in work.items()} == {
        "calls": "sys.setprofile",
        "sent": "/proc/self/io",
    }


def test_a_python_that_can_say_whether_its_gil_is_on_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for state in (True, False):
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda state=state: state, raising=False)
        assert gil_is_on() is state


def test_a_python_that_cannot_say_has_a_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    assert gil_is_on()


def test_an_ordinary_python_is_named_as_ever() -> None:
    with Interpreter.serve(Location()) as service:
        assert service.component.version == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("enabled", "opposite", "said"),
    [("False", "on", "free-threaded, GIL off"), ("True", "off", "free-threaded, GIL on")],
)
def test_a_free_threaded_python_is_named_with_the_state_that_a_fresh_one_has(
    monkeypatch: pytest.MonkeyPatch, enabled: str, opposite: str, said: str
) -> None:
    monkeypatch.setattr(interpreter, "free_threaded", lambda: True)
    # There is no such Python here; and what ours says must not matter.
    pretend = f"import sys; sys._is_gil_enabled = lambda: {enabled}; "
    monkeypatch.setattr(interpreter, "ASK", pretend + interpreter.ASK)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: opposite == "on", raising=False)

    with Interpreter.serve(Location()) as service:
        assert service.component.version.endswith(said)


def test_a_distance_makes_no_sense() -> None:
    with (
        pytest.raises(UsageError, match="takes no --backend and no --rtt"),
        Interpreter.serve(Location(rtt=0.001)),
    ):
        pass


def test_the_processes_work_and_are_gone_when_the_job_is_done(tmp_path: Path) -> None:
    with Worker() as lasting:
        report = lasting.ask(job("", tmp_path / "notes"))
        who = {note["process"] for note in notes.read(tmp_path / "notes")}
        # Not because the worker ended: it lives on.
        assert [process for process in who if alive(process)] == []
        assert alive(lasting._process.pid)

    assert 1 <= len(who) <= pooled.MANY
    assert isinstance(report, Counted)
    assert report.work["calls"].value == 0
    assert report.work["sent"].value > 0


def test_a_process_that_is_killed_at_work_is_named_as_such() -> None:
    report = ask("be killed")

    assert isinstance(report, Failed)
    assert "was ended from outside, in the middle of its work" in report.message
    assert report.why.startswith("BrokenProcessPool")
    assert "memory limit" in report.fix


def test_an_error_in_a_process_is_raised_here() -> None:
    report = ask("raise")

    assert isinstance(report, Failed)
    assert (report.kind, report.message) == ("LookupError", "as wished")


@contextmanager
def hanging(file: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """Run the probe until all processes hang; yield perfkit's process and those below."""
    command = [sys.executable, "-c", RUN, json.dumps(sys.path), str(file)]
    with subprocess.Popen(command) as running:
        try:
            until(lambda: len(notes.read(file)) == pooled.MANY, "all processes are at work")
            yield running, psutil.Process(running.pid).children(recursive=True)
        finally:
            running.kill()


def test_nothing_is_left_when_perfkit_is_killed(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    before = set(shared.glob("sem.mp-*")) if shared.is_dir() else set()

    with hanging(tmp_path / "notes") as (running, below):
        at_work = {note["process"] for note in notes.read(tmp_path / "notes")}
        assert at_work < {process.pid for process in below}
        assert len(at_work) == pooled.MANY
        running.kill()
        until(lambda: not any(alive(process.pid) for process in below), "all are gone")

    assert (set(shared.glob("sem.mp-*")) if shared.is_dir() else set()) <= before
