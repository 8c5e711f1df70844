"""Bring SNMP devices up: a network of our own agents, or a relay in front of the user's."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from perfkit.backends import snmp_daemon, snmp_network
from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.snmp import ASKED, UPTIME, Address, Control, Poller, login_at
from perfkit.errors import CannotRun, ComponentLost, NoAnswer, Refused, UsageError
from perfkit.extras import require
from perfkit.loopback import is_here
from perfkit.model import Location
from perfkit.result import Component
from perfkit.snmp import poll
from perfkit.snmp.target import Target, read

DEVICE = "PERFKIT_SNMP_DEVICE"
"""The variable that names a backend where the command line does not."""
PATIENCE = 20.0
"""Seconds for the network's process to take orders."""
EMBEDDED, DAEMON, YOURS = "agent", "snmpd", "yours"
PLACES = {EMBEDDED: "embedded", DAEMON: "system binaries", YOURS: "yours, as fast as it is"}


@dataclass(frozen=True, slots=True)
class SnmpService:
    """A network that takes orders."""

    address: Address
    guarded: Guarded
    rtt_asked: float

    @property
    def component(self) -> Component:
        """What the devices are by now: a probe's setup installs ours."""
        with closing(Control(self.address.control)) as control:
            places = control.ask("devices")["devices"]
            distance = self._distance(control, places) if places else None
        spoken = sorted({place["version"] for place in places})
        speaks = " and ".join(f"SNMPv{version}" for version in spoken)
        modelled = any(place["modelled"] for place in places)
        kind = self.address.kind
        place = PLACES[kind] + ("; service time MODELLED" if modelled else "")
        return Component(
            product={EMBEDDED: "pysnmp agent", DAEMON: "snmpd", YOURS: "SNMP device"}[kind],
            version=", ".join(filter(None, (_version(kind), speaks))),
            place=place if len(places) <= 1 else f"{len(places)} devices, {place}",
            rtt=distance,
            rtt_asked=self.rtt_asked,
        )

    def _distance(self, control: Control, places: list[dict[str, Any]]) -> float | None:
        """Return the median time of a GET without that of the device, in seconds.

        Of a user's device nobody knows that: it is the time of a GET, all of it.
        """
        device = login_at(self.address.login, places[0])
        took = []
        control.ask("count")
        try:
            with closing(Poller()) as poller:
                for _ in range(ASKED):
                    begun = time.perf_counter()
                    poller.get(device, UPTIME)
                    took.append(time.perf_counter() - begun)
        except (NoAnswer, Refused):
            return None
        tally = control.ask("counted")["tallies"][0]
        service = tally["busy"] / tally["served"] if tally["served"] else 0.0
        return max(0.0, median(took) - service)

    def check(self) -> None:
        """Raise ComponentLost when the network, or an agent in it, has ended."""
        try:
            with closing(Control(self.address.control)) as control:
                ended = control.ask("devices")["ended"]
        except CannotRun:
            ended = True
        if ended:
            raise ComponentLost(
                "an SNMP agent went away in the middle of the run",
                why=self.guarded.log(),
                fix="run it again; if it happens again, look at the machine's memory",
            )


def _version(kind: str) -> str:
    if kind == EMBEDDED:
        return version("pysnmp")
    return snmp_daemon.version() if kind == DAEMON else ""


@contextmanager
def serve(location: Location) -> Iterator[SnmpService]:
    """Yield a network; raises UsageError, CannotRun and MissingExtra, as `Snmp.serve` says."""
    for package in ("pysnmp", "gufo.snmp", "cryptography"):
        require(package, "snmp")
    targets: tuple[Target, ...] = ()
    url = location.url or os.environ.get(DEVICE, "")
    if url in {"", "embedded"}:
        kind = EMBEDDED
    elif url == "snmpd":
        kind = DAEMON
        snmp_daemon.find()
    else:
        kind, targets = YOURS, read(url)
        for target in targets:
            _refuse_remote(target, allowed=location.allow_remote)
    login = targets[0] if targets else _own_login()
    with Guarded("snmp") as guarded:
        control = guarded.folder / "control"
        guarded.start(
            Order(
                command=[
                    *(sys.executable, "-P", snmp_network.__file__),
                    *(str(guarded.folder), repr(location.rtt)),
                ]
            )
        )
        _await_ready(guarded, control)
        service = SnmpService(Address(str(control), kind, login), guarded, location.rtt)
        if targets:
            _reach(service, targets)
        yield service


def _own_login() -> Target:
    return Target(
        host="127.0.0.1",
        community=secrets.token_hex(8),
        user="perfkit",
        auth_password=secrets.token_hex(16),
        privacy_password=secrets.token_hex(16),
        retries=1,
    )


def _refuse_remote(target: Target, *, allowed: bool) -> None:
    if not allowed and not is_here(target.host):
        raise CannotRun(
            f"the device at {target} is not on this machine",
            why="a probe sends it hundreds of requests on purpose",
            fix="use a device that may be asked, and say so with --allow-remote",
        )


def _await_ready(guarded: Guarded, control: Path) -> None:
    """Wait until the network takes orders; raises CannotRun."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and guarded.alive():
        try:
            with closing(Control(str(control))) as opened:
                opened.ask("devices")
        except CannotRun:
            # There is no event to wait for before the socket is there.
            time.sleep(0.01)
        else:
            return
    raise CannotRun("the network of SNMP devices did not start", why=guarded.log())


def _reach(service: SnmpService, targets: tuple[Target, ...]) -> None:
    """Open doors to the user's devices, and find out what each speaks; raises NoAnswer."""
    import asyncio

    from perfkit.snmp.session import Client

    async def ask(door: Target) -> str:
        client = Client()
        try:
            return await poll.detect(client, door)
        finally:
            client.close()

    with closing(Control(service.address.control)) as control:
        places = control.ask("reach", targets=[_resolve(target) for target in targets])["devices"]
        for number, (target, place) in enumerate(zip(targets, places, strict=True)):
            spoken = asyncio.run(ask(login_at(target, place)))
            control.ask("remember", device=number, version=spoken)


def _resolve(target: Target) -> tuple[str, int, str]:
    """Return the address of a device, and its name; raises UsageError where nobody knows it."""
    import socket

    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise UsageError(f"nobody knows the host of {target}", why=str(error.strerror)) from error
    return str(found[0][4][0]), target.port, str(target)
