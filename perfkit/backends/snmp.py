"""SNMP devices as a probe's functions see them: ready to be asked, and counted on the wire.

| work                     | witness                                       | also                  |
|--------------------------|-----------------------------------------------|-----------------------|
| requests                 | the relay: datagrams to devices               | the agent: snmpInPkts |
| get, getnext, getbulk    | the relay: requests by their type             |                       |
| oids                     | the relay: variables in answers               |                       |
| bytes_in, bytes_out      | the relay, without each message's own number  |                       |
| retries                  | the relay: requests that were sent before     |                       |
| lost                     | the relay: requests that nobody answered      |                       |

Under SNMPv3 a retry looks like another request, and with privacy the relay sees neither types nor
variables: then nobody counts these. Bringing devices up is the part of `snmp_service`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from queue import SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from perfkit.errors import CannotRun, NoAnswer, NotApplicable
from perfkit.extras import require
from perfkit.model import Bound, Tally
from perfkit.snmp import poll
from perfkit.snmp.target import Target

if TYPE_CHECKING:
    from gufo.snmp.sync import SnmpSession

    from perfkit.backends.snmp_service import SnmpService
    from perfkit.backends.snmp_table import Device
    from perfkit.model import Location
    from perfkit.snmp.session import Client, Session, Varbind

WIRE, AGENT = "relay", "snmpInPkts"
KINDS, ENCRYPTED = ("GET", "GETNEXT", "GETBULK"), "ENCRYPTED"
PACKETS = "1.3.6.1.2.1.11.1.0"
"""How many messages an agent has received, itself included."""
UPTIME = "1.3.6.1.2.1.1.3.0"
ASKED = 11
"""Requests whose median is the time of one."""
PATIENCE = 60.0
"""Seconds for the network's process to obey an order."""
READY = 60
"""Attempts, of a quarter of a second each, for an agent to answer."""


@dataclass(frozen=True, slots=True)
class Address:
    """How a worker finds the devices and speaks to them."""

    control: str
    """The Unix socket of the network's process."""
    kind: str
    """`agent`, `snmpd` or `yours`."""
    login: Target
    """What every device wants to hear, with its secrets; where it is comes from the network."""


class Control:
    """Orders to the network's process, and its answers."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise CannotRun("the network of devices is gone", why=str(error)) from error
        self._lines = self._socket.makefile("rb")

    def ask(self, do: str, **words: object) -> dict[str, Any]:
        """Give an order and wait for the answer; raises CannotRun with what went wrong."""
        try:
            self._socket.sendall(json.dumps({"do": do, **words}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise CannotRun("the network of devices is gone", why=str(error)) from error
        if not line:
            raise CannotRun("the network of devices is gone", why="its process ended")
        heard: dict[str, Any] = json.loads(line)
        if "failed" in heard:
            raise CannotRun(heard["failed"], why=heard["why"], fix=heard["fix"])
        return heard

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


class Poller:
    """A client of its own, for one thread: asks, and waits for the answer."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        self._sessions: dict[Target, Session] = {}

    def close(self) -> None:
        """Close what is open."""
        if self._client is not None:
            self._client.close()
        self._runner.close()

    async def session(self, device: Target) -> Session:
        """Return the session with a device, opened when it is first asked for."""
        if self._client is None:
            from perfkit.snmp.session import Client

            self._client = Client()
        if device not in self._sessions:
            self._sessions[device] = await self._client.open(device)
        return self._sessions[device]

    def get(self, device: Target, *oids: str) -> list[Varbind]:
        """Ask for values in one GET."""

        async def ask() -> list[Varbind]:
            return await (await self.session(device)).get(*oids)

        found: list[Varbind] = self._runner.run(ask())
        return found

    def for_each(
        self, devices: Sequence[Target], ask: Callable[[Session], Awaitable[list[Varbind]]]
    ) -> list[list[Varbind]]:
        """Ask all devices at once; the answers come in the order of the devices."""

        async def asked() -> list[list[Varbind]]:
            sessions = [await self.session(device) for device in devices]
            return await asyncio.gather(*(ask(session) for session in sessions))

        return self._runner.run(asked())


@dataclass(frozen=True, slots=True)
class Pool:
    """Some pollers, for as many threads."""

    pollers: SimpleQueue[Poller] = field(default_factory=SimpleQueue)

    @contextmanager
    def poller(self) -> Iterator[Poller]:
        """Borrow one."""
        poller = self.pollers.get()
        try:
            yield poller
        finally:
            self.pollers.put(poller)


