"""`perfkit snmp`: a plan for a simulated device, each of them the command that a user runs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import leftovers
import msgspec
import pexpect
import pytest

pytest.importorskip("pysnmp", reason="the commands need the optional part 'snmp'")

from perfkit.backends import snmp_daemon
from perfkit.cli.snmp import complete_oid
from perfkit.errors import CannotRun, Exit
from perfkit.snmp.plan import Method, Plan
from perfkit.snmp.session import Client
from perfkit.snmp.target import Target, read

from .conftest import Run

NAME = "1.3.6.1.2.1.1.5.0"
QUICK = ("--rounds", "3", "--sample", "20")


class Agent:
    """A running `perfkit snmp agent`."""

    def __init__(self, process: subprocess.Popen[str], devices: int, variables: int) -> None:
        assert process.stdout
        lines = [process.stdout.readline().rstrip("\n") for _ in range(variables + devices)]
        self.process = process
        self.variables = dict(
            line.removeprefix("export ").split("=") for line in lines[:variables] if line
        )
        self.urls = lines[variables:]
        self.url = self.urls[0]


Start = Callable[..., AbstractContextManager[Agent]]


@pytest.fixture
def agent(environment: dict[str, str], tmp_path: Path) -> Start:
    """Run `perfkit snmp agent OPTIONS...` for the length of a block; then nothing is left of it."""
    place = Path(environment["TMPDIR"])

    @contextmanager
    def start(*options: str, devices: int = 1, variables: int = 0) -> Iterator[Agent]:
        with subprocess.Popen(
            [sys.executable, "-m", "perfkit", "snmp", "agent", *options],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            try:
                yield Agent(process, devices, variables)
            finally:
                process.terminate()
                process.communicate(timeout=60)
        leftovers.until(lambda: not leftovers.processes(place), "the agent's processes")
        assert leftovers.folders(place) == []

    return start


def heard(child: pexpect.spawn[str]) -> str:
    """Return what a command printed up to its end."""
    child.expect(pexpect.EOF)
    child.close()
    return child.before or ""


def secret(url: str) -> str:
    """Return the community in a URL."""
    return url.partition("://")[2].partition("@")[0]


def test_plan_for_the_agent_says_what_is_best_and_how_that_is_known(
    perfkit: Run, agent: Start
) -> None:
    with agent("--interfaces", "10") as device:
        ended = perfkit("snmp", "plan", device.url, "--seed", "7", COLUMNS="80")

    host = device.url.partition("@")[2]
    assert (ended.returncode, ended.stderr.splitlines()[0][: len(host)]) == (0, host)
    assert re.search(r": at most [\d,]+ requests, one at a time$", ended.stderr, re.MULTILINE)
    assert ended.stdout.startswith(f" SNMP plan for {host}\n SNMPv2c · ifTable")
    assert " measured best\n" in ended.stdout
    assert "220 values in" in ended.stdout
    assert "snmp_exporter" in ended.stdout
    assert "seed 7" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert "\x1b" not in ended.stdout + ended.stderr
    assert secret(device.url) not in ended.stdout + ended.stderr


def test_json_is_the_plan_and_has_no_secret(perfkit: Run, agent: Start) -> None:
    with agent("--interfaces", "4", "--max-bytes", "600") as device:
        ended = perfkit("snmp", "plan", device.url, "system", ".1.3.6.1.2.1.2", *QUICK, "--json")

    plan = msgspec.json.decode(ended.stdout, type=Plan)
    assert ended.returncode == 0
    assert [one.oid for one in plan.subtrees] == ["1.3.6.1.2.1.1", "1.3.6.1.2.1.2"]
    assert [one.values for one in plan.subtrees] == [4, 1 + 4 * 22]
    assert "tooBig" in {one.outcome for one in plan.tries}
    assert {len(one.seconds) for one in plan.timed} == {3}
    assert secret(device.url) not in ended.stdout


def test_community_may_come_from_the_environment(perfkit: Run, agent: Start) -> None:
    with agent("--interfaces", "1") as device:
        host = device.url.partition("@")[2]
        without = perfkit("snmp", "plan", host, *QUICK)
        ended = perfkit("snmp", "plan", host, *QUICK, PERFKIT_SNMP_COMMUNITY=secret(device.url))

    assert (without.returncode, without.stdout) == (Exit.USAGE, "")
    assert "PERFKIT_SNMP_COMMUNITY" in without.stderr
    assert (ended.returncode, "measured best" in ended.stdout) == (0, True)


def test_community_is_asked_for_where_there_is_a_terminal(
    environment: dict[str, str], agent: Start
) -> None:
    with agent("--interfaces", "1") as device:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "perfkit", "snmp", "plan", device.url.partition("@")[2], *QUICK],
            env=environment,
            encoding="utf-8",
            timeout=60,
        )
        child.expect("SNMP community: ")
        child.sendline(secret(device.url))
        said = heard(child)

    assert child.exitstatus == 0
    assert "measured best" in said
    assert secret(device.url) not in said


def test_end_of_input_in_the_place_of_a_secret_is_an_error(
    environment: dict[str, str],
) -> None:
    child = plan_on_a_terminal(environment, "127.0.0.1")
    child.expect("SNMP community: ")
    child.sendeof()

    assert "SNMP community: nothing was typed" in heard(child)
    assert child.exitstatus == Exit.USAGE


def test_probe_asks_for_the_passwords_of_a_device(
    environment: dict[str, str], agent: Start
) -> None:
    with agent("--interfaces", "1", "--speaks", "3", variables=2) as device:
        words = ["snmp-bulk", "--rounds", "0", "--backend", device.url, "-s", "interfaces=1"]
        child = pexpect.spawn(
            sys.executable,
            ["-m", "perfkit", "probe", *words],
            env=environment,
            encoding="utf-8",
            timeout=60,
        )
        for question, name in (
            ("authentication", "PERFKIT_SNMP_AUTH_PASSWORD"),
            ("privacy", "PERFKIT_SNMP_PRIVACY_PASSWORD"),
        ):
            child.expect(f"SNMPv3 {question} password: ")
            child.sendline(device.variables[name])
        said = heard(child)

    assert child.exitstatus == 0
    assert "SNMPv3 (yours, as fast as it is)" in said
    assert not any(password in said for password in device.variables.values())


def test_wrong_community_looks_like_silence_and_the_error_says_so(
    perfkit: Run, agent: Start
) -> None:
    with agent("--interfaces", "1") as device:
        wrong = device.url.replace(secret(device.url), "s3cret-but-wrong")
        ended = perfkit("snmp", "plan", wrong, "--timeout", "100ms", "--retries", "1")

    assert (ended.returncode, ended.stdout) == (Exit.CANNOT_RUN, "")
    assert "error: no answer from" in ended.stderr
    assert "is this its community?" in ended.stderr
    assert "s3cret" not in ended.stderr


def test_device_of_snmpv3_is_reached_with_what_the_agent_prints(perfkit: Run, agent: Start) -> None:
    with agent("--interfaces", "2", "--speaks", "3", variables=2) as device:
        ended = perfkit("snmp", "plan", device.url, *QUICK, "--json", **device.variables)
        wrong = dict.fromkeys(device.variables, "another-password")
        refused = perfkit("snmp", "plan", device.url, *QUICK, **wrong)

    plan = msgspec.json.decode(ended.stdout, type=Plan)
    assert (plan.version, plan.subtrees[0].values) == ("3", 44)
    assert [value for value in device.variables.values() if value in ended.stdout] == []
    assert (refused.returncode, refused.stdout) == (Exit.CANNOT_RUN, "")
    assert "the authentication password or protocol is not the user's" in refused.stderr


def test_device_of_snmpv1_is_told_apart(perfkit: Run, agent: Start) -> None:
    with agent("--interfaces", "4", "--speaks", "1") as device:
        # It says nothing to a question of SNMPv2c, and that is waited for.
        patience = ("--timeout", "300ms")
        ended = perfkit("snmp", "plan", device.url, *QUICK, *patience, "--json")

    plan = msgspec.json.decode(ended.stdout, type=Plan)
    assert plan.version == "1"
    assert Method.BULK not in {one.method for one in plan.timed}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("snmp://x@127.0.0.1", "ifFoo"), "'ifFoo' is no OID"),
        (("snmp://x@127.0.0.1,127.0.0.2",), "a plan is for one device"),
        (("snmp://x:s3cret@127.0.0.1",), "an SNMP URL has no password"),
        (("ifTable", "snmp://s3cret@127.0.0.1"), "an OID is no URL"),
        (("snmp://x@127.0.0.1", "--timeout", "0s"), "--timeout 0s is no time at all"),
        (("snmp://x@127.0.0.1", "--rounds", "2"), "--rounds"),
    ],
)
def test_mistakes_on_the_command_line_are_named(
    perfkit: Run, words: tuple[str, ...], said: str
) -> None:
    ended = perfkit("snmp", "plan", *words)

    assert (ended.returncode, ended.stdout) == (Exit.USAGE, "")
    assert said in ended.stderr
    assert "s3cret" not in ended.stderr


def test_nothing_below_the_oid_is_an_error(perfkit: Run, agent: Start) -> None:
    with agent("--interfaces", "1") as device:
        ended = perfkit("snmp", "plan", device.url, "ifXTable")

    assert (ended.returncode, ended.stdout) == (Exit.CANNOT_RUN, "")
    assert "has nothing below 1.3.6.1.2.1.31.1.1.1" in ended.stderr


def plan_on_a_terminal(environment: dict[str, str], url: str, *options: str) -> pexpect.spawn[str]:
    return pexpect.spawn(
        sys.executable,
        ["-m", "perfkit", "snmp", "plan", url, "--timeout", "30s", *options],
        env=environment,
        encoding="utf-8",
        dimensions=(50, 100),
        timeout=60,
    )


def test_ctrl_c_prints_what_there_is(environment: dict[str, str], agent: Start) -> None:
    with agent("--interfaces", "10", "--service", "10ms") as device:
        child = plan_on_a_terminal(environment, device.url)
        child.expect("requests to compare the methods")
        child.sendintr()
        said = heard(child)

    assert child.exitstatus == Exit.INTERRUPTED
    assert "INTERRUPTED: what is below was measured" in said
    assert "by the size of an answer" in said
    assert "walk, requests" not in said
    assert "Traceback" not in said


def test_silence_half_way_prints_what_there_is_and_the_error(
    environment: dict[str, str], agent: Start
) -> None:
    with agent("--interfaces", "10", "--service", "10ms") as device:
        (served,) = (
            process
            for process, command in leftovers.descendants(device.process.pid).items()
            if "snmp_agent.py" in command
        )
        # Of an option that is given twice the last one counts.
        child = plan_on_a_terminal(environment, device.url, "--timeout", "500ms", "--retries", "0")
        child.expect("requests to compare the methods")
        served.suspend()
        said = heard(child)
        served.resume()

    assert child.exitstatus == Exit.CANNOT_RUN
    assert "INTERRUPTED: what is below was measured" in said
    assert "by the size of an answer" in said
    assert re.search("no answer|fell silent", said)


def test_ctrl_c_before_anything_is_known_says_that(environment: dict[str, str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        child = plan_on_a_terminal(environment, f"snmp://x@127.0.0.1:{silent.getsockname()[1]}")
        # Somebody asks: from here on the command waits.
        silent.settimeout(60)
        silent.recv(2**16)
        child.sendintr()
        child.expect("interrupted before anything was measured")
        said = heard(child)

    assert child.exitstatus == Exit.INTERRUPTED
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_agent_that_is_ended_leaves_nothing(agent: Start, number: signal.Signals) -> None:
    with agent("--interfaces", "1") as device:
        device.process.send_signal(number)
        said = device.process.communicate(timeout=60)[1]

    assert device.process.returncode == Exit.INTERRUPTED
    assert "Traceback" not in said


def test_agent_ends_by_itself_when_its_time_is_over(perfkit: Run) -> None:
    ended = perfkit("snmp", "agent", "--interfaces", "1", "--for", "100ms", "-q")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"snmp://[0-9a-f]+@127[\d.]+:\d+\n", ended.stdout)


def test_time_of_the_device_is_modelled_and_says_so(perfkit: Run) -> None:
    plain = perfkit("snmp", "agent", "--interfaces", "1", "--for", "1ms")
    slow = perfkit("snmp", "agent", "--interfaces", "1", "--for", "1ms", "--service", "5ms")

    assert "MODELLED" not in plain.stderr
    assert "service time MODELLED" in slow.stderr
    assert "SNMPv2c" in slow.stderr


def test_agent_is_simulated_whatever_the_environment_names(
    environment: dict[str, str], agent: Start
) -> None:
    environment["PERFKIT_SNMP_DEVICE"] = "snmp://public@192.0.2.1"
    with agent() as running:
        assert "@127." in running.url


def test_every_device_answers_at_an_address_of_its_own(agent: Start) -> None:
    async def name(target: Target) -> object:
        client = Client()
        try:
            return (await (await client.open(target)).get(NAME))[0].value
        finally:
            client.close()

    with agent("--interfaces", "1", "--devices", "3", devices=3) as network:
        targets = [target for url in network.urls for target in read(url)]
        names = [asyncio.run(name(target)) for target in targets]

    assert len({target.host for target in targets}) == 3
    assert names == [b"switch-1", b"switch-2", b"switch-3"]


def test_json_of_the_agent_has_the_urls_and_the_variables(perfkit: Run) -> None:
    ended = perfkit("snmp", "agent", "--speaks", "3", "--for", "1ms", "--json")

    found = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [url.partition("@")[0] for url in found["urls"]] == ["snmpv3://perfkit"]
    assert set(found["environment"]) == {
        "PERFKIT_SNMP_AUTH_PASSWORD",
        "PERFKIT_SNMP_PRIVACY_PASSWORD",
    }


def test_agent_whose_process_is_killed_is_an_error(agent: Start) -> None:
    with agent("--interfaces", "1") as device:
        (served,) = (
            process
            for process, command in leftovers.descendants(device.process.pid).items()
            if "snmp_agent.py" in command
        )
        served.kill()
        said = device.process.communicate(timeout=60)[1]

    assert device.process.returncode == Exit.CANNOT_RUN
    assert "an SNMP agent went away" in said


def test_snmpd_serves_the_same_table(perfkit: Run, agent: Start) -> None:
    try:
        snmp_daemon.find()
    except CannotRun as missing:
        pytest.skip(missing.what)
    with agent("--backend", "snmpd", "--interfaces", "2") as device:
        ended = perfkit("snmp", "plan", device.url, *QUICK, "--json")

    plan = msgspec.json.decode(ended.stdout, type=Plan)
    assert (plan.version, plan.subtrees[0].values) == ("2c", 44)
    assert plan.recommended is not None


def test_names_of_subtrees_are_completed() -> None:
    assert complete_oid("if") == ["ifTable", "ifXTable"]
    assert complete_oid("x") == []
