"""One device after another, one question a value: an inventory."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from perfkit import Bound, Probe, count, seconds
from perfkit.backends.snmp import Snmp
from perfkit.errors import UsageError
from perfkit.snmp.poll import walk, walk_columns

if TYPE_CHECKING:
    from gufo.snmp.sync import SnmpSession

    from perfkit.snmp.session import Session, Varbind
    from perfkit.snmp.target import Target


@dataclass(frozen=True)
class Fleet:
    """What a monitor finds behind the one router that it knows."""

    neighbours: Annotated[
        int, count("devices behind the router", at_most=249)
    ] = 5
    interfaces: Annotated[
        int, count("interfaces of each", at_most=2_000)
    ] = 4
    per_request: Annotated[
        float, seconds("a device takes for a request", at_most=1)
    ] = 0.002
    per_oid: Annotated[
        float, seconds("and for each value", at_most=0.1)
    ] = 0.0001
    at_once: Annotated[
        int, count("values in an answer", at_least=6, at_most=1_000)
    ] = 25
    version: Literal["1", "2c", "3"] = "2c"


probe = Probe(
    name="snmp-inventory",
    title="One question a value, one device after another",
    backend=Snmp,
    params=Fleet,
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

NEIGHBOURS = "1.3.6.1.2.1.4.22.1.3"
"""The addresses in a router's ARP table: ipNetToMediaNetAddress."""
SCALARS = ("1.3.6.1.2.1.1.5", "1.3.6.1.2.1.2.1")
"""What a device is called, and how many interfaces it has."""
INTERFACES = "1.3.6.1.2.1.2.2.1"
COLUMNS = (2, 6, 8)
"""The description of each, its address, and whether it works."""


@probe.setup
def install(network: Snmp, fleet: Fleet) -> None:
    """Set up a router that names the other devices."""
    from perfkit.backends.snmp_table import Device

    if not network.owned:
        raise UsageError(
            "your router's neighbours are not asked",
            why="you have named the router, and none of them",
            fix="perfkit probe snmp-bulk asks the devices you name",
        )
    names = [f"switch-{n}" for n in range(1, fleet.neighbours + 1)]
    network.install(
        [
            Device(
                name=name,
                interfaces=fleet.interfaces,
                version=fleet.version,
                per_request=fleet.per_request,
                per_oid=fleet.per_oid,
            )
            for name in ["router", *names]
        ],
        router=True,
    )


def find(network: Snmp, repetitions: int = 1) -> "list[Target]":
    """Ask the router for its neighbours; it is a device, too."""
    router = network.devices[0]

    async def ask(session: "Session") -> "list[Varbind]":
        return await walk(session, NEIGHBOURS, repetitions)

    [rows] = network.at_once(ask, [router])
    return [router, *(replace(router, host=str(x.value)) for x in rows)]


async def ask_each(session: "Session") -> "list[Varbind]":
    """Ask a device for its values, one GETNEXT after another."""
    found = [(await session.get_next(oid))[0] for oid in SCALARS]
    for column in COLUMNS:
        found += await walk(session, f"{INTERFACES}.{column}", 1)
    return found


def inventory(devices: "Iterable[list[Varbind]]") -> object:
    """Return the values of each device, which begin with its name."""
    return by_name([x.value for x in values] for values in devices)


def by_name(devices: "Iterable[Sequence[object]]") -> object:
    """Sort devices by name: addresses are drawn in each run."""
    return sorted(devices, key=repr)


def ask_in_turn(network: Snmp, devices: "list[Target]") -> object:
    """Make the inventory, one device after another."""
    return inventory(
        network.at_once(ask_each, [device])[0] for device in devices
    )


@probe.naive("GETNEXT in turn")
def follow(network: Snmp, _: Fleet) -> object:
    """Ask each device when the loop gets there, value by value."""
    return ask_in_turn(network, find(network))


def remember(network: Snmp, _: Fleet) -> None:
    """Find the devices before the clock starts."""
    network.found = {device: [*SCALARS] for device in find(network)}


@probe.wrong_lever(
    "cached ARP table",
    prepare=remember,
    why="It saves the questions to the router; those to the devices"
    " that it names are the many.",
)
def follow_remembered(network: Snmp, _: Fleet) -> object:
    """Do not ask the router again for what it said before."""
    return ask_in_turn(network, list(network.found))


def walk_compiled(session: "SnmpSession", root: str) -> list[object]:
    """Read a subtree, a GETNEXT a value."""
    return [value for _, value in session.getnext(root)]


@probe.wrong_lever(
    "compiled client",
    why="It saves processor time, which nobody waited"
    " for: the requests are the same.",
)
def follow_compiled(network: Snmp, _: Fleet) -> object:
    """Ask the same with a client written in Rust."""
    router = network.devices[0]
    hosts = walk_compiled(network.compiled(router), NEIGHBOURS)
    found: list[list[object]] = []
    for host in [router.host, *map(str, hosts)]:
        session = network.compiled(replace(router, host=host))
        found.append([next(session.getnext(x))[1] for x in SCALARS])
        for column in COLUMNS:
            root = f"{INTERFACES}.{column}"
            found[-1] += walk_compiled(session, root)
    return by_name(found)


def gain_at_once(_: Snmp, fleet: Fleet) -> Bound:
    """Predict the gain: the router comes first, then the slowest."""
    one = len(SCALARS) + len(COLUMNS) * (fleet.interfaces + 1)
    router = fleet.neighbours + 1
    all_of_them = router + (fleet.neighbours + 1) * one
    return Bound(
        all_of_them / (router + one),
        f"{all_of_them} requests, {router + one} of them in turn",
    )


@probe.wrong_lever(
    "GETNEXT at once",
    bound=gain_at_once,
    why="The devices work at the same time, and each of them still"
    " serves every request.",
)
def follow_at_once(network: Snmp, _: Fleet) -> object:
    """Ask all devices at the same time, value by value."""
    return inventory(network.at_once(ask_each, find(network)))


# What helps: fewer requests for the same values.


def without_bulk(fleet: Fleet) -> str:
    """SNMPv1 came before GETBULK."""
    return "SNMPv1 has no GETBULK" if fleet.version == "1" else ""


def by_rows(
    fleet: Fleet, rows: int
) -> "Callable[[Session], Awaitable[list[Varbind]]]":
    """Return how to ask a device for so many rows at once."""

    async def ask(session: "Session") -> "list[Varbind]":
        return await session.get_next(*SCALARS) + await walk_columns(
            session, INTERFACES, COLUMNS, fleet.interfaces, rows
        )

    return ask


@probe.fixed(
    "GETBULK at once",
    unless=without_bulk,
    why="The devices work at the same time, on few requests.",
)
def walk_at_once(network: Snmp, fleet: Fleet) -> object:
    """Ask all devices at the same time, many rows an answer."""
    ask = by_rows(fleet, fleet.at_once // len(COLUMNS))
    devices = find(network, fleet.at_once)
    return inventory(network.at_once(ask, devices))


@probe.fixed("GETBULK in turn", unless=without_bulk)
def walk_in_turn(network: Snmp, fleet: Fleet) -> object:
    """Ask one device after another, many rows an answer."""
    ask = by_rows(fleet, fleet.at_once // len(COLUMNS))
    return inventory(
        network.at_once(ask, [device])[0]
        for device in find(network, fleet.at_once)
    )


@probe.fixed("rows at once")
def walk_rows_at_once(network: Snmp, fleet: Fleet) -> object:
    """Ask all devices for a row a GETNEXT, as every version can."""
    return inventory(network.at_once(by_rows(fleet, 1), find(network)))
