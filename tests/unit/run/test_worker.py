from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from leftovers import alive, until
from sample_probes import busy, collector, faulty, notes
from sample_probes.notes import Notes

from perfkit import reference
from perfkit.run import process, worker
from perfkit.run.job import Action, Counted, Done, Failed, Job, Values
from perfkit.run.process import Worker

RUN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from perfkit.model import Plan
from perfkit.run.orchestrator import run
from sample_probes import busy
from sample_probes.notes import Notes
run(Plan(busy.probe, Notes(sys.argv[2], sys.argv[3]), rounds=0))
"""


def job(action: Action, wish: str = "", file: str = "", **more: Any) -> Job:
    params = Notes(file, wish)
    return Job(reference.name(faulty.probe), params, None, action, **more)


def group(leader: int) -> list[int]:
    """Return the living processes of a process group."""
    members = []
    for member in psutil.pids():
        try:
            if os.getpgid(member) == leader and alive(member):
                members.append(member)
        except ProcessLookupError:
            continue
    return members


@contextmanager
def orchestrator(file: Path, wish: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the busy probe in another process; yield it and the worker that is at work."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(sys.path), str(file), wish]
    ) as running:
        try:
            until(lambda: notes.read(file), "the variant is at work")
            yield running, notes.read(file)[0]["process"]
        finally:
            running.kill()


@pytest.mark.parametrize("wish", busy.WISHES)
def test_a_busy_worker_and_its_children_go_when_the_orchestrator_is_killed(
    tmp_path: Path, wish: str
) -> None:
    with orchestrator(tmp_path / "notes", wish) as (running, leader):
        if "child" in wish:
            until(lambda: len(group(leader)) > 1, "the variant has children")
        assert leader in group(leader)
        running.kill()
        until(lambda: group(leader) == [], "the worker and its children are gone")


def test_a_worker_without_a_job_goes_when_the_orchestrator_is_killed() -> None:
    with Worker() as idle:
        assert isinstance(idle.ask(job(Action.SETUP)), Done)
        assert idle._process.stdin is not None
        # The kernel closes it when we are killed.
        idle._process.stdin.close()
        until(lambda: idle._process.poll() is not None, "the worker leaves")
        assert idle._process.returncode == 0


def test_a_worker_does_one_job_after_another() -> None:
    variant = {"variant": "steady"}
    with Worker() as lasting:
        counted = lasting.ask(job(Action.COUNT, **variant))
        measured = lasting.ask(job(Action.MEASURE, **variant, loops=3, values=2))
    assert isinstance(counted, Counted)
    assert counted.answer == [1, 2, faulty.SECRET]
    assert isinstance(measured, Values)
    assert measured.answer == counted.answer
    assert len(measured.wall) == len(measured.cpu) == len(measured.switches) == 2
    assert min(measured.wall) > 0
    assert measured.peak_rss > 1_000_000


def test_a_failure_leaves_the_worker_usable() -> None:
    with Worker() as lasting:
        report = lasting.ask(job(Action.COUNT, "raise_error", variant="wished"))
        assert isinstance(report, Failed)
        assert (report.kind, report.message) == ("ValueError", "no such luck")
        assert isinstance(lasting.ask(job(Action.COUNT, variant="steady")), Counted)


def test_an_answer_larger_than_a_pipe_arrives() -> None:
    with Worker() as lasting:
        report = lasting.ask(job(Action.COUNT, "return_much", variant="wished"))
    assert isinstance(report, Counted)
    assert report.answer == bytes(3_000_000)


def test_a_worker_has_a_process_group_of_its_own() -> None:
    with Worker() as lasting:
        pid = lasting._process.pid
        assert os.getpgid(pid) == pid != os.getpgrp()
        assert os.getsid(pid) == pid


def test_a_worker_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.0)
    with Worker() as lasting:
        lasting._process.send_signal(signal.SIGSTOP)
    assert lasting._process.returncode == -signal.SIGKILL


def test_an_error_ends_a_busy_worker_at_once(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    params = pickle.dumps(Notes(str(file), "asleep"))
    order = Job(reference.name(busy.probe), params, None, Action.COUNT, "never")
    lasting = Worker()

    def interrupt() -> None:
        with lasting:
            assert lasting._process.stdin is not None
            lasting._process.stdin.write(pickle.dumps((sys.path, {})) + pickle.dumps(order))
            lasting._process.stdin.flush()
            until(lambda: notes.read(file), "the variant is at work")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    # The closed pipe ends it too.
    assert lasting._process.returncode in {-signal.SIGKILL, -signal.SIGIO}


def test_an_unknown_probe_is_a_failure_not_a_crash() -> None:
    with Worker() as lasting:
        report = lasting.ask(Job("sample_probes.nowhere:probe", Notes(), None, Action.SETUP))
    assert isinstance(report, Failed)
    assert "sample_probes.nowhere" in report.message


def test_a_probe_that_a_worker_cannot_import_is_not_there_whatever_its_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "tests" not in path])
    with Worker() as lasting:
        report = lasting.ask(job(Action.SETUP))
    assert isinstance(report, Failed)
    assert report.kind == "NotThere"
    assert "No module named 'sample_probes'" in report.message


def test_a_workers_clocks_count() -> None:
    before = worker.processor_time()
    while worker.processor_time() == before:
        pass
    wall, processor, waited = worker.one_stretch(lambda: sum(range(100_000)), lambda: None, 3)
    assert wall > 0
    assert processor > 0
    assert waited >= 0 or waited != waited  # noqa: PLR0124 (nan where the kernel does not say)
    assert worker.peak_rss() > 1_000_000


@contextmanager
def child(code: str) -> Iterator[int]:
    """Start a Python that says when it has done the first part, and then goes on."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            running.stdout.readline()
            yield running.pid
        finally:
            running.kill()


