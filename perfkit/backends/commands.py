"""Commands of the user's on this machine: started, awaited, and what they print counted."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Self

from perfkit.backends.own_place import OwnService, Place, enter, served
from perfkit.errors import CannotRun, NotThere, VariantFailed
from perfkit.model import Location, Tally

if TYPE_CHECKING:
    import subprocess

PYTHON = ("python", "python3")
"""First words that mean the project's Python, not the system's."""
LINES = 8
"""Of what a failed command said, the last lines are shown."""


class Commands:
    """This machine, as commands of the user's see it: it counts what they print."""

    def __init__(self) -> None:
        self.printed = 0
        """Bytes that the last command wrote to its standard output."""

    @classmethod
    @contextmanager
    def serve(cls, location: Location) -> Iterator[OwnService]:
        """Describe the machine, or bring up the server that the scenario asks for."""
        import platform

        release = platform.release().partition("-")[0]
        with served(location, platform.system(), release, "this machine") as service:
            yield service

    @classmethod
    @contextmanager
    def connect(cls, address: Place) -> Iterator[Self]:
        """Let commands find their environment, and Python ones the project's `src`."""
        enter(address)
        source = os.path.join(os.getcwd(), "src")  # noqa: PTH109, PTH118 (no pathlib in a worker)
        path = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
        if os.path.isdir(source) and source not in path:  # noqa: PTH112 (the same)
            os.environ["PYTHONPATH"] = os.pathsep.join([source, *path])
        yield cls()

    @contextmanager
    def counting(self) -> Iterator[dict[str, Tally]]:
        """Count the bytes printed by the command that runs inside the block."""
        work: dict[str, Tally] = {}
        yield work
        work["output_bytes"] = Tally(self.printed, "its standard output")


class Command:
    """A command of the user's as a variant: its words, as they are, in this environment."""

    def __init__(
        self, name: str, words: tuple[str, ...], environment: Mapping[str, str], timeout: float
    ) -> None:
        self.__name__ = name
        # Nobody asks which module a command is of.
        self.__module__ = ""
        self._environment, self._timeout = environment, timeout
        self._python = words[0] in PYTHON
        self._words = (_active_python() if self._python else words[0], *words[1:])
        self.label = shlex.join(self._words)

    def load(self, commands: Commands, params: object) -> None:
        """Run it once: what a scenario's setup is for."""
        self.prepare(commands, params)
        self(commands, params)

    def prepare(self, _commands: Commands, _params: object) -> None:
        """Set its environment; raises NotThere when there is no such program."""
        import shutil

        os.environ.update(self._environment)
        program, *words = self._words
        if shutil.which(program) is None:
            raise NotThere(
                f"there is no program {program}",
                why=f"looked for on the PATH, from {os.getcwd()}",  # noqa: PTH109
                fix="install it, or write where it is",
            )
        # So that a base that does not have it yet is told from one where it is broken.
        script = words[0] if words and self._python else "-"
        if not script.startswith("-") and not os.path.exists(script):  # noqa: PTH110
            raise NotThere(
                f"there is no file {script}",
                why=f"looked for in {os.getcwd()}",  # noqa: PTH109
                fix="write where it is, from the project's folder",
            )

    def __call__(self, commands: Commands, _params: object) -> object:
        """Run it, and return its standard output.

        Raises VariantFailed when it fails, or does not end in time.
        """
        import subprocess

        from perfkit.backends.postgres_witness import unnamed

        # Files, not pipes: a child that lives on would hold a pipe open.
        with unnamed() as output, unnamed() as complaints:
            try:
                process = subprocess.Popen(
                    self._words, stdin=subprocess.DEVNULL, stdout=output, stderr=complaints
                )
            except OSError as error:
                raise CannotRun(f"cannot start {self.label}", why=str(error)) from error
            in_time = _ended(process, self._timeout)
            if not in_time:
                _kill(process)
            said = _read(complaints)
            if not in_time:
                raise self._failed(f"took longer than {self._timeout:g} s", said)
            if process.returncode:
                raise self._failed(_how(process.returncode), said)
            printed = _read(output)
        commands.printed = len(printed)
        return printed

    def _failed(self, how: str, said: bytes) -> VariantFailed:
        last = said.decode(errors="replace").strip().splitlines()[-LINES:]
        late = how.startswith("took")
        return VariantFailed(
            f"{self.label} {how}",
            why="\n".join(last) or "it complained of nothing",
            fix='give it more time: timeout = "5m"; or find what it waits for'
            if late
            else f"try it: cd {os.getcwd()}; {self.label}",  # noqa: PTH109
        )


def _active_python() -> str:
    """Return the Python of an activated virtual environment, else this interpreter.

    Not the first on the PATH, which may lack what the project has installed.
    """
    import shutil

    active = os.environ.get("VIRTUAL_ENV", "")
    return shutil.which("python", path=f"{active}/bin") or sys.executable


def _ended(process: subprocess.Popen[bytes], limit: float) -> bool:
    """Wait until the process has ended; return whether it did in time."""
    import subprocess

    # Popen.wait() with a time limit sleeps ever longer between two looks, which a clock would see.
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        return True
    import select

    try:
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        if not ended.poll(limit * 1000):
            return False
    finally:
        os.close(handle)
    process.wait()
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with its children, even those that left our process group."""
    import psutil

    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    for child in family:
        # Gone already is as good.
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _how(code: int) -> str:
    import signal

    return (
        f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    )
