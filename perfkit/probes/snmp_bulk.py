"""One GET per value: a round trip for each number on the page."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Literal

from perfkit import Bound, Probe, count, seconds
from perfkit.backends.snmp import Snmp, require_bulk
from perfkit.errors import (
    CannotRun,
    NoAnswer,
    NotApplicable,
    UsageError,
)

if TYPE_CHECKING:
    from perfkit.snmp.session import Session, Varbind
    from perfkit.snmp.target import Target


@dataclass(frozen=True)
class Poll:
    """What a monitor asks its devices for."""

    devices: Annotated[int, count("devices", at_most=250)] = 1
    interfaces: Annotated[
        int, count("interfaces of each", at_most=2_000)
    ] = 10
    columns: Annotated[
        int, count("columns of the table", at_most=22)
    ] = 8
    per_request: Annotated[
        float, seconds("a device takes for a request", at_most=1)
    ] = 0.005
    per_oid: Annotated[
        float, seconds("and for each value", at_most=0.1)
    ] = 0.0002
    at_once: Annotated[
        int, count("values in an answer", at_most=1_000)
    ] = 25
    threads: Annotated[int, count("threads", at_most=64)] = 4
    in_flight: Annotated[
        int, count("requests at once to a device of yours", at_most=64)
    ] = 1
    version: Literal["1", "2c", "3"] = "2c"


probe = Probe(
    name="snmp-bulk",
    title="One GET per value: a round trip for each number",
    backend=Snmp,
    params=Poll,
    work={
        "requests": "requests",
        "oids": "values",
        "bytes_in": "bytes received",
        "get": "GET",
        "getnext": "GETNEXT",
        "getbulk": "GETBULK",
        "lost": "lost",
        "retries": "retries",
    },
    cause="requests",
)

INTERFACES = "1.3.6.1.2.1.2.2.1"
INDEX = f"{INTERFACES}.1"
STEADY = 8
"""The columns behind are times and counters that never stand still."""
SESSIONS = 400
"""Of a pool: a process has 1,024 sockets at most by default."""
SOON = 0.25
"""Seconds of the short timeout."""
TOO_SOON = f"the device does not answer within {SOON:g} s"


@probe.setup
def install(network: Snmp, poll: Poll) -> None:
    """Set up the devices, unless they are yours."""
    from perfkit.backends.snmp_table import Device

    network.install(
        [
            Device(
                name=f"switch-{number}",
                interfaces=poll.interfaces,
                version=poll.version,
                per_request=poll.per_request,
                per_oid=poll.per_oid,
            )
            for number in range(poll.devices)
        ]
    )


def look(network: Snmp, poll: Poll) -> None:
    """Find out what there is to ask for, before the clock starts."""
    from perfkit.snmp.poll import walk

    if not network.owned and poll.columns > STEADY:
        raise UsageError(
            f"columns={poll.columns} would compare what changes",
            why="from ifLastChange on, values differ each time",
            fix=f"-s columns={STEADY}",
        )

    async def ask(session: "Session") -> "list[Varbind]":
        return await walk(session, INDEX, most=poll.interfaces)

    for device, rows in zip(
        network.devices, network.at_once(ask), strict=True
    ):
        if not rows:
            raise CannotRun(
                f"{device} has no interfaces, or does not show them",
                fix=f"let who asks read {INTERFACES}",
            )
        network.found[device] = [
            row.oid.replace(INDEX, f"{INTERFACES}.{column}")
            for column in range(1, poll.columns + 1)
            for row in rows
        ]


def table(found: "Mapping[Target, Sequence[Varbind]]") -> object:
    """Put the values of all devices in one order."""
    return sorted(
        (number, varbind.oid, varbind.value)
        for number, varbinds in enumerate(found.values())
        for varbind in varbinds
    )


@probe.naive("GET per value", prepare=look)
def get_each(network: Snmp, poll: Poll) -> object:
    """Ask for each number when the loop gets there."""
    return table(
        {
            device: [network.get(device, oid)[0] for oid in oids]
            for device, oids in network.found.items()
        }
    )


def open_threads(network: Snmp, poll: Poll) -> None:
    """Open a session for each thread before the clock starts."""
    look(network, poll)
    network.pool(poll.threads, at_most=poll.in_flight)


def crowded(poll: Poll) -> str:
    """Sessions are sockets: one for each thread and device."""
    sessions = poll.threads * poll.devices
    if sessions <= SESSIONS:
        return ""
    return f"{sessions} sessions would be too many sockets"


def gain_in_threads(network: Snmp, poll: Poll) -> Bound | None:
    """Predict what threads can gain."""
    return network.bound(poll.threads)


@probe.wrong_lever(
    "GET in threads",
    prepare=open_threads,
    unless=crowded,
    bound=gain_in_threads,
    why="Threads let the ways overlap; each device still serves every"
    " request, one at a time.",
)
def get_in_threads(network: Snmp, poll: Poll) -> object:
    """Let a pool of threads ask the same, each device in turn."""
    pool = network.pool(poll.threads, at_most=poll.in_flight)

    def ask(question: "tuple[Target, str]") -> "Varbind":
        with pool.poller() as poller:
            return poller.get(*question)[0]

    rounds = zip_longest(
        *(
            [(device, oid) for oid in oids]
            for device, oids in network.found.items()
        )
    )
    questions = [one for each in rounds for one in each if one]
    found: dict[Target, list[Varbind]] = {
        device: [] for device in network.found
    }
    with ThreadPoolExecutor(poll.threads) as threads:
        for (device, _), varbind in zip(
            questions, threads.map(ask, questions), strict=True
        ):
            found[device].append(varbind)
    return table(found)


def open_compiled(network: Snmp, poll: Poll) -> None:
    """Open the sessions before the clock starts."""
    look(network, poll)
    for device in network.devices:
        network.compiled(device)


@probe.wrong_lever(
    "compiled client",
    prepare=open_compiled,
    why="It saves processor time, which nobody waited"
    " for: the requests are the same.",
)
def get_compiled(network: Snmp, poll: Poll) -> object:
    """Ask for each number with a client written in Rust."""
    return sorted(
        (number, oid, network.get_compiled(device, oid))
        for number, (device, oids) in enumerate(network.found.items())
        for oid in oids
    )


def slow(poll: Poll) -> str:
    """Asked again too soon, a device has ever more to do."""
    soon = poll.per_request + poll.per_oid < SOON
    return "" if soon else TOO_SOON


@probe.wrong_lever(
    "shorter timeouts",
    prepare=look,
    unless=slow,
    why="A timeout is for answers that do not come; these come.",
)
def get_impatiently(network: Snmp, poll: Poll) -> object:
    """Ask for each number, and again after a quarter of a second."""
    try:
        return table(
            {
                device: [
                    network.get(replace(device, timeout=SOON), oid)[0]
                    for oid in oids
                ]
                for device, oids in network.found.items()
            }
        )
    except NoAnswer as late:
        raise NotApplicable(TOO_SOON) from late


# What helps: fewer requests for the same values.


def alone(poll: Poll) -> str:
    """Only several devices can work at the same time."""
    return "there is one device" if poll.devices == 1 else ""


def without_bulk(poll: Poll) -> str:
    """SNMPv1 came before GETBULK, and one row needs none."""
    if poll.at_once < 2 * poll.columns:
        return f"{poll.at_once} values have no room for two rows"
    return "SNMPv1 has no GETBULK" if poll.version == "1" else ""


@probe.fixed(
    "GETBULK at once",
    prepare=look,
    unless=lambda poll: alone(poll) or without_bulk(poll),
    why="Different devices do work at the same time.",
)
def walk_all_at_once(network: Snmp, poll: Poll) -> object:
    """Walk all devices at the same time, one request each."""
    from perfkit.snmp.poll import walk_columns

    async def ask(session: "Session") -> "list[Varbind]":
        require_bulk(session)
        return await walk_columns(session, INTERFACES, *size(poll))

    found = network.at_once(ask)
    return table(dict(zip(network.devices, found, strict=True)))


def size(poll: Poll) -> tuple[range, int, int]:
    """Return the columns, the rows, and how many rows an answer has."""
    rows = max(1, poll.at_once // poll.columns)
    return range(1, poll.columns + 1), poll.interfaces, rows


@probe.fixed("GETBULK", prepare=look, unless=without_bulk)
def walk_in_bulk(network: Snmp, poll: Poll) -> object:
    """Ask for what comes next, several rows of the table an answer."""
    return table(
        {
            device: network.walk_columns(
                device, INTERFACES, *size(poll)
            )
            for device in network.devices
        }
    )


@probe.fixed("many in a GET", prepare=look)
def get_many(network: Snmp, poll: Poll) -> object:
    """Ask for known values together, which every version can."""
    return table(
        {
            device: network.get_all(device, oids, at_once=poll.at_once)
            for device, oids in network.found.items()
        }
    )


@probe.fixed("GETNEXT by rows", prepare=look)
def walk_by_row(network: Snmp, poll: Poll) -> object:
    """Ask for the next row of all columns, as every version can."""
    columns, rows, _ = size(poll)
    return table(
        {
            device: network.walk_columns(
                device, INTERFACES, columns, rows
            )
            for device in network.devices
        }
    )