def test_processor_time_of_children_that_still_run_counts() -> None:
    before = worker.processor_time()
    with child("print(flush=True)\nwhile True: pass") as running:
        until(lambda: psutil.Process(running).cpu_times().user > 0.2, "it has worked")
        own = time.process_time()
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        known = own + ended.ru_utime + ended.ru_stime
        assert worker.processor_time() - known > 0.19
    # Now it has ended, and counts as such.
    assert worker.processor_time() - before > 0.19


def test_memory_of_children_that_still_run_counts() -> None:
    with child("much = b'x' * 10**8\nprint(flush=True)\nwhile True: pass"):
        # Not the difference: a larger child of another test may have ended before.
        assert worker.peak_rss() > worker._peak_of("self") + 10**8


def test_where_nobody_tells_of_children_only_what_has_ended_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "waitid")
    with child("print(flush=True)\nwhile True: pass"):
        assert worker._children() == []
        assert worker.processor_time() > 0


def test_the_data_is_restored_before_each_call_outside_the_clock() -> None:
    steps: list[str] = []
    worker.sum_of_calls(lambda: steps.append("call"), lambda: steps.append("restore"), 3)
    assert steps == ["restore", "call"] * 3


def test_garbage_is_collected_during_values_but_not_looked_for_in_imports(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    name, params = reference.name(collector.probe), Notes(str(ended), "")
    with Worker() as one:
        looked = one.ask(Job(name, params, None, Action.MEASURE, "look", loops=1, values=2))
        seen = one.ask(Job(name, params, None, Action.MEASURE, "remember", loops=1, values=1))
        assert isinstance(looked, Values)
        assert isinstance(seen, Values)
        assert looked.answer is True
        # The warm-up, two values; then the next job of the same process starts unfrozen.
        assert seen.answer == [False, True, True]
        again = one.ask(Job(name, params, None, Action.COUNT, "look"))
        assert isinstance(again, Counted)
        last = one.ask(Job(name, params, None, Action.COUNT, "remember"))
        assert isinstance(last, Counted)
        assert isinstance(last.answer, list)
        assert set(last.answer[3:]) == {False}
        assert not ended.exists()

    assert ended.read_text() == "ended"


def test_nothing_lies_where_it_lay_before() -> None:
    places = set()
    for _ in range(20):
        worker.scatter()
        places.add(tuple(id(bytes(size)) % worker.PAGE for size in (100, 200, 300)))

    assert len(places) > 10


def test_every_value_finds_its_objects_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    scattered = []
    monkeypatch.setattr(worker, "scatter", lambda: scattered.append(1))
    order = job(Action.MEASURE)._replace(values=7)

    found = worker.measure(
        lambda: None, lambda: None, lambda answer: answer, worker.one_stretch, order
    )

    assert len(found.wall) == len(scattered) == 7