class Snmp:
    """Devices as a probe's functions see them.

    `devices` are reached through the relay. What a device takes for a request is MODELLED for
    ours, and its own affair for yours.
    """

    def __init__(self, control: Control, address: Address, stack: ExitStack) -> None:
        self.found: dict[Target, list[str]] = {}
        """The OIDs of each device that a probe has looked up."""
        self._control = control
        self._address = address
        self._stack = stack
        self._poller = stack.enter_context(closing(Poller()))
        self._pools: dict[int, Pool] = {}
        self._compiled: dict[Target, SnmpSession] = {}
        self._places: list[dict[str, Any]] = control.ask("devices")["devices"]

    @classmethod
    def serve(cls, location: Location) -> AbstractContextManager[SnmpService]:
        """Prepare a network for the devices that a probe installs, or reach the user's.

        The user's are at `location.url` or in the variable PERFKIT_SNMP_DEVICE, such as
        snmp://community@host:port; `snmpd` stands for net-snmp's agent. Raises UsageError (the
        URL cannot be read), CannotRun (no answer, not allowed) and MissingExtra.
        """
        from perfkit.backends.snmp_service import serve

        return serve(location)

    @classmethod
    @contextmanager
    def connect(cls, address: Address) -> Iterator[Self]:
        """Go to the network; every session closes with the block."""
        with ExitStack() as stack:
            control = stack.enter_context(closing(Control(address.control)))
            yield cls(control, address, stack)

    @property
    def owned(self) -> bool:
        """Whether the devices are ours."""
        return self._address.kind != "yours"

    @property
    def devices(self) -> tuple[Target, ...]:
        """The devices as they are reached through the relay."""
        return tuple(self._target(place, place["host"], place["port"]) for place in self._places)

    def _target(self, place: Mapping[str, Any], host: str, port: int) -> Target:
        place = {**place, "host": host, "port": port}
        return login_at(self._address.login, place)

    def install(self, devices: Sequence[Device], *, router: bool = False) -> None:
        """Set devices of ours up and wait until they answer; the user's are what they are.

        The first is a `router` when its table of neighbours names the others. Raises CannotRun.
        """
        if not self.owned:
            if len(devices) != len(self._places):
                raise CannotRun(
                    f"this needs {len(devices)} devices, and yours are {len(self._places)}",
                    fix=f"-s devices={len(self._places)}",
                )
            return
        login = self._address.login
        heard = self._control.ask(
            "install",
            kind=self._address.kind,
            devices=[asdict(device) for device in devices],
            router=router,
            secrets={
                "community": login.community,
                "user": login.user,
                "auth_password": login.auth_password,
                "privacy_password": login.privacy_password,
            },
        )
        self._places = heard["devices"]
        with closing(Poller()) as poller:
            for place in self._places:
                # Past the relay: distance and service time would only be waited for.
                agent = self._target(place, *place["target"])
                self._await(poller, replace(agent, timeout=0.25, retries=0))

    def _await(self, poller: Poller, device: Target) -> None:
        """Return when a device answers; raises CannotRun when it does not, or its agent ended."""
        for _ in range(READY):
            try:
                poller.get(device, UPTIME)
            except NoAnswer:
                if self._control.ask("devices")["ended"]:
                    break
            else:
                return
        raise CannotRun(
            "an SNMP agent did not start", why="it ended, or answers nothing", fix="perfkit doctor"
        )

    def get(self, device: Target, *oids: str) -> list[Varbind]:
        """Ask for values in one GET."""
        return self._poller.get(device, *oids)

    def get_all(self, device: Target, oids: Sequence[str], *, at_once: int) -> list[Varbind]:
        """Ask for values, many in one GET."""

        async def ask(session: Session) -> list[Varbind]:
            return await poll.get_all(session, oids, at_once)

        return self._poller.for_each([device], ask)[0]

    def walk_columns(
        self, device: Target, entry: str, columns: Sequence[int], rows: int, repetitions: int = 1
    ) -> list[Varbind]:
        """Walk the first rows of a table, a row a GETNEXT, or `repetitions` rows a GETBULK.

        Raises NotApplicable where there is no GETBULK.
        """

        async def ask(session: Session) -> list[Varbind]:
            if repetitions > 1:
                require_bulk(session)
            return await poll.walk_columns(session, entry, columns, rows, repetitions)

        return self._poller.for_each([device], ask)[0]

    def at_once(
        self,
        ask: Callable[[Session], Awaitable[list[Varbind]]],
        devices: Sequence[Target] | None = None,
    ) -> list[list[Varbind]]:
        """Ask all devices at once, or these of them, one request at a time each."""
        return self._poller.for_each(self.devices if devices is None else devices, ask)

    def pool(self, threads: int, *, at_most: int) -> Pool:
        """Return pollers for so many threads; opened on the first call, closed with us.

        A device of yours gets `at_most` requests at once; with one, raises NotApplicable.
        """
        size = threads if self.owned else min(threads, at_most)
        if size < threads and size == 1:
            raise NotApplicable(
                "a device of yours gets one request at a time, unless -s in_flight=4 allows more"
            )
        if size not in self._pools:
            pool = Pool()
            for _ in range(size):
                poller = self._stack.enter_context(closing(Poller()))
                for device in self.devices:
                    poller.get(device, UPTIME)
                pool.pollers.put(poller)
            self._pools[size] = pool
        return self._pools[size]

    def compiled(self, device: Target) -> SnmpSession:
        """Return a session of gufo-snmp, a client written in Rust; raises MissingExtra."""
        if device not in self._compiled:
            session = compiled_session(device)
            self._stack.enter_context(session)
            self._compiled[device] = session
        return self._compiled[device]

    def get_compiled(self, device: Target, oid: str) -> object:
        """Ask for a value with the compiled client, and again as often as ours would."""
        for _ in range(device.retries):
            with suppress(TimeoutError):
                return self.compiled(device).get(oid)
        try:
            return self.compiled(device).get(oid)
        except TimeoutError:
            raise NoAnswer(f"no answer from {device} to GET {oid}") from None

    def bound(self, threads: int) -> Bound | None:
        """Predict what so many requests in flight can gain at most, from the time of single ones.

        None where nobody knows how long a device works. Little's law: while a device works on one
        request, only 1 + travel / service of them can be under way.
        """
        if not self.owned or not self.devices:
            return None
        self._control.ask("count")
        took = []
        for _ in range(ASKED):
            begun = time.perf_counter()
            self.get(self.devices[0], UPTIME)
            took.append(time.perf_counter() - begun)
        tally = self._control.ask("counted")["tallies"][0]
        if not tally["served"]:
            return None
        service = tally["busy"] / tally["served"]
        travel = max(0.0, median(took) - service)
        together = len(self.devices) * (1 + travel / service)
        reason = f"1 + {1e3 * travel:.2g} ms travel / {1e3 * service:.2g} ms service"
        if len(self.devices) > 1:
            reason = f"{len(self.devices)} devices × ({reason})"
        if threads < together:
            return Bound(threads, f"{threads} threads")
        return Bound(together, reason)

    @contextmanager
    def counting(self) -> Iterator[dict[str, Tally]]:
        """Count requests, variables, bytes, retries and losses inside the block."""
        work: dict[str, Tally] = {}
        received = self._received()
        self._control.ask("count")
        yield work
        tallies = self._control.ask("counted")["tallies"]
        # Asking again takes two messages for each device.
        agents = None if received is None else (self._received() or 0) - received - 2 * len(tallies)
        requests = sum(sum(tally["kinds"].values()) for tally in tallies)
        work["requests"] = Tally(requests, WIRE, {} if agents is None else {AGENT: agents})
        for name in ("bytes_in", "bytes_out", "lost"):
            work[name] = Tally(sum(tally[name] for tally in tallies), WIRE)
        if any(ENCRYPTED in tally["kinds"] for tally in tallies):
            return
        for kind in KINDS:
            work[kind.lower()] = Tally(sum(t["kinds"].get(kind, 0) for t in tallies), WIRE)
        work["oids"] = Tally(sum(tally["oids"] for tally in tallies), WIRE)
        if not any(place["version"] == "3" for place in self._places):
            work["retries"] = Tally(sum(tally["retries"] for tally in tallies), WIRE)

    def _received(self) -> int | None:
        """Ask the agents themselves, past the relay, how many messages came; None for yours."""
        if not self.owned:
            return None
        total = 0
        for place in self._places:
            device = self._target(place, *place["target"])
            # The first may cost more than one message, under SNMPv3.
            self._poller.get(device, UPTIME)
            value = self._poller.get(device, PACKETS)[0].value
            if not isinstance(value, int):
                return None
            total += value
        return total


