"""Kill consumers of a log in the middle of a batch, and count what is lost or written twice.

    python benchmarks/queue_kills.py            # 500 kills of the probe's own fix
    python benchmarks/queue_kills.py --short    # 50
    python benchmarks/queue_kills.py --short --way write-then-acknowledge
    python benchmarks/queue_kills.py --short --way acknowledge-then-write --between

A consumer is a process. It tells of each message that it works on; at a random one it gets
SIGKILL, which it cannot see coming. The next one takes over what the killed one had read and not
finished. Kills that met no unfinished message are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from perfkit.backends.valkey import Address, Valkey
from perfkit.model import Location
from perfkit.probes import queue_consume as probe
from perfkit.probes.queue_consume import Entry, Log

BATCH = 20
SUPPLY = 3 * BATCH
"""New messages for each consumer, so that none runs out of work before it is killed."""

Finish = Callable[[Valkey, Any, Sequence[Entry]], None]
Between = Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    kills: int
    """Those that met messages which were read and not finished."""
    missed: int
    """Those that met none."""
    messages: int
    unfinished: int
    """Messages that a successor took over."""
    lost: int
    twice: int

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in the middle of a batch ({self.missed} others), "
            f"{self.messages:,} messages, {self.unfinished:,} taken over: "
            f"{self.lost} lost, {self.twice} written twice"
        )


def write_then_acknowledge(
    queue: Valkey, client: Any, entries: Sequence[Entry], between: Between
) -> None:
    """Finish in two steps: whoever is killed between them has written twice in the end."""
    client.rpush(queue.key(probe.RESULTS), *map(probe.enrich, entries))
    between()
    client.xack(queue.key(probe.ORDERS), probe.GROUP, *(number for number, _ in entries))


def acknowledge_then_write(
    queue: Valkey, client: Any, entries: Sequence[Entry], between: Between
) -> None:
    """Finish in two steps: whoever is killed between them has lost the batch."""
    client.xack(queue.key(probe.ORDERS), probe.GROUP, *(number for number, _ in entries))
    between()
    client.rpush(queue.key(probe.RESULTS), *map(probe.enrich, entries))


def together(queue: Valkey, client: Any, entries: Sequence[Entry], between: Between) -> None:
    """Finish as the probe's fix does, in one transaction; the kill comes before it."""
    between()
    probe.finish(queue, client, entries)


WAYS = {
    way.__name__.replace("_", "-"): way
    for way in (together, write_then_acknowledge, acknowledge_then_write)
}


class Nursery:
    """A process that forks consumers: each costs a fork, not a start of Python."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def start(self, way: str, *, last: bool = False, dies: bool = False) -> int:
        """Start a consumer; the `last` one ends by itself, one that `dies` kills itself."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([way, last, dies]).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._line())

    def watch(self, messages: int) -> None:
        """Return when the consumer has worked on so many messages, or has no more."""
        while messages and self._byte() == b".":
            messages -= 1

    def wait(self) -> int:
        """Return how the consumer ended."""
        line = b""
        while not line.startswith(b"ended "):
            line = self._line().lstrip(b".!")
        return int(line.split()[1])

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._byte()
        return line

    def _byte(self) -> bytes:
        assert self._process.stdout is not None
        byte = self._process.stdout.read(1)
        assert byte, "the nursery ended"
        return byte


@contextmanager
def nursery(address: Address) -> Iterator[Nursery]:
    """Start a nursery whose consumers connect to this address."""
    with subprocess.Popen(
        [sys.executable, __file__, "--nursery"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        assert process.stdin is not None
        told = [dict(address.options), address.prefix, address.owned, address.title]
        process.stdin.write(json.dumps(told).encode() + b"\n")
        yield Nursery(process)
        process.stdin.close()


def nurse() -> None:
    """Fork a consumer for each line of the input, and tell how it ended."""
    address = Address(*json.loads(sys.stdin.readline()))
    for number, line in enumerate(sys.stdin):
        way, last, dies = json.loads(line)
        child = os.fork()
        if not child:
            try:
                consumer(address, f"consumer-{number:04}", WAYS[way], last=last, dies=dies)
            except BaseException:  # noqa: BLE001 (a forked child must not run on as its parent)
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        os.write(1, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, f"\nended {os.waitstatus_to_exitcode(status)}\n".encode())


def consumer(
    address: Address, name: str, way: Callable[..., None], *, last: bool, dies: bool
) -> None:
    """Take over what is unfinished, then read on; tell of each message, and of the end."""
    enrich = probe.enrich

    def told(entry: Entry) -> str:
        os.write(1, b".")
        return enrich(entry)

    def between() -> None:
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    probe.enrich = told
    with Valkey.connect(address) as queue:
        for entries in probe.take_over(queue, queue.client, name, BATCH, idle=0):
            way(queue, queue.client, entries, between)
        while entries := probe.read(queue, queue.client, name, BATCH):
            way(queue, queue.client, entries, between)
    os.write(1, b"!")
    if not last:
        # Whoever is to be killed does not end before.
        signal.pause()


def unfinished(queue: Valkey) -> int:
    """Return how many messages were read and not acknowledged."""
    return int(queue.client.xpending(queue.key(probe.ORDERS), probe.GROUP)["pending"])


def run(
    address: Address, kills: int, way: str = "together", *, seed: int = 0, between: bool = False
) -> Outcome:
    """Kill so many consumers, at random or `between` the two steps; let one finish; look."""
    draw = random.Random(seed)
    counted = missed = sent = taken = 0
    with Valkey.connect(address) as queue, nursery(address) as consumers:
        queue.client.unlink(queue.key(probe.ORDERS))
        probe.fill(queue, Log(messages=1))
        sent = 1
        probe.rewind(queue, Log())
        while counted < kills:
            with queue.client.pipeline(transaction=False) as pipe:
                for order in range(sent, sent + SUPPLY):
                    probe.send(pipe, queue, order)
                pipe.execute()
            sent += SUPPLY
            process = consumers.start(way, dies=between)
            if not between:
                consumers.watch(draw.randrange(1, SUPPLY))
                os.kill(process, signal.SIGKILL)
            ended = consumers.wait()
            assert ended == -signal.SIGKILL, f"a consumer ended with {ended}"
            left = unfinished(queue)
            taken += left
            counted, missed = counted + bool(left or between), missed + (not left and not between)
            assert missed <= kills + 20, "hardly a kill meets unfinished messages: try --between"
        consumers.start(way, last=True)
        assert consumers.wait() == 0
        assert unfinished(queue) == 0
        written = Counter(queue.client.lrange(queue.key(probe.RESULTS), 0, -1))
    return Outcome(
        kills=counted,
        missed=missed,
        messages=sent,
        unfinished=taken,
        lost=sent - len(written),
        twice=written.total() - len(written),
    )


def main() -> None:
    """Run it on a server of perfkit's own, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="50 kills instead of 500")
    parser.add_argument("--way", choices=WAYS, default="together")
    parser.add_argument(
        "--between", action="store_true", help="between the two steps, not at random"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nursery", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.nursery:
        nurse()
        return
    with Valkey.serve(Location()) as service:
        print(service.component)
        kills = 50 if options.short else 500
        print(
            run(
                *(service.address, kills, options.way),
                seed=options.seed,
                between=options.between,
            )
        )


if __name__ == "__main__":
    main()
