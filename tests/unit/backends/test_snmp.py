"""Devices as probes see them: real agents behind real relays, and counts that agree."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from leftovers import alive, folders, processes, until
from snmp_agents import SECRETS, agents

from perfkit.backends import snmp_daemon, snmp_service
from perfkit.backends.snmp import AGENT, Control, Snmp, compiled_session
from perfkit.backends.snmp_service import SnmpService
from perfkit.backends.snmp_table import Device
from perfkit.errors import CannotRun, ComponentLost, NoAnswer, NotApplicable, UsageError
from perfkit.model import Location
from perfkit.snmp.session import Session, Varbind
from perfkit.snmp.target import Target, read

INTERFACES = "1.3.6.1.2.1.2.2.1"
NEIGHBOURS = "1.3.6.1.2.1.4.22.1.3"
FIRST = f"{INTERFACES}.1.1"

needs_daemon = pytest.mark.skipif(
    shutil.which("snmpd", path=f"{os.environ['PATH']}:{snmp_daemon.PLACES}") is None,
    reason="needs snmpd: apt-get install snmpd",
)
KINDS = ["", pytest.param("snmpd", marks=needs_daemon)]


@contextmanager
def network(url: str = "", *devices: Device, router: bool = False) -> Iterator[Snmp]:
    with Snmp.serve(Location(url)) as service, Snmp.connect(service.address) as connected:
        connected.install(devices or [Device("switch")], router=router)
        yield connected


@pytest.fixture(scope="module", params=KINDS)
def service(request: pytest.FixtureRequest) -> Iterator[SnmpService]:
    with Snmp.serve(Location(request.param)) as running:
        yield running


@pytest.fixture
def hastily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be content with a tenth of a second for a device of the user's that says nothing."""

    def hasty(url: str) -> tuple[Target, ...]:
        return tuple(replace(target, timeout=0.1, retries=0) for target in read(url))

    monkeypatch.setattr(snmp_service, "read", hasty)


def test_devices_answer_when_they_are_installed(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("one", interfaces=2), Device("two", interfaces=3)])

        assert len({device.host for device in devices.devices}) == 2
        assert [
            len(devices.walk_columns(device, INTERFACES, [1], 10)) for device in devices.devices
        ] == [2, 3]


def test_the_slowest_device_can_be_installed(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("slow", per_request=1.0)])

        assert len(devices.devices) == 1


def test_every_request_is_counted_and_the_agents_agree(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("one", interfaces=5), Device("two", interfaces=5)])
        one, two = devices.devices
        with devices.counting() as work:
            devices.get(one, FIRST)
            devices.get(two, FIRST, f"{INTERFACES}.2.1")
            devices.walk_columns(two, INTERFACES, [1, 2], 5)
            devices.walk_columns(one, INTERFACES, [1, 2, 3], 4, 2)

        counted = {name: tally.value for name, tally in work.items()}
        assert counted["get"] == 2
        assert counted["getnext"] == 5
        assert counted["getbulk"] == 2
        assert counted["requests"] == 9
        assert counted["oids"] == 1 + 2 + 10 + 12
        assert (counted["retries"], counted["lost"]) == (0, 0)
        assert work["requests"].others == {AGENT: 9}
        assert counted["bytes_in"] > counted["bytes_out"] > 9 * 40


def test_what_encryption_hides_is_not_counted(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("switch", version="3")])
        (device,) = devices.devices
        devices.get(device, FIRST)
        with devices.counting() as work:
            devices.get(device, FIRST)

    assert set(work) == {"requests", "bytes_in", "bytes_out", "lost"}
    assert work["requests"].value == 1
    assert work["requests"].others == {AGENT: 1}


def test_all_devices_are_asked_at_once(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device(f"switch-{number}", interfaces=1) for number in range(3)])

        async def ask(session: Session) -> list[Varbind]:
            return await session.get(FIRST)

        assert [[row.value for row in found] for found in devices.at_once(ask)] == [[1]] * 3


