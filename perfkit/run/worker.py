"""A fresh process that does one job after another: run as a script, ended by a closed stdin.

It imports as little as it can: what it costs to start is paid for every sample.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import resource
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO

from perfkit.leave import leave
from perfkit.run.job import Action, Counted, Done, Failed, Job, Report, Values

CALIBRATION = 0.05
"""Seconds after which calibration has seen enough calls."""
PAGE, GRAIN, SMALL = 4096, 16, 512
"""Python keeps blocks of up to SMALL bytes, in steps of GRAIN, together in pools of pages."""
HEADER = sys.getsizeof(b"")


def main() -> None:
    """Read jobs from stdin, write reports to what was stdout."""
    jobs = os.fdopen(os.dup(0), "rb")
    reports = os.fdopen(os.dup(1), "wb")
    # What a probe prints must not be taken for reports, nor the jobs for what it reads.
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # The parent's import path comes first: the job names modules found there.
    sys.path[:], environment = pickle.load(jobs)  # noqa: S301 (our own parent wrote it)
    # Only now: what it says of import paths is for the programs that the code starts.
    os.environ.update(environment)
    scatter()
    while True:
        try:
            job = pickle.load(jobs)  # noqa: S301 (our own parent wrote it)
        except EOFError:
            leave(0)
        with killed_with_parent(jobs.fileno()):
            report = perform(job)
        send(report, reports)


_scattered: list[bytes] = []


def scatter() -> None:
    """Take up a random part of a page for each size of block, so that nothing lies where it lay.

    Where objects lie decides how they share the processor's caches, which makes the same code
    several per cent faster or slower; and where they lie depends on things as idle as the length
    of a path. Source: Mytkowicz, Diwan, Hauswirth and Sweeney, Producing Wrong Data Without Doing
    Anything Obviously Wrong, 2009; the remedy is that of Curtsinger and Berger's Stabilizer, 2013.
    """
    _scattered.clear()
    # Smaller ones hold no bytes of their own.
    sizes = range(3 * GRAIN, SMALL + 1, GRAIN)
    for size, share in zip(sizes, os.urandom(len(sizes)), strict=True):
        _scattered.extend(bytes(size - HEADER) for _ in range(PAGE * share // 256 // size))
    # The allocator of larger blocks has a heap of its own.
    _scattered.append(bytes(SMALL + PAGE * os.urandom(1)[0] // 256))


def send(report: Report, reports: BinaryIO) -> None:
    """Write a report; an answer that cannot cross the process boundary becomes a failure."""
    try:
        data = pickle.dumps(report)
    # Anything can be in an answer, and pickle raises what the answer's own class raises.
    except Exception as error:  # noqa: BLE001
        data = pickle.dumps(failure(error, "its answer cannot be pickled: "))
    reports.write(data)
    reports.flush()


@contextmanager
def killed_with_parent(pipe: int) -> Iterator[None]:
    """Let the kernel end this process group when the other end of the pipe closes.

    SIGIO is sent on hang-up, and its default action ends a process even inside C code. Unlike
    Linux's PR_SET_PDEATHSIG it needs no ctypes, covers our children, and is not tied to a thread.
    """
    flags = fcntl.fcntl(pipe, fcntl.F_GETFL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(pipe, fcntl.F_SETFL, flags | os.O_ASYNC)
    hang_up = select.poll()
    hang_up.register(pipe, 0)
    if hang_up.poll(0):
        # It closed before the kernel was asked to tell us.
        os._exit(1)
    try:
        yield
    finally:
        fcntl.fcntl(pipe, fcntl.F_SETFL, flags)


def perform(job: Job) -> Report:
    """Do one job; whatever the probe raises becomes a report."""
    from perfkit.reference import resolve

    # What is imported stays, so looking for garbage in between only costs time.
    gc.disable()
    try:
        probe = resolve(job.probe)
        params = pickle.loads(job.params)  # noqa: S301 (our own parent wrote it)
        with probe.backend.connect(job.address) as backend:
            gc.enable()
            if job.action is Action.SETUP:
                if probe.load is not None:
                    probe.load(backend, params)
                return Done()
            variant = probe.variant(job.variant)
            if variant.prepare is not None:
                variant.prepare(backend, params)

            # No function of ours around it: a witness may count calls.
            call = partial(variant.run, backend, params)

            def restore() -> None:
                if probe.restore is not None:
                    probe.restore(backend, params)

            if job.action is Action.COUNT:
                calibration = CALIBRATION if job.values else 0
                counted = count(call, restore, backend, probe.answer, calibration)
                # After the witnesses: what it takes to predict is no work of the variant's.
                bound = variant.bound(backend, params) if variant.bound is not None else None
                return counted._replace(
                    bound=bound, module=variant.run.__module__, modules=origins()
                )
            time_value = sum_of_calls if probe.restore is not None else one_stretch
            return measure(call, restore, probe.answer, time_value, job)
    # The orchestrator decides what a probe's exception means.
    except Exception as error:  # noqa: BLE001
        return failure(error)


def origins() -> dict[str, str]:
    """Return the file of every module that was imported and has one."""
    found = ((name, getattr(module, "__file__", None)) for name, module in [*sys.modules.items()])
    return {name: file for name, file in found if isinstance(file, str)}


def failure(error: Exception, before: str = "") -> Failed:
    """Describe an exception for the orchestrator."""
    import traceback

    from perfkit.errors import NotApplicable, PerfkitError

    said = Failed(type(error).__name__, before + str(error).strip(), traceback.format_exc())
    if not isinstance(error, PerfkitError):
        return said
    return said._replace(why=error.why, fix=error.fix, applies=not isinstance(error, NotApplicable))


def count(
    call: Callable[[], object],
    restore: Callable[[], None],
    backend: Any,
    key: Callable[[Any], object],
    calibration: float,
) -> Counted:
    """Call once to warm up, once under the witnesses, then so many seconds for calibration.

    The number of calls before the counted one is fixed: some drivers behave differently at the
    fifth, and a figure that depends on the machine's speed would not be exact.
    """
    restore()
    call()
    restore()
    with backend.counting() as work:
        answer = call()
    # What would disturb that count needs calls of its own.
    for counting in backend.passes() if hasattr(backend, "passes") else ():
        restore()
        with counting() as more:
            call()
        work |= more
    fastest, spent = float("inf"), 0.0
    while spent < calibration:
        restore()
        begun = time.perf_counter()
        call()
        took = time.perf_counter() - begun
        fastest, spent = min(fastest, took), spent + took
    return Counted(key(answer), dict(work), fastest)


Stretch = Callable[[Callable[[], object], Callable[[], None], int], tuple[float, float, float]]


def measure(
    call: Callable[[], object],
    restore: Callable[[], None],
    key: Callable[[Any], object],
    time_value: Stretch,
    job: Job,
) -> Values:
    """Time one warm-up and the values, each of `job.loops` calls."""
    restore()
    begun = time.perf_counter()
    answer = call()
    for _ in range(job.loops - 1):
        restore()
        call()
    warm_up = time.perf_counter() - begun
    # The collector need not look again at what was imported; the code's own garbage it will.
    gc.freeze()
    wall, cpu, switches, waits = [], [], [], []
    for _ in range(job.values):
        scatter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        seconds, processor, waited = time_value(call, restore, job.loops)
        switches.append(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - before)
        wall.append(seconds / job.loops)
        cpu.append(processor / job.loops)
        waits.append(waited / job.loops)
    gc.unfreeze()
    known = all(wait >= 0 for wait in waits)
    return Values(
        key(answer),
        warm_up / job.loops,
        tuple(wall),
        tuple(cpu),
        tuple(switches),
        tuple(waits) if known else None,
        peak_rss(),
    )


def one_stretch(
    call: Callable[[], object], _restore: Callable[[], None], loops: int
) -> tuple[float, float, float]:
    """Time `loops` calls in one stretch: wall, processor and run-queue seconds."""
    waited, processor, begun = run_queue(), processor_time(), time.perf_counter()
    for _ in range(loops):
        call()
    ended = time.perf_counter()
    return ended - begun, processor_time() - processor, run_queue() - waited


def sum_of_calls(
    call: Callable[[], object], restore: Callable[[], None], loops: int
) -> tuple[float, float, float]:
    """Time `loops` calls one by one, restoring the data before each outside the clock."""
    wall = processor = waited = 0.0
    for _ in range(loops):
        restore()
        seconds, used, delayed = one_stretch(call, restore, 1)
        wall, processor, waited = wall + seconds, processor + used, waited + delayed
    return wall, processor, waited


def processor_time() -> float:
    """Return the processor seconds of this process and of its children.

    Of those that still run where there is /proc, and only what the main thread has started.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = sum(map(_processor_time_of, _children()))
    return time.process_time() + ended.ru_utime + ended.ru_stime + running