def login_at(login: Target, place: Mapping[str, Any]) -> Target:
    """Return how to speak to the device at a place, as the network's process describes it."""
    return replace(
        login,
        host=place["host"],
        port=place["port"],
        version=place["version"] or login.version,
        behind=place["called"],
    )


def require_bulk(session: Session) -> None:
    """Raise NotApplicable for a device that has no GETBULK."""
    if session.target.version == "1":
        raise NotApplicable("the device speaks SNMPv1, which has no GETBULK")


def compiled_session(device: Target) -> SnmpSession:
    """Return a session of gufo-snmp that is not open yet.

    Raises MissingExtra, and NotApplicable where it lacks the protocols of SNMPv3.
    """
    gufo = require("gufo.snmp", "snmp")
    client = require("gufo.snmp.sync", "snmp")
    login: dict[str, Any] = {
        "community": device.community,
        "version": gufo.SnmpVersion.v1 if device.version == "1" else gufo.SnmpVersion.v2c,
    }
    if device.version == "3":
        auths = {"SHA": gufo.Sha1Key, "MD5": gufo.Md5Key}
        privacies = {"AES": gufo.Aes128Key, "DES": gufo.DesKey, "none": lambda _: None}
        if device.auth not in auths or device.privacy not in privacies:
            raise NotApplicable(f"gufo-snmp knows no {device.auth} with {device.privacy}")
        login = {
            "user": gufo.User(
                device.user,
                auth_key=auths[device.auth](device.auth_password.encode()),
                priv_key=privacies[device.privacy](device.privacy_password.encode()),
            )
        }
    session: SnmpSession = client.SnmpSession(
        device.host, port=device.port, timeout=device.timeout, **login
    )
    return session
