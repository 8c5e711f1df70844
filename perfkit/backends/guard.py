"""Outlive perfkit by a moment, to clean up after it: run as a script, ended by a closed stdin.

The guard makes the temporary folder, runs the server in the foreground, and waits. When its
stdin closes, for whatever reason (the run is over, it failed, it was killed), the guard stops
the server, calls the clean-up it was given and removes the folder. Should the guard itself be
killed, Linux ends the server (PR_SET_PDEATHSIG), and the next run sweeps the folder.

It speaks JSON lines: prints `{"folder": ...}`, reads one order (see `Order` in `guarded.py`) and
prints `{"pid": ...}`; or `{"failed": ...}` in the place of either. A server that ends by itself
leaves its folder, and so its log, until our stdin closes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from typing import Any

LOCK = "perfkit.lock"
"""The file that tells a folder of ours: locked as long as its guard or its server lives."""
PATIENCE = 10.0
"""Seconds that a server gets for each way of being asked to stop."""


class Ended(Exception):
    """Our stdin closed."""


class Failed(Exception):
    """A step did not do what it should; the message says how it ended."""


def main() -> None:
    """Guard one folder and at most one server."""
    # Our stdin alone tells us to end: a signal to all of a session reaches perfkit too, which
    # then ends us in order. SIG_IGN would not do, because the server would inherit it.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    sys.path[:] = json.loads(sys.stdin.readline() or "[]") or sys.path
    start = json.loads(sys.stdin.readline() or "null")
    if start is None:
        return
    try:
        folder, lock = claim(start["prefix"], start["inside"])
    except OSError as error:
        tell(failed=str(error))
        return
    try:
        tell(folder=folder)
        order = json.loads(sys.stdin.readline() or "null")
        if order is not None:
            obey(order, folder, lock)
    finally:
        remove(folder)


def claim(prefix: str, inside: str) -> tuple[str, int]:
    """Make a folder that holds our lock, and return both."""
    while True:
        folder = tempfile.mkdtemp(prefix=prefix, dir=inside)
        lock = os.open(os.path.join(folder, LOCK), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return folder, lock
        # A sweep came between the file and its lock.
        os.close(lock)


def remove(folder: str) -> None:
    """Remove a folder, its lock at the end: what is left half-way can still be swept."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def obey(order: dict[str, Any], folder: str, lock: int) -> None:
    """Run the steps and the server until our stdin closes, then stop it and clean up."""
    server: subprocess.Popen[bytes] | None = None
    try:
        for step in order["steps"]:
            run_step(step, order)
        if order["command"]:
            server = spawn(order, folder, lock)
        tell(pid=server.pid if server else 0)
        watch(server)
        watch(None)
    except (Failed, OSError) as error:
        tell(failed=str(error))
    except Ended:
        pass
    finally:
        if server is not None:
            stop(server, order["stop"])
        if order["finally"]:
            clean_up(*order["finally"])


def tell(**message: object) -> None:
    """Print one JSON line, unless nobody listens any more."""
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def run_step(step: list[str], order: dict[str, Any]) -> None:
    """Run a preparing command to its end, or until perfkit is gone; raises Failed and Ended."""
    with tempfile.TemporaryFile() as printed:
        process = popen(step, order, printed, (), process_group=0)
        try:
            watch(process)
        finally:
            # With all that it started: it may be a build.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        if code:
            printed.seek(0)
            text = printed.read().decode(errors="replace").strip()[-2000:]
            raise Failed(f"{os.path.basename(step[0])} ended with {code}: {text}")


def spawn(order: dict[str, Any], folder: str, lock: int) -> subprocess.Popen[bytes]:
    """Start the server; it shares our lock, so that no sweep takes its folder while it lives."""
    with open(os.path.join(folder, "server.log"), "ab") as log:
        return popen(order["command"], order, log, (lock,))


def popen(
    command: list[str],
    order: dict[str, Any],
    output: Any,
    keep: tuple[int, ...],
    process_group: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child that the kernel ends when we are killed."""
    user = order["user"]
    account = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
    return subprocess.Popen(
        command,
        cwd="/",
        env=order["environment"],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=keep,
        process_group=process_group,
        # Safe here: the guard has one thread, and this must run after the change of user,
        # which would clear it.
        preexec_fn=die_with_us(signal.Signals(order["stop"][-1])),  # noqa: PLW1509
        **account,
    )


def die_with_us(how: signal.Signals) -> Any:
    """Return what makes the kernel send a signal to the child when its parent dies."""
    if sys.platform != "linux":
        return None
    import ctypes

    library = ctypes.CDLL(None)
    set_parent_death_signal = 1
    parent = os.getpid()

    def arrange() -> None:
        library.prctl(set_parent_death_signal, how)
        if os.getppid() != parent:
            # We were killed before the kernel knew what to do then.
            os._exit(1)

    return arrange


def watch(process: subprocess.Popen[bytes] | None) -> None:
    """Return when the process ends; raises Ended when perfkit does."""
    ends, alarm = os.pipe()
    try:
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while process is None or process.poll() is None:
            ready, _, _ = select.select([0, ends], [], [])
            if 0 in ready:
                # perfkit has no more to say, so readable means closed.
                raise Ended
            os.read(ends, 512)
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(ends)
        os.close(alarm)


def stop(process: subprocess.Popen[bytes], ways: list[int]) -> None:
    """Ask the server to stop, ever less politely, and wait until it has."""
    for way in (*ways, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(way)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


def clean_up(reference: str, argument: object) -> None:
    """Call `module:function` with the argument; nobody is left to hear of a failure."""
    module, _, name = reference.partition(":")
    with contextlib.suppress(Exception):
        getattr(import_module(module), name)(argument)


if __name__ == "__main__":
    main()