def test_installing_again_replaces_the_devices(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("one", interfaces=1)])
        (former,) = devices.devices
        devices.install([Device("one", interfaces=4)])

        (device,) = devices.devices
        assert len(devices.walk_columns(device, INTERFACES, [1], 10)) == 4
        with Snmp.connect(service.address) as another:
            assert another.devices == devices.devices
        assert former != device


def test_a_router_names_the_others(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("router"), Device("a"), Device("b")], router=True)
        router, *others = devices.devices

        named = devices.walk_columns(router, "1.3.6.1.2.1.4.22.1", [3], 10)
        assert {row.value for row in named} == {device.host for device in others}


@pytest.mark.parametrize("version", ["1", "2c", "3"])
def test_every_version_is_spoken(service: SnmpService, version: str) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("switch", interfaces=3, version=version)])
        (device,) = devices.devices

        assert device.version == version
        assert devices.get(device, FIRST)[0].value == 1
        assert devices.compiled(device).get(FIRST) == 1
        if version == "1":
            with pytest.raises(NotApplicable, match="no GETBULK"):
                devices.walk_columns(device, INTERFACES, [1], 3, 3)
        else:
            assert len(devices.walk_columns(device, INTERFACES, [1], 3, 3)) == 3
    assert f"SNMPv{version}" in str(service.component)


def test_protocols_that_the_compiled_client_lacks_are_said() -> None:
    login = Target("127.0.0.1", version="3", user="me", auth_password="12345678")
    known = replace(login, auth="MD5", privacy="none")

    assert compiled_session(known) is not None
    with pytest.raises(NotApplicable, match="knows no SHA512 with AES"):
        compiled_session(replace(login, auth="SHA512"))


def test_the_compiled_client_asks_again_as_often_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lossy:
        asked = 0

        def get(self, _: str) -> int:
            Lossy.asked += 1
            if Lossy.asked in {1, 3, 4, 5}:
                raise TimeoutError
            return 7

    with network() as devices:
        monkeypatch.setattr(devices, "compiled", lambda _: Lossy())
        device = replace(devices.devices[0], retries=2)

        assert devices.get_compiled(device, FIRST) == 7
        with pytest.raises(NoAnswer, match="no answer from"):
            devices.get_compiled(device, FIRST)
        assert Lossy.asked == 5


def test_a_pool_has_pollers_of_its_own(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("switch")])
        (device,) = devices.devices
        pool = devices.pool(2, at_most=1)
        assert pool is devices.pool(2, at_most=1)

        with pool.poller() as one, pool.poller() as two:
            assert one is not two
            assert one.get(device, FIRST) == two.get(device, FIRST)


def test_the_component_says_what_is_real_and_what_is_modelled(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("switch")])
        assert "MODELLED" not in str(service.component)
        devices.install([Device("switch", per_request=0.001)] * 2)

    assert "MODELLED" in service.component.place
    assert "2 devices" in service.component.place
    assert service.component.rtt is not None


def test_the_bound_comes_from_travel_and_service(service: SnmpService) -> None:
    with Snmp.connect(service.address) as devices:
        devices.install([Device("switch", per_request=0.01)])
        bound = devices.bound(64)
        assert bound is not None
        assert 1 < bound.at_most < 64
        assert bound.reason.startswith("1 + ")


def test_a_flood_loses_answers_and_they_are_counted(service: SnmpService) -> None:
    async def flood(session: Session) -> list[Varbind]:
        answers = await asyncio.gather(
            *(session.get(FIRST) for _ in range(200)), return_exceptions=True
        )
        assert all(isinstance(answer, list | NoAnswer) for answer in answers)
        return [answer[0] for answer in answers if isinstance(answer, list)]

    with Snmp.connect(service.address) as devices:
        # So slow that all 200 are sent before there is room for them.
        devices.install([Device("switch", per_request=0.01)])
        (device,) = devices.devices
        with devices.counting() as work:
            hasty = replace(device, timeout=4.0, retries=0)
            (answered,) = devices._poller.for_each([hasty], flood)

    # One is served and 64 wait; what is served meanwhile makes room for more.
    assert 65 <= len(answered) < 200
    assert {row.value for row in answered} == {1}
    assert work["requests"].value == 200
    assert work["lost"].value == 200 - len(answered)
    assert work["retries"].value == 0


