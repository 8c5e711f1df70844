"""The orchestrator's side of a worker: start it, ask it, make sure it is gone."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from perfkit.errors import VariantFailed
from perfkit.run import worker
from perfkit.run.job import Job, Report

GRACE = 5.0
"""Seconds that a worker gets to leave by itself."""
LINES = 8
"""Of what a worker that died has printed, so many lines are shown."""
GLANCE = 0.5
"""Seconds between looks at whether a silent worker still lives."""


class Worker:
    """A fresh Python process, in a session of its own so that Ctrl-C reaches only us.

    It works in `folder` and imports from `path`; without them, where and what we do. What it
    starts finds `environment` beside our own.
    """

    def __init__(
        self,
        folder: Path | None = None,
        path: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._hello = (list(path), dict(environment or {}))
        # A file and not a pipe: nobody reads while the worker works.
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the worker)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            cwd=folder,
            start_new_session=True,
        )
        self._started = False

    def __enter__(self) -> Self:
        """Use the worker inside a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the worker and its children: by asking, or at once after an error."""
        process = self._process
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            self._end(0 if error is not None else GRACE)
        finally:
            if process.stdout is not None:
                process.stdout.close()
            self._printed.close()

    def _end(self, grace: float) -> int:
        """Wait for the worker, kill what is left of its process group, return the exit code."""
        try:
            if grace:
                self._await_end(grace)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def _await_end(self, grace: float) -> None:
        """Wait until the process has ended, or for so many seconds."""
        if self._process.poll() is not None:
            return
        # Popen.wait() with a time limit sleeps ever longer between two looks.
        try:
            process = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
            return
        try:
            ended = select.poll()
            ended.register(process, select.POLLIN)
            ended.poll(grace * 1000)
        finally:
            os.close(process)

    def ask(self, job: Job) -> Report:
        """Send a job and wait for its report; raises VariantFailed when the process dies."""
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        try:
            if not self._started:
                path, environment = self._hello
                process.stdin.write(pickle.dumps((path or sys.path, environment)))
                self._started = True
            # By themselves: only once the probe is imported can it be said what is not there.
            sealed = job._replace(params=pickle.dumps(job.params))
            process.stdin.write(pickle.dumps(sealed))
            process.stdin.flush()
            self._await(process.stdout)
            report: Report = pickle.load(process.stdout)  # noqa: S301 (our own worker wrote it)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise self._died(job) from error
        # An answer is an object of the probe's, and may refuse in its own way.
        except Exception as error:
            raise VariantFailed(
                f"the answer of '{job.variant}' did not survive the way out of its process",
                why=f"{type(error).__name__}: {error}",
                fix="return plain values, or give the probe an answer= key that does",
            ) from error
        return report

    def _await(self, reports: IO[bytes]) -> None:
        """Return when there is something to read; raises EOFError when nothing will come.

        A child that the worker forked holds the pipe open, so its end alone tells too little.
        """
        readable = select.poll()
        readable.register(reports, select.POLLIN)
        while not readable.poll(GLANCE * 1000):
            if self._process.poll() is not None and not readable.poll(0):
                raise EOFError

    def _died(self, job: Job) -> VariantFailed:
        code = self._end(GRACE)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self._printed.seek(0)
        printed = self._printed.read().decode(errors="replace").strip().splitlines()
        last = printed[-LINES:]
        whose = f"'{job.variant}'" if job.variant else "the setup"
        for place, line in enumerate(printed):
            # What Python's faulthandler says when it ends a process.
            if line.startswith("Timeout ("):
                return VariantFailed(
                    f"{whose} did not come back in time, and was ended",
                    why="\n".join(printed[place : place + LINES]),
                    fix='find what it waits for, or give it more time: timeout = "5m"',
                )
        return VariantFailed(
            f"the worker process of {whose} ended {how}",
            why="\n".join(last) or "it printed nothing",
            fix=f"look at it alone: perfkit explain {job.probe.rpartition('.')[2]} --code"
            if not job.variant and isinstance(job.probe, str)
            else "the function crashed its own process: look for native code and memory limits",
        )
