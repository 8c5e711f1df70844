"""A relay in front of a Kafka broker that counts requests by their kind: run as a script.

It reads no more of a request than its length and its kind. Who connects to its control socket has
all requests counted from then on, and gets the figures when it has no more to say.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from perfkit.backends.relay import End, open_loop, serve
from perfkit.errors import CannotRun

KINDS: Mapping[int, str] = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    18: "ApiVersions",
}
"""What Kafka calls its requests, where a consumer sends them; the others keep their numbers."""
MALFORMED = "malformed"
HEAD = struct.Struct(">ih")
"""The length of what follows, and the kind of the request."""
SHORTEST, LONGEST = 8, 100 * 2**20
"""Bytes of a request: its fixed fields, and what brokers take at most by default."""
LAST_KIND = 127
"""Kafka has fewer kinds than that; a larger number is no request."""
PATIENCE = 10.0
"""Seconds for the relay to answer."""


class Requests:
    """Finds the requests in what a client sends, however it is cut."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0
        self.lost = False
        """Whether something came that is no request: nothing behind it can be found."""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the kind of each request that begins in these bytes, or ends its head there."""
        rest = memoryview(data)
        while rest and not self.lost:
            if self._left:
                step = min(self._left, len(rest))
                self._left -= step
                rest = rest[step:]
                continue
            missing = HEAD.size - len(self._head)
            self._head += rest[:missing]
            rest = rest[missing:]
            if len(self._head) == HEAD.size:
                yield self._begin(*HEAD.unpack(self._head))

    def _begin(self, length: int, kind: int) -> str:
        self._head.clear()
        self.lost = not (SHORTEST <= length <= LONGEST and 0 <= kind <= LAST_KIND)
        if self.lost:
            return MALFORMED
        # The length does not count itself, but the kind, which has come.
        self._left = length - HEAD.size + 4
        return KINDS.get(kind, str(kind))


class Counted(End):
    """The end towards a client: what it sends is counted on its way."""

    tallies: ClassVar[list[Counter[str]]] = []

    def __init__(self, delay: float, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(delay, loop)
        self._requests = Requests()

    def data_received(self, data: bytes) -> None:
        """Count what came, and send it on its way."""
        for kind in self._requests.feed(data):
            for tally in self.tallies:
                tally[kind] += 1
        super().data_received(data)


async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Count for as long as a client of the control socket stays; then tell it."""
    tally: Counter[str] = Counter()
    Counted.tallies.append(tally)
    try:
        writer.write(b"\n")
        await reader.read()
        writer.write(json.dumps(tally).encode())
        await writer.drain()
    finally:
        # Not remove(): two counts may be equal.
        Counted.tallies[:] = [other for other in Counted.tallies if other is not tally]
        writer.close()


@contextmanager
def counting(control: str) -> Iterator[dict[str, int]]:
    """Count requests inside the block; the dictionary is filled when it ends.

    Raises CannotRun where the relay is gone.
    """
    counted: dict[str, int] = {}
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(PATIENCE)
        with _explained():
            asking.connect(control)
            # An answer says that it counts.
            asking.recv(1)
        yield counted
        with _explained(), asking.makefile("rb") as answer:
            asking.shutdown(socket.SHUT_WR)
            counted.update(json.load(answer))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise CannotRun("the relay that counts is gone", why=str(error)) from error


def main() -> None:
    """Relay and count until stdin closes."""
    wish = json.loads(sys.stdin.readline())
    loop = open_loop()
    loop.run_until_complete(asyncio.start_unix_server(count, wish["control"]))
    loop.run_until_complete(serve(wish["target"], wish["delay"], Counted))


if __name__ == "__main__":
    main()