def test_a_device_of_yours_is_reached_and_only_counted() -> None:
    with agents(Device("yours", interfaces=4)) as running:
        url = f"snmp://{SECRETS['community']}@127.0.0.1:{running.ports[0]}"
        with Snmp.serve(Location(url)) as service, Snmp.connect(service.address) as devices:
            devices.install([Device("ignored")])
            (device,) = devices.devices
            assert not devices.owned
            with devices.counting() as work:
                found = devices.walk_columns(device, INTERFACES, [1], 10, 10)

            assert len(found) == 4
            assert work["requests"].value == 1
            assert work["requests"].others == {}
            assert devices.bound(4) is None
            with pytest.raises(NotApplicable, match="one request at a time"):
                devices.pool(4, at_most=1)
            assert devices.pool(4, at_most=2).pollers.qsize() == 2
            assert str(service.component).startswith(
                "SNMP device SNMPv2c (yours, as fast as it is)"
            )
            assert SECRETS["community"] not in repr((service, devices.devices, device))


def test_a_variable_of_the_environment_names_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with agents(Device("yours")) as running:
        url = f"snmp://{SECRETS['community']}@127.0.0.1:{running.ports[0]}"
        monkeypatch.setenv("PERFKIT_SNMP_DEVICE", url)
        with Snmp.serve(Location()) as service, Snmp.connect(service.address) as devices:
            assert not devices.owned
        with Snmp.serve(Location("embedded")) as service:
            assert service.address.kind == "agent"


@pytest.mark.usefixtures("hastily")
def test_an_old_device_of_yours_is_recognised() -> None:
    with agents(Device("old", version="1")) as running:
        url = f"snmp://{SECRETS['community']}@127.0.0.1:{running.ports[0]}"
        with Snmp.serve(Location(url)) as service, Snmp.connect(service.address) as devices:
            assert [device.version for device in devices.devices] == ["1"]
            assert "SNMPv1" in str(service.component)


def test_yours_must_be_as_many_as_are_needed() -> None:
    with agents(Device("yours")) as running:
        url = f"snmp://{SECRETS['community']}@127.0.0.1:{running.ports[0]}"
        with (
            Snmp.serve(Location(url)) as service,
            Snmp.connect(service.address) as devices,
            pytest.raises(CannotRun, match="needs 2 devices, and yours are 1") as caught,
        ):
            devices.install([Device("a"), Device("b")])
    assert caught.value.fix == "-s devices=1"


