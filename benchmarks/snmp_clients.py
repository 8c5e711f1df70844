"""Who reads a table of one device: perfkit's poller, net-snmp's programs and the compiled client.

All are called alike, return what they found, and are checked for the same OIDs off the clock.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from missing_number_rounds import Rounds, timed

from perfkit.backends.snmp import Poller, compiled_session
from perfkit.snmp import poll
from perfkit.snmp.session import Session, Varbind

if TYPE_CHECKING:
    from gufo.snmp.sync import SnmpSession as Compiled

    from perfkit.snmp.target import Target

TABLE = "1.3.6.1.2.1.2.2"
"""ifTable, which has 22 columns."""
ENTRY, COLUMNS = f"{TABLE}.1", range(1, 23)
UPTIME = "1.3.6.1.2.1.1.3.0"
START = "snmpget"
"""What it takes to start one of net-snmp's programs, and one round trip."""
WALK = "snmpbulkwalk"
SIZES = (10, 25, 50)
EACH = ("perfkit, GET per OID", "compiled, GET per OID")
"""Who needs a round trip an OID."""


@dataclass(frozen=True)
class Contender:
    """How to read the table, and which OIDs are in what that returns."""

    read: Callable[[], Any]
    oids: Callable[[Any], list[str]]


def contenders(target: Target, rows: int, stack: ExitStack) -> dict[str, Contender]:
    """Return everybody who can run here; what they hold open is the stack's."""
    from gufo.snmp.aio import SnmpSession

    poller = stack.enter_context(closing(Poller()))
    runner = stack.enter_context(asyncio.Runner())
    compiled = stack.enter_context(compiled_session(target))
    compiled_async = SnmpSession(target.host, target.port, target.community, timeout=target.timeout)
    oids = [f"{ENTRY}.{column}.{row}" for column in COLUMNS for row in range(1, rows + 1)]

    def ours(ask: Callable[[Session], Awaitable[list[Varbind]]]) -> Contender:
        return Contender(lambda: poller.for_each([target], ask)[0], named)

    async def get_each(session: Session) -> list[Varbind]:
        return [(await session.get(oid))[0] for oid in oids]

    async def walk_compiled(size: int) -> list[tuple[str, Any]]:
        return [found async for found in compiled_async.getbulk(TABLE, size)]

    found = {EACH[0]: ours(get_each)}
    found["perfkit, GET x25"] = ours(lambda session: poll.get_all(session, oids, 25))
    for size in SIZES:
        found[f"perfkit, GETBULK {size}"] = ours(partial(poll.walk, root=TABLE, repetitions=size))
    found["perfkit, GETBULK 2 rows"] = ours(
        lambda session: poll.walk_columns(session, ENTRY, COLUMNS, rows, repetitions=2)
    )
    found[EACH[1]] = Contender(lambda: [(oid, compiled.get(oid)) for oid in oids], first)
    for size in SIZES[1:]:
        found[f"compiled, GETBULK {size}"] = Contender(
            partial(walk_in_compiled, compiled, size), first
        )
    found["compiled async, GETBULK 25"] = Contender(lambda: runner.run(walk_compiled(25)), first)
    return found | dict(programs(target))


def programs(target: Target) -> Iterator[tuple[str, Contender]]:
    """Yield net-snmp's programs, without the MIB files, which would take them longest."""
    if shutil.which(WALK) is None:
        return
    words = ["-v", "2c", "-c", target.community, "-m", "", "-t", f"{target.timeout:g}", "-OnQ"]
    place = f"udp:{target.host}:{target.port}"
    for size in SIZES[1:]:
        command = [WALK, *words, f"-Cr{size}", place, TABLE]
        yield f"{WALK} -Cr{size}", Contender(partial(printed, command), printed_oids)
    yield START, Contender(partial(printed, ["snmpget", *words, place, UPTIME]), printed_oids)


def named(found: Sequence[Varbind]) -> list[str]:
    """Return the OIDs of perfkit's varbinds."""
    return [varbind.oid for varbind in found]


def first(found: Sequence[tuple[str, Any]]) -> list[str]:
    """Return the OIDs of pairs."""
    return [oid for oid, _ in found]


def walk_in_compiled(session: Compiled, size: int) -> list[tuple[str, Any]]:
    """Walk the table with the compiled client."""
    return list(session.getbulk(TABLE, size))


def printed(command: Sequence[str]) -> str:
    """Run a program and return what it printed."""
    quiet = {**os.environ, "MIBS": ""}
    run = subprocess.run(command, env=quiet, check=True, capture_output=True, text=True)
    return run.stdout


def printed_oids(text: str) -> list[str]:
    """Return the OIDs at the start of each printed line."""
    return [line.partition(" ")[0].removeprefix(".") for line in text.splitlines()]


def take_turns(
    found: Mapping[str, Contender], rows: int, rounds: int, draw: random.Random
) -> Rounds:
    """Time every contender once a round, in random order, after a round that is not timed.

    Raises RuntimeError for one that did not read the whole table.
    """
    table = [f"{ENTRY}.{column}.{row}" for column in COLUMNS for row in range(1, rows + 1)]
    took: Rounds = {name: [] for name in found}
    for number in range(rounds + 1):
        for name in draw.sample(list(found), len(found)):
            once, answer = timed(found[name].read)
            require_whole(name, found[name].oids(answer), [UPTIME] if name == START else table)
            if number:
                took[name].append(once)
    return took


def require_whole(name: str, oids: Sequence[str], expected: Sequence[str]) -> None:
    """Raise RuntimeError unless these are the OIDs, in any order."""
    if sorted(oids) != sorted(expected):
        raise RuntimeError(f"{name} read {len(oids)} OIDs, not the {len(expected)} of the table")
