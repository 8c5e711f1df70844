"""A network of SNMP devices on this machine: run as a script, under a guard.

Each device stands behind a door, a UDP relay on a loopback address of its own. The door counts
what passes, holds it back for the distance, and for a device of ours also for the time that such
a device takes. That time is MODELLED: the agents here are real, but answer in microseconds. One
request is served at a time, the others wait in a short queue, and what finds it full is dropped.

Orders come over a Unix socket, a JSON line each, and are answered with one.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from perfkit.backends import snmp_agent
from perfkit.backends.guard import die_with_us
from perfkit.backends.snmp_table import Device
from perfkit.errors import CannotRun, PerfkitError
from perfkit.snmp.message import Malformed, Message, Pdu, read

QUEUE = 64
"""Requests that wait at a device of ours; what comes on top is dropped, as in a small buffer."""
PATIENCE = 0.25
"""Seconds after which a device of ours goes on to the next request: it has dropped this one."""
SOCKETS = 600
"""Ways to devices that stay open; select() can watch 1,024 sockets."""
LARGEST = 65_535
ATTEMPTS = 20
Client = tuple[Any, ...]


@dataclass(slots=True)
class Tally:
    """What passed a door, both ways."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Requests by their type."""
    oids: int = 0
    """Variables in answers."""
    bytes_in: int = 0
    bytes_out: int = 0
    """Without each message's own number, whose length is left to chance."""
    retries: int = 0
    dropped: int = 0
    served: int = 0
    busy: float = 0.0
    """Seconds in which a device of ours worked on the requests it has served."""
    asked: dict[tuple[Client, str, int], bool] = field(default_factory=dict)
    """Every request, and whether it was answered."""
    clients: set[Client] = field(default_factory=set)
    """Who has asked: an answer to somebody else belongs to an earlier count."""

    def request(self, client: Client, datagram: bytes) -> None:
        """Count what a client sends."""
        self.clients.add(client)
        message = _read(datagram)
        kind = "malformed" if message is None else str(message.pdu)
        self.kinds[kind] += 1
        self.bytes_out += _size(datagram, message)
        if message is None:
            return
        key = client, message.version, message.request
        self.retries += key in self.asked
        self.asked.setdefault(key, False)

    def answer(self, client: Client, datagram: bytes) -> None:
        """Count what a device sends back."""
        if client not in self.clients:
            return
        message = _read(datagram)
        self.bytes_in += _size(datagram, message)
        if message is not None:
            self.oids += message.varbinds
            self.asked[client, message.version, message.request] = True

    def report(self) -> dict[str, Any]:
        """Return the figures for the control socket."""
        return {
            "kinds": dict(self.kinds),
            "oids": self.oids,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "retries": self.retries,
            "dropped": self.dropped,
            "lost": sum(not answered for answered in self.asked.values()),
            "served": self.served,
            "busy": self.busy,
        }


def _read(datagram: bytes) -> Message | None:
    try:
        return read(datagram)
    except Malformed:
        return None


