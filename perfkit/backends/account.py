"""Which account runs a server of ours, and what that account can reach.

Run as root, servers get the account of `nobody`: what they are told cannot become root's doing.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from perfkit.errors import CannotRun

User = tuple[int, int]
"""A user's and a group's number."""


def choose() -> User | None:
    """Return who must run a server; None is who runs us."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def folder() -> Path:
    """Return a temporary folder that the server's account can reach; raises CannotRun."""
    user = choose()
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108
    for candidate in candidates:
        if user is None or can(user, "-x", candidate):
            return candidate
    raise CannotRun(
        "there is no folder for the server's data",
        why=f"the user 'nobody' can enter none of {', '.join(map(str, candidates))}",
        fix="set TMPDIR to a folder that every user may enter",
    )


def reachable(program: Path, inside: Path, user: User | None) -> Path:
    """Return a program that the account can run: itself, or a link or copy in our folder.

    A virtual environment below a mode-700 home is out of reach for `nobody`; opening the home
    is not ours to do.
    """
    if user is None or can(user, "-x", program):
        return program
    inside.chmod(0o711)
    copy = inside / program.name
    if stat.S_IMODE(program.stat().st_mode) & stat.S_IXOTH:
        with suppress(OSError):
            os.link(program.resolve(), copy)
            return copy
    shutil.copy2(program, copy)
    copy.chmod(0o755)
    return copy


def can(user: User, test: str, path: Path) -> bool:
    """Ask the kernel, as that account."""
    asked = subprocess.run(
        ["/bin/sh", "-c", f'test {test} "$0"', str(path)],
        cwd="/",
        user=user[0],
        group=user[1],
        extra_groups=[],
        check=False,
    )
    return asked.returncode == 0


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