@pytest.mark.usefixtures("hastily")
def test_a_wrong_community_is_silence() -> None:
    with agents(Device("yours")) as running:
        url = f"snmp://wrong@127.0.0.1:{running.ports[0]}"
        with pytest.raises(NoAnswer) as caught, Snmp.serve(Location(url)):
            pass
    assert "community" in f"{caught.value.why} {caught.value.fix}"


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what a user of SNMPv3 needs; the authentication password is wrong."""
    monkeypatch.setenv("PERFKIT_SNMP_AUTH_PASSWORD", "another-password")
    monkeypatch.setenv("PERFKIT_SNMP_PRIVACY_PASSWORD", SECRETS["privacy_password"])


@pytest.mark.usefixtures("hastily", "user")
def test_silence_in_every_version_is_noticed_at_once() -> None:
    with agents(Device("old")) as running:
        location = Location(f"snmpv3://{SECRETS['user']}@127.0.0.1:{running.ports[0]}")
        with pytest.raises(NoAnswer, match=f"127.0.0.1:{running.ports[0]}"), Snmp.serve(location):
            pass


@pytest.mark.usefixtures("user")
def test_a_device_that_refuses_is_described_all_the_same() -> None:
    with agents(Device("yours", version="3")) as running:
        location = Location(f"snmpv3://{SECRETS['user']}@127.0.0.1:{running.ports[0]}")
        with Snmp.serve(location) as service:
            assert service.component.rtt is None
            assert service.component.version == "SNMPv3"


def test_a_device_elsewhere_needs_permission() -> None:
    with pytest.raises(CannotRun) as caught, Snmp.serve(Location("snmp://secret@192.0.2.1")):
        pass

    assert "--allow-remote" in caught.value.fix
    assert "secret" not in f"{caught.value.what}{caught.value.why}{caught.value.fix}"


def test_a_host_that_nobody_knows_is_an_error() -> None:
    location = Location("snmp://c@no-such-host.invalid", allow_remote=True)
    with pytest.raises(UsageError, match="nobody knows the host"), Snmp.serve(location):
        pass


def test_an_agent_that_ends_is_noticed() -> None:
    with Snmp.serve(Location()) as service, Snmp.connect(service.address) as devices:
        devices.install([Device("switch")])
        service.check()
        # Not any agent: other networks of this module may be up.
        (agent,) = psutil.Process(service.guarded._server).children()
        agent.kill()
        until(lambda: devices._control.ask("devices")["ended"], "the agent ends")

        with pytest.raises(ComponentLost, match="went away"):
            service.check()


def test_a_network_that_ends_is_noticed() -> None:
    with Snmp.serve(Location()) as service, Snmp.connect(service.address) as devices:
        devices.install([Device("switch")])
        os.kill(service.guarded._server, signal.SIGKILL)
        until(lambda: not service.guarded.alive(), "the network ends")

        with pytest.raises(ComponentLost):
            service.check()
        with pytest.raises(CannotRun, match="network of devices is gone"):
            devices._control.ask("devices")


@needs_daemon
def test_snmpd_is_killed_with_the_network(place: Path) -> None:
    """Asked to end, it would write its file again, into a folder that may be gone by then."""
    with network("snmpd", Device("switch")):
        running = {process.name(): process for process in psutil.Process().children(recursive=True)}
        snmpd = running["snmpd"]
        # So it cannot do anything more, whatever it is told.
        snmpd.suspend()
        try:
            parent = snmpd.parent()
            assert parent is not None
            parent.kill()
            until(lambda: not alive(snmpd.pid), "snmpd ends")
        finally:
            with suppress(psutil.NoSuchProcess):
                snmpd.resume()

    assert folders(place) == []


@pytest.mark.parametrize("url", KINDS)
def test_nothing_stays(url: str, place: Path) -> None:
    with network(url, Device("one"), Device("two")) as devices:
        assert len(processes(place)) >= 3
        assert all(device.host.startswith("127.") for device in devices.devices)

    assert processes(place) == []
    assert folders(place) == []


@pytest.mark.parametrize("url", KINDS)
def test_everything_listens_on_loopback_only(url: str, place: Path) -> None:
    with network(url, Device("one")):
        ours = {int(line.split()[0]) for line in processes(place)}
        heard = [
            connection.laddr.ip
            for connection in psutil.net_connections("inet")
            if connection.pid in ours and connection.laddr
        ]
        assert heard
        assert [address for address in heard if not address.startswith("127.")] == []


def test_the_control_socket_is_ours_alone() -> None:
    with Snmp.serve(Location()) as service:
        assert service.guarded.folder.stat().st_mode & 0o077 == 0
        assert service.address.control.startswith(str(service.guarded.folder))


def test_a_bad_order_is_answered_with_an_error() -> None:
    with Snmp.serve(Location()) as service, ExitStack() as stack:
        control = Control(service.address.control)
        stack.callback(control.close)
        with pytest.raises(CannotRun, match="cannot be set up"):
            control.ask("remember", device=7, version="1")
        assert control.ask("devices") == {"devices": [], "ended": 0}
