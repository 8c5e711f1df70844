from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from leftovers import alive, until
from pyasn1.codec.ber import encoder
from pysnmp.proto.api import v2c
from snmp_agents import (
    HERE,
    SECRETS,
    UP_TIME,
    Manager,
    Running,
    agents,
    daemon,
    discovery,
    request,
    walk,
)

from perfkit.backends import snmp_daemon, snmp_pass
from perfkit.backends.snmp_table import ARP_TABLE, IF_ENTRY, INTERFACES, Device, Oid, rows
from perfkit.errors import CannotRun

NEIGHBOURS = ("10.0.0.2", "10.0.0.3")
LARGE = Device("core-1", 200, neighbours=NEIGHBOURS)
BY_VERSION = {
    "1": Device("core-1", version="1"),
    "2c": Device("core-1", version="2c"),
    "3": Device("core-1", version="3"),
}


def descriptions(number: int) -> list[Oid]:
    return [(*IF_ENTRY, 2, row) for row in range(1, number + 1)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a device of 200 interfaces, in a folder whose name has a blank."""
    with daemon(LARGE, tmp_path_factory.mktemp("a folder")) as running:
        yield running


# What it answers


@pytest.mark.parametrize("root", [INTERFACES, ARP_TABLE])
def test_it_holds_the_same_tables_as_the_agent_byte_for_byte(large: Running, root: Oid) -> None:
    expected = sum(row.oid[: len(root)] == root for row in rows(LARGE))
    with (
        agents(LARGE) as embedded,
        Manager(embedded.ports[0]) as agent,
        Manager(large.ports[0]) as snmpd,
    ):
        tables = [walk(manager, root, 50) for manager in (agent, snmpd)]
    encoded = [[(oid, bytes(encoder.encode(value))) for oid, value in table] for table in tables]
    assert len(encoded[0]) == expected > 0
    assert encoded[0] == encoded[1]


def test_both_send_the_same_datagrams(large: Running) -> None:
    asked = [
        request("Get", [*descriptions(20), (*IF_ENTRY, 6, 7), (*IF_ENTRY, 2, 999)]),
        request("Get", descriptions(20), version="1"),
        request("Get", [*descriptions(2), (*IF_ENTRY, 2, 999)], version="1"),
        request("GetNext", [INTERFACES, *descriptions(20), (*IF_ENTRY, 22, 200)]),
        request("GetBulk", [IF_ENTRY], bulk=(0, 50)),
        request("GetBulk", [INTERFACES, (*IF_ENTRY, 2), (*IF_ENTRY, 10)], bulk=(1, 30)),
        request("GetBulk", [ARP_TABLE], bulk=(0, 8)),
    ]
    with agents(LARGE) as embedded:
        for datagram in asked:
            answers = []
            for port in (embedded.ports[0], large.ports[0]):
                with Manager(port) as manager:
                    manager.send(datagram)
                    answers.append(manager.receive())
            assert answers[0] == answers[1]


def test_the_system_group_is_its_own(large: Running) -> None:
    with Manager(large.ports[0]) as manager:
        description = manager.ask("Get", (1, 3, 6, 1, 2, 1, 1, 1, 0)).varbinds[0][1]
        assert isinstance(description, v2c.OctetString)
        assert os.uname().sysname.encode() in bytes(description)


def test_it_counts_its_packets(large: Running) -> None:
    counter = (1, 3, 6, 1, 2, 1, 11, 1, 0)
    with Manager(large.ports[0]) as manager:
        (_, first), (_, second) = [manager.ask("Get", counter).varbinds[0] for _ in range(2)]
        assert isinstance(first, v2c.Counter32)
        assert first + 1 == second


def test_it_shows_nothing_of_this_machine_but_the_system_group(large: Running) -> None:
    with Manager(large.ports[0]) as manager:
        groups = {oid[:7] for oid, _ in walk(manager, (1, 3), 50)}
    assert groups == {(1, 3, 6, 1, 2, 1, group) for group in (1, 2, 4, 11)}


# Who it speaks to


@pytest.mark.parametrize("version", ["1", "2c", "3"])
def test_it_speaks_the_versions_of_the_device_only(tmp_path: Path, version: str) -> None:
    spoken = {"1": {"1"}, "2c": {"1", "2c"}, "3": {"3"}}[version]
    with (
        daemon(BY_VERSION[version], tmp_path) as running,
        Manager(running.ports[0]) as manager,
    ):
        for other in ("1", "2c"):
            asked = request("Get", [UP_TIME], version=other)
            assert manager.is_silent(asked, version) == (other not in spoken)
            if other in spoken:
                manager.receive()
        assert manager.is_silent(discovery(1), version) == ("3" not in spoken)


def test_it_reads_v3_with_authentication_and_privacy(tmp_path: Path) -> None:
    if shutil.which("snmpget") is None:
        pytest.skip("needs net-snmp's commands: apt-get install snmp")
    with daemon(BY_VERSION["3"], tmp_path) as running:
        how = ["-u", SECRETS["user"], "-a", "SHA", "-x", "AES", "-t30", "-OnqU"]
        address = f"{HERE}:{running.ports[0]}"
        read = {}
        for level, key in (
            ("authPriv", SECRETS["auth_password"]),
            ("authPriv", "another-password"),
            ("authNoPriv", SECRETS["auth_password"]),
        ):
            read[level, key] = subprocess.run(
                [
                    *("snmpget", "-v3", *how, "-l", level, "-A", key),
                    *("-X", SECRETS["privacy_password"], address),
                    ".".join(map(str, (*IF_ENTRY, 2, 3))),
                ],
                check=False,
                capture_output=True,
                text=True,
                env={"MIBS": "", "PATH": "/usr/bin:/bin"},
            )
    good, wrong, bare = read.values()
    assert good.stdout.split()[1:] == ['"GigabitEthernet0/3"']
    assert (wrong.stdout, bare.stdout) == ("", "")
    assert "Authentication failure" in wrong.stderr
    assert "authorizationError" in bare.stderr


def test_a_wrong_community_is_met_with_silence(large: Running) -> None:
    with Manager(large.ports[0]) as manager:
        assert manager.is_silent(request("Get", [UP_TIME], community="public"))
        assert manager.is_silent(request("Get", descriptions(1), community="public"))


def test_it_listens_on_its_port_of_loopback_only(large: Running) -> None:
    with Manager(large.ports[0]) as manager:
        manager.ask("Get", *descriptions(1))
    family = psutil.Process(large.process.pid)
    open_ones = [
        connection.laddr
        for process in (family, *family.children(recursive=True))
        for connection in process.net_connections("all")
    ]
    assert open_ones == [(HERE, large.ports[0])]


# What is too long for it


def test_a_get_too_big_is_met_with_silence_and_a_getbulk_is_cut(tmp_path: Path) -> None:
    """Unlike the embedded agent, which says tooBig: clients have to survive both."""
    small = Device("core-1", 50, max_bytes=500)
    with daemon(small, tmp_path) as running, Manager(running.ports[0]) as manager:
        assert manager.is_silent(request("Get", descriptions(30)))
        assert len(manager.ask("Get", *descriptions(5)).varbinds) == 5
        answer = manager.ask("GetBulk", (*IF_ENTRY, 2), bulk=(0, 30))
        assert 5 < len(answer.varbinds) < 30


# How it lives


def test_it_writes_into_its_folder_only(tmp_path: Path) -> None:
    places = [Path(place) for place in ("/var/lib/snmp", "/var/agentx", "/etc/snmp", Path.home())]
    before = [place.stat().st_mtime_ns if place.exists() else None for place in places]
    folder = tmp_path / "folder"
    folder.mkdir()
    with daemon(LARGE, folder) as running, Manager(running.ports[0]) as manager:
        manager.ask("Get", *descriptions(1))
    assert before == [place.stat().st_mtime_ns if place.exists() else None for place in places]
    assert {file.name for file in folder.iterdir()} == {
        *("perfkit.conf", "order.json", "log"),
        *("snmpd.conf", "cert_indexes"),
    }
    assert (folder / "log").read_text() == ""


def test_every_path_may_have_a_blank(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """snmpd itself knows no quotes in the command that it starts."""
    folder = tmp_path_factory.mktemp("a folder")
    python = folder / "a python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    script = folder / "a script.py"
    shutil.copy(snmp_pass.__file__, script)
    monkeypatch.setattr(snmp_pass, "__file__", str(script))
    with daemon(LARGE, folder) as running, Manager(running.ports[0]) as manager:
        answer = manager.ask("Get", *descriptions(1))
    assert answer.varbinds == [((*IF_ENTRY, 2, 1), b"GigabitEthernet0/1")]


def test_nobody_else_can_read_its_secrets(tmp_path: Path) -> None:
    with daemon(BY_VERSION["3"], tmp_path):
        pass
    secret = [file for file in tmp_path.iterdir() if file.name.endswith(".conf")]
    assert len(secret) == 2
    for file in secret:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SECRETS["auth_password"] not in (tmp_path / "snmpd.conf").read_text()


def test_no_secret_is_on_a_command_line_or_in_the_environment(tmp_path: Path) -> None:
    try:
        command, environment = snmp_daemon.prepare(tmp_path, LARGE, 1, SECRETS)
    except CannotRun:
        pytest.skip("needs snmpd: apt-get install snmpd")
    told = [*command, *environment.values()]
    assert not any(secret in text for secret in SECRETS.values() for text in told)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_its_script_ends_with_it(tmp_path: Path, how: signal.Signals) -> None:
    with daemon(LARGE, tmp_path) as running, Manager(running.ports[0]) as manager:
        manager.ask("Get", *descriptions(1))
        manager.ask("Get", (*ARP_TABLE, 1, 1, 1, 10, 0, 0, 2))
        scripts = psutil.Process(running.process.pid).children(recursive=True)
        assert [script.cmdline()[-1] for script in scripts] == [snmp_pass.__file__] * 2
        running.process.send_signal(how)
        running.process.wait(30)
    for script in scripts:
        until(lambda: not alive(script.pid), "the script ends")  # noqa: B023
    assert running.process.returncode == (0 if how == signal.SIGTERM else -signal.SIGKILL)


def test_where_it_is_missing_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(snmp_daemon, "PLACES", str(tmp_path))
    with pytest.raises(CannotRun, match="snmpd is not installed") as caught:
        snmp_daemon.find()
    assert caught.value.fix == "apt-get install snmpd"
    with pytest.raises(CannotRun):
        snmp_daemon.version()


def test_it_is_found_where_only_administrators_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "snmpd"
    program.write_text("#!/bin/sh\nprintf '\\nNET-SNMP version:  5.9.3\\nWeb: ...\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(snmp_daemon, "PLACES", str(tmp_path))
    assert snmp_daemon.find() == program
    assert snmp_daemon.version() == "5.9.3"


# The script that snmpd asks, without snmpd


def test_the_script_answers_as_snmpd_wants(tmp_path: Path) -> None:
    order = tmp_path / "order.json"
    device = {"name": "core-1", "interfaces": 2}
    order.write_text(json.dumps({"path": sys.path, "device": device}))
    lines = [
        *("PING", "get", ".1.3.6.1.2.1.2.1.0"),
        *("get", ".1.3.6.1.2.1.2.2.1.2.2", "get", ".1.3.6.1.2.1.2.2.1.2.3"),
        *("getnext", ".1.3.6.1.2.1.2", "getnext", ".1.3.6.1.2.1.2.2.1.22.2"),
    ]
    script = subprocess.run(
        [sys.executable, "-P", snmp_pass.__file__],
        input="\n".join([*lines, "", "get", ".1.3"]),
        capture_output=True,
        text=True,
        check=True,
        env={"PERFKIT_SNMP_ORDER": str(order)},
    )
    assert script.stdout.splitlines() == [
        "PONG",
        *(".1.3.6.1.2.1.2.1.0", "integer", "2"),
        *(".1.3.6.1.2.1.2.2.1.2.2", "octet", b"GigabitEthernet0/2".hex(" ")),
        "NONE",
        *(".1.3.6.1.2.1.2.1.0", "integer", "2"),
        "NONE",
    ]
    assert script.stderr == ""
