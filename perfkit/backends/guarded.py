"""A temporary folder and a server that are gone when we are, however we go."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from perfkit.backends import guard
from perfkit.errors import CannotRun

PREFIX = "perfkit-"
GOODBYE = 45.0
"""Seconds after which a guard that does not end is killed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a guard is to run and how it is to end it.

    `steps` run to their ends first. `user` is a (uid, gid) to run all of it as. `stop` are the
    signals that ask the server to end, in turn; the last one also ends it when the guard is
    killed. `finally_` is a `module:function` with its argument, called at the very end.
    """

    command: Sequence[str] = ()
    steps: Sequence[Sequence[str]] = ()
    environment: Mapping[str, str] | None = None
    user: tuple[int, int] | None = None
    stop: Sequence[int] = (signal.SIGTERM,)
    finally_: tuple[str, object] | None = None


@dataclass
class Guarded:
    """A guard process and its folder, for the length of a `with` block."""

    name: str
    inside: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    def __enter__(self) -> Self:
        """Start the guard; `folder` exists from here on."""
        sweep(self.inside)
        self._server = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Ctrl-C in the shell is for perfkit, which then ends the guard in its own time.
            start_new_session=True,
        )
        try:
            self._send(sys.path)
            self._send({"prefix": f"{PREFIX}{self.name}-", "inside": str(self.inside)})
            self.folder = Path(self._hear()["folder"])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start(self, order: Order) -> int:
        """Run the order's steps, start its command and return its process id.

        Raises CannotRun with the last words of a step that failed.
        """
        self._send(
            {
                "command": [str(word) for word in order.command],
                "steps": [[str(word) for word in step] for step in order.steps],
                "environment": None if order.environment is None else dict(order.environment),
                "user": order.user,
                "stop": [int(number) for number in order.stop],
                "finally": order.finally_,
            }
        )
        self._server = int(self._hear()["pid"])
        return self._server

    def log(self, lines: int = 12) -> str:
        """Return the server's last words."""
        with contextlib.suppress(OSError):
            text = (self.folder / "server.log").read_text(errors="replace")
            return "\n".join(text.strip().splitlines()[-lines:])
        return ""

    def alive(self) -> bool:
        """Say whether the guard and its server are still there."""
        if self._process.poll() is not None:
            return False
        try:
            os.kill(self._server, 0)
        except ProcessLookupError:
            return False
        return True

    def _send(self, message: object) -> None:
        if self._process.stdin is None:
            raise AssertionError
        # A guard that is gone says so by its silence: see `_hear`.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise AssertionError
        line = self._process.stdout.readline()
        if not line:
            raise CannotRun(f"cannot start {self.name}", why="its guard process ended")
        heard: dict[str, Any] = json.loads(line)
        if "failed" in heard:
            raise CannotRun(f"cannot start {self.name}", why=str(heard["failed"]))
        return heard

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell the guard to clean up, and wait until it has."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        deadline = time.monotonic() + GOODBYE
        while self._process.poll() is None:
            try:
                self._process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()
            except KeyboardInterrupt:
                # The guard is on its way; leaving now would only hide what it still does.
                continue
        if self._process.stdout is not None:
            self._process.stdout.close()


def sweep(inside: Path) -> list[Path]:
    """Remove the folders of runs that were killed together with their guards; return them."""
    return [folder for folder in inside.glob(f"{PREFIX}*") if _removed(folder)]


def _removed(folder: Path) -> bool:
    """Remove a folder of ours that nobody locks, and say whether we did."""
    with contextlib.suppress(OSError):
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
            return False
        lock = os.open(folder / guard.LOCK, os.O_RDWR | os.O_NOFOLLOW)
        with os.fdopen(lock, "r+b"):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Still locked, so that a guard that is just claiming it notices.
            guard.remove(str(folder))
            return True
    return False