def _children() -> list[int]:
    """Return the processes that the main thread has started and that have not been waited for."""
    process = os.getpid()
    try:
        # Raises where there are none: code without children need not pay for reading the file.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        with open(f"/proc/{process}/task/{process}/children", "rb") as file:  # noqa: PTH123 (the same)
            return [int(child) for child in file.read().split()]
    # Before version 3.13, Python has no waitid() on macOS.
    except (AttributeError, OSError):
        return []


def _processor_time_of(process: int) -> float:
    # The clock that clock_getcpuclockid() names on Linux, for which Python has no word.
    try:
        return time.clock_gettime(~process << 3 | 2)
    except OSError:
        return 0.0


def run_queue() -> float:
    """Return the seconds the main thread has waited for a processor; nan where unknown."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:  # noqa: PTH123 (no pathlib here)
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return float("nan")


def peak_rss() -> int:
    """Return the peak resident memory of this process and its children, or of a larger ended child.

    In bytes. Children that still run are added up, so what they share counts more than once. For
    the process itself not ru_maxrss where there is /proc: Linux carries the parent's figure across
    fork and exec. An ended child smaller than this process therefore shows as that large.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    own = _peak_of("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return max(own + sum(_peak_of(str(child)) for child in _children()), ended)


def _peak_of(process: str) -> int:
    """Return the peak resident memory of a process, in bytes; 0 where unknown."""
    try:
        with open(f"/proc/{process}/status", "rb") as file:  # noqa: PTH123 (no pathlib here)
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    main()