def _size(datagram: bytes, message: Message | None) -> int:
    number = 0 if message is None else message.request
    return len(datagram) - (number.bit_length() // 8 + 1 if message is not None else 0)


@dataclass(frozen=True, slots=True)
class Service:
    """How long a device of ours takes: seconds for each request, and for each variable."""

    per_request: float
    per_oid: float


class Door:
    """The relay in front of one device."""

    def __init__(
        self,
        front: socket.socket,
        target: tuple[str, int],
        delay: float,
        service: Service | None,
        ways: OrderedDict[tuple[int, Client], Way],
    ) -> None:
        self.tally: Tally | None = None
        self._loop = asyncio.get_running_loop()
        self._front = front
        self._target = target
        self._delay = delay
        self._service = service
        self._ways = ways
        self._queue: deque[tuple[Client, bytes]] = deque()
        self._busy = False
        self._awaited: Way | None = None
        self._request: Message | None = None
        self._begun = 0.0
        self._timer: asyncio.TimerHandle | None = None
        front.settimeout(0)
        self._loop.add_reader(front.fileno(), self._receive)

    def close(self) -> None:
        """Close the door and every way through it."""
        self._loop.remove_reader(self._front.fileno())
        self._front.close()
        if self._timer is not None:
            self._timer.cancel()
        for key in [key for key in self._ways if key[0] == id(self)]:
            self._ways.pop(key).close()

    def _receive(self) -> None:
        for datagram, client in drain(self._front):
            if self.tally is not None:
                self.tally.request(client, datagram)
            self._later(self._arrive, client, datagram)

    def _later(self, step: Callable[[Client, bytes], None], client: Client, data: bytes) -> None:
        if self._delay:
            self._loop.call_later(self._delay, step, client, data)
        else:
            step(client, data)

    def _arrive(self, client: Client, datagram: bytes) -> None:
        if self._service is None:
            self._way(client).send(datagram)
        elif len(self._queue) < QUEUE:
            self._queue.append((client, datagram))
            if not self._busy:
                self._serve()
        elif self.tally is not None:
            self.tally.dropped += 1

    def _serve(self) -> None:
        """Hand the next request to the device, if one waits."""
        self._busy, self._awaited = bool(self._queue), None
        if self._queue:
            client, datagram = self._queue.popleft()
            self._awaited, self._begun = self._way(client), self._loop.time()
            self._request = _read(datagram)
            self._timer = self._loop.call_later(PATIENCE, self._serve)
            self._awaited.send(datagram)

    def answered(self, way: Way, datagram: bytes) -> None:
        """Send the device's answer back: the one that is awaited when its time is over."""
        message = _read(datagram)
        if self._service is None or way is not self._awaited or not self._is_meant(message):
            self._later(self._reply, way.client, datagram)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = None
        oids = 0 if message is None else message.varbinds
        due = self._begun + self._service.per_request + oids * self._service.per_oid
        self._timer = self._loop.call_at(due, self._finish, way, datagram)

    def _is_meant(self, answer: Message | None) -> bool:
        """Say whether an answer is not, by its number, that to another request."""
        asked = self._request
        if asked is None or answer is None or answer.pdu is Pdu.REPORT:
            return True
        # Of an encrypted message we see another number than of a plain one.
        return (asked.pdu is Pdu.ENCRYPTED) != (answer.pdu is Pdu.ENCRYPTED) or (
            asked.request == answer.request
        )

    def _finish(self, way: Way, datagram: bytes) -> None:
        if self.tally is not None:
            self.tally.served += 1
            self.tally.busy += self._loop.time() - self._begun
        self._later(self._reply, way.client, datagram)
        self._serve()

    def _reply(self, client: Client, datagram: bytes) -> None:
        if self.tally is not None:
            self.tally.answer(client, datagram)
        # A client that is gone, or a full buffer: UDP promises nothing.
        _try(self._front.sendto, datagram, client)

    def _way(self, client: Client) -> Way:
        key = (id(self), client)
        if key not in self._ways:
            self._ways[key] = Way(self, client, self._target)
        self._ways.move_to_end(key)
        while len(self._ways) > SOCKETS:
            self._ways.popitem(last=False)[1].close()
        return self._ways[key]


class Way:
    """One client's way to one device: a socket of its own, so that answers find back."""

    def __init__(self, door: Door, client: Client, target: tuple[str, int]) -> None:
        self.client = client
        self._door = door
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.connect(target)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive)

    def send(self, datagram: bytes) -> None:
        """Send a request on; UDP promises nothing."""
        _try(self._socket.send, datagram)

    def close(self) -> None:
        """Close the socket."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _receive(self) -> None:
        for datagram, _ in drain(self._socket):
            self._door.answered(self, datagram)


def drain(readable: socket.socket) -> list[tuple[bytes, Client]]:
    """Return the datagrams that have come; an error that a former one met is none of them."""
    found = []
    try:
        while True:
            found.append(readable.recvfrom(LARGEST))
    except OSError:
        return found


def _try(send: Callable[..., object], *words: object) -> None:
    try:
        send(*words)
    except OSError:
        return


class Network:
    """The devices, their doors and their agents."""

    def __init__(self, folder: Path, delay: float) -> None:
        self._folder = folder
        self._delay = delay
        self._doors: list[Door] = []
        self._ways: OrderedDict[tuple[int, Client], Way] = OrderedDict()
        self._agents: list[subprocess.Popen[str]] = []
        self._places: list[dict[str, Any]] = []
        # Asked to end, snmpd would write its file again, into a folder that may be gone by then.
        self._dies = die_with_us(signal.SIGKILL)

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Do what an order says, and return the answer to it; raises CannotRun."""
        match order["do"]:
            case "install":
                devices = [
                    Device(**{**words, "neighbours": tuple(words["neighbours"])})
                    for words in order["devices"]
                ]
                self._install(devices, order["kind"], order["secrets"], router=order["router"])
            case "reach":
                self._reach([(host, port) for host, port, _ in order["targets"]])
                for place, (*_, called) in zip(self._places, order["targets"], strict=True):
                    place["called"] = called
            case "remember":
                self._places[order["device"]]["version"] = order["version"]
            case "count":
                for door in self._doors:
                    door.tally = Tally()
            case "counted":
                tallies = [door.tally.report() for door in self._doors if door.tally is not None]
                for door in self._doors:
                    door.tally = None
                return {"tallies": tallies}
        ended = sum(agent.poll() is not None for agent in self._agents)
        return {"devices": self._places, "ended": ended}

    def _install(
        self, devices: Sequence[Device], kind: str, secrets: Mapping[str, str], *, router: bool
    ) -> None:
        """Start the agents, each behind a door; what was there before is gone."""
        self._clear()
        fronts = bind(len(devices))
        if router:
            others = tuple(front.getsockname()[0] for front in fronts[1:])
            devices = [replace(devices[0], neighbours=others), *devices[1:]]
        for device, front, port in zip(
            devices, fronts, self._start(devices, kind, secrets), strict=True
        ):
            service = Service(device.per_request, device.per_oid)
            self._open(front, ("127.0.0.1", port), service, device.version)

    def _reach(self, targets: Sequence[tuple[str, int]]) -> None:
        """Open doors to devices of the user's."""
        self._clear()
        for front, target in zip(bind(len(targets)), targets, strict=True):
            self._open(front, target, None, "")

    def _open(
        self, front: socket.socket, target: tuple[str, int], service: Service | None, version: str
    ) -> None:
        host, port = front.getsockname()
        self._doors.append(Door(front, target, self._delay, service, self._ways))
        modelled = service is not None and bool(service.per_request or service.per_oid)
        self._places.append(
            {
                "host": host,
                "port": port,
                "target": target,
                "called": "",
                "version": version,
                "modelled": modelled,
            }
        )

    def _start(self, devices: Sequence[Device], kind: str, secrets: Mapping[str, str]) -> list[int]:
        if kind == "snmpd":
            free = find_ports(len(devices))
            for device, port in zip(devices, free, strict=True):
                self._start_daemon(device, port, secrets)
            return free
        agent = subprocess.Popen(
            [sys.executable, "-P", snmp_agent.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._agents.append(agent)
        if agent.stdin is None or agent.stdout is None:
            raise AssertionError
        order = {"path": sys.path, **secrets, "devices": [asdict(device) for device in devices]}
        agent.stdin.write(json.dumps(order) + "\n")
        agent.stdin.flush()
        line = agent.stdout.readline()
        if not line:
            raise CannotRun("the SNMP agent did not start", why=f"it ended with {agent.wait()}")
        ports: list[int] = json.loads(line)["ports"]
        return ports

    def _start_daemon(self, device: Device, port: int, secrets: Mapping[str, str]) -> None:
        from perfkit.backends import snmp_daemon

        folder = Path(mkdtemp(prefix="snmpd-", dir=self._folder))
        command, environment = snmp_daemon.prepare(folder, device, port, secrets)
        self._agents.append(
            subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                text=True,
                start_new_session=True,
                # Safe here: this process has one thread.
                preexec_fn=self._dies,  # noqa: PLW1509
            )
        )

    def _clear(self) -> None:
        for door in self._doors:
            door.close()
        self.end()
        self._doors.clear()
        self._places.clear()
        self._agents.clear()

    def end(self) -> None:
        """End the agents, and wait until they have."""
        for agent in self._agents:
            agent.terminate()
        for agent in self._agents:
            try:
                agent.wait(5)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait()


def find_ports(number: int) -> list[int]:
    """Return so many UDP ports of 127.0.0.1 that are free, all different."""
    with ExitStack() as stack:
        ports = []
        for _ in range(number):
            # Kept until the last is found: the kernel may give a free one twice.
            kept = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            kept.bind(("127.0.0.1", 0))
            ports.append(kept.getsockname()[1])
        return ports


def bind(number: int) -> list[socket.socket]:
    """Bind so many UDP sockets, each on a loopback address of its own, all to one port."""
    for attempt in range(ATTEMPTS):
        # Not 127.0.*.*, where others expect to be alone.
        subnet = f"127.{random.randrange(1, 255)}"  # noqa: S311 (no secret)
        fronts: list[socket.socket] = []
        port = 0
        try:
            for place in range(number):
                front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                fronts.append(front)
                front.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
                front.bind((f"{subnet}.{place // 250}.{place % 250 + 1}", port))
                port = front.getsockname()[1]
        except OSError:
            for front in fronts:
                front.close()
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return fronts
    raise AssertionError


async def listen(network: Network, path: str) -> None:
    """Take orders over the Unix socket until cancelled."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = network.obey(json.loads(line))
                except PerfkitError as error:
                    answer = {"failed": error.what, "why": error.why, "fix": error.fix}
                # Whatever it is, who asked must hear of it.
                except Exception as error:  # noqa: BLE001
                    answer = {"failed": "the network of devices cannot be set up"}
                    answer |= {"why": f"{type(error).__name__}: {error}", "fix": ""}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_unix_server(take, path, limit=2**22)
    await server.serve_forever()


def main() -> None:
    """Run the network in a folder, with a round-trip time in seconds, until a signal."""
    folder, rtt = Path(sys.argv[1]), float(sys.argv[2])
    # select() keeps microseconds; epoll, the default, rounds every delay up to milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    network = Network(folder, rtt / 2)

    def end() -> None:
        network.end()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.run_until_complete(listen(network, str(folder / "control")))


if __name__ == "__main__":
    main()
