"""`perfkit snmp`: how a device of yours is read best, and a simulated one to try that on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perfkit.cli.options import REPORT, Color, ColorOption, Json, Seed
from perfkit.errors import Exit, NoAnswer, UsageError

if TYPE_CHECKING:
    from perfkit.backends.snmp import Snmp
    from perfkit.snmp.plan import Order, Planner
    from perfkit.snmp.target import Target

LIMITS, DEVICE = "How much is asked", "The device"
LONGEST = 86_400.0
"""Seconds of the longest time that an option may say: a day."""
WATCH = 0.5
"""Seconds between two looks at the agents."""

app = typer.Typer(
    help="SNMP: how a device is read best, and a simulated one to try it on.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def complete_oid(incomplete: str) -> list[str]:
    """Complete the name of a subtree."""
    from perfkit.snmp.plan import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


@app.callback(invoke_without_command=True)
def snmp(context: typer.Context) -> None:
    """SNMP: how a device is read best, and a simulated one to try it on."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("plan")
def plan_device(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="snmp://community@host[:port], snmpv3://user@host[:port], or a host.",
            show_default=False,
        ),
    ],
    oids: Annotated[
        list[str],
        typer.Argument(
            metavar="[OID]...",
            help="Subtrees, such as 1.3.6.1.2.1.1 or ifTable; by default ifTable.",
            autocompletion=complete_oid,
            show_default=False,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    *,
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            metavar="N",
            min=1,
            max=1000,
            help="Values that every method reads in each round.",
            rich_help_panel=LIMITS,
        ),
    ] = 100,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            metavar="N",
            min=3,
            max=40,
            help="Rounds; from 6 on the speed-ups have intervals.",
            rich_help_panel=LIMITS,
        ),
    ] = 6,
    most: Annotated[
        int,
        typer.Option(
            "--most",
            metavar="N",
            min=1,
            max=1_000_000,
            help="Values after which the walk over all of it ends.",
            rich_help_panel=LIMITS,
        ),
    ] = 10_000,
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="How long to wait for an answer.",
            rich_help_panel=LIMITS,
        ),
    ] = "2s",
    retries: Annotated[
        int,
        typer.Option(
            "--retries",
            metavar="N",
            min=0,
            max=10,
            help="How often to ask again.",
            rich_help_panel=LIMITS,
        ),
    ] = 2,
    seed: Seed = None,
    json: Json = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Find out how a device is read best, by trying, with the evidence.

    It is only read (GET, GETNEXT, GETBULK), with one request at a time, and
    not more often than is said before. Passwords of SNMPv3 come from the
    environment (PERFKIT_SNMP_AUTH_PASSWORD, PERFKIT_SNMP_PRIVACY_PASSWORD)
    or are asked for, and so is a community that TARGET does not have
    (PERFKIT_SNMP_COMMUNITY).

    [dim]$[/] perfkit snmp plan 192.0.2.1

    [dim]$[/] perfkit snmp plan snmpv3://reader@192.0.2.1 ifTable ifXTable

    [dim]$[/] perfkit snmp plan 192.0.2.1 1.3.6.1.2.1.4.20 --sample 50 --json

    Exit codes: 0 a plan was made; 2 the command line is not what it should
    be; 3 no answer, a refused login, nothing below the OIDs; 5 methods did
    not return the same; 130 interrupted: what was known is printed.
    """
    from perfkit.snmp.plan import Order, read_oid

    roots = tuple(dict.fromkeys(read_oid(oid) for oid in oids or ["ifTable"]))
    device = _read_target(target, _positive("--timeout", timeout), retries)
    order = Order(roots, sample, most, rounds, _seed(seed))
    return _plan(device, order, json=json, color=color)


def _seed(seed: int | None) -> int:
    import secrets

    return secrets.randbelow(2**32) if seed is None else seed


def _positive(option: str, text: str) -> float:
    """Read a duration above zero; raises UsageError."""
    from perfkit.cli.probe import seconds

    value = seconds(option, text, LONGEST)
    if not value:
        raise UsageError(f"{option} {text} is no time at all", fix=f"{option} 2s")
    return value


def _read_target(text: str, timeout: float, retries: int) -> Target:
    """Read TARGET; a bare host is asked by community. Raises UsageError."""
    from dataclasses import replace

    from perfkit.cli.console import ask_for_secret
    from perfkit.snmp.target import read

    if "://" not in text:
        # Others are names, or have a port.
        with suppress(ValueError):
            text = f"[{IPv6Address(text)}]"
        text = f"snmp://{text}"
    found = read(text, ask_for_secret if sys.stdin.isatty() else None)
    if len(found) > 1:
        raise UsageError("a plan is for one device", why=f"TARGET names {len(found)}")
    return replace(found[0], timeout=timeout, retries=retries)


def _plan(device: Target, order: Order, *, json: bool, color: Color) -> Exit:
    import asyncio

    from perfkit.cli.console import emit, render, write
    from perfkit.cli.meter import Meter
    from perfkit.report import snmp as report
    from perfkit.snmp.plan import Planner, encode
    from perfkit.units import Unit

    write(sys.stderr, f"{device}: at most {order.at_most:,} requests, one at a time\n")
    meter = Meter(color, Unit.COUNT, quiet=False)
    planner = Planner(order, meter.tell, meter.start)
    interrupted, failure = False, None
    try:
        with meter:
            asyncio.run(_ask(planner, device))
    except KeyboardInterrupt:
        if not planner.begun:
            raise
        interrupted = True
    except NoAnswer as error:
        # What was measured until the device fell silent cost it requests, and is worth seeing.
        if not planner.begun or not planner.plan().tries:
            raise
        interrupted, failure = True, error
    plan = planner.plan(interrupted=interrupted)
    if json:
        emit(encode(plan).decode())
    else:
        emit(render(lambda width: report.render(plan, width), color))
    if failure is not None:
        raise failure
    if interrupted:
        return Exit.INTERRUPTED
    return Exit.ANSWERS_DIFFER if any(one.differs for one in plan.timed) else Exit.FINE


async def _ask(planner: Planner, device: Target) -> None:
    from perfkit.snmp.session import Client

    client = Client()
    try:
        await planner.run(client, device)
    finally:
        client.close()


@app.command("agent")
def run_agent(
    *,
    interfaces: Annotated[
        int,
        typer.Option(
            "--interfaces",
            metavar="N",
            min=1,
            max=5000,
            help="Rows of its interface table, of 22 values each.",
            rich_help_panel=DEVICE,
        ),
    ] = 48,
    service: Annotated[
        str,
        typer.Option(
            "--service",
            metavar="TIME",
            help="What a request takes it: MODELLED, one request at a time.",
            rich_help_panel=DEVICE,
        ),
    ] = "0s",
    per_oid: Annotated[
        str,
        typer.Option(
            "--per-oid",
            metavar="TIME",
            help="What each value takes it on top of that: MODELLED.",
            rich_help_panel=DEVICE,
        ),
    ] = "0s",
    rtt: Annotated[
        str,
        typer.Option(
            "--rtt",
            metavar="TIME",
            help="Distance to it: the round-trip time, by a relay.",
            rich_help_panel=DEVICE,
        ),
    ] = "0s",
    speaks: Annotated[
        Literal["1", "2c", "3"],
        typer.Option(
            "--speaks",
            help="The highest version: 2c speaks 1 too, 3 nothing else.",
            rich_help_panel=DEVICE,
        ),
    ] = "2c",
    max_bytes: Annotated[
        int,
        typer.Option(
            "--max-bytes",
            metavar="N",
            min=484,
            max=65_507,
            help="The longest answer; what would be longer is tooBig.",
            rich_help_panel=DEVICE,
        ),
    ] = 65_507,
    devices: Annotated[
        int,
        typer.Option(
            "--devices",
            metavar="N",
            min=1,
            max=250,
            help="So many of them, at an address each.",
            rich_help_panel=DEVICE,
        ),
    ] = 1,
    backend: Annotated[
        Literal["pysnmp", "snmpd"],
        typer.Option("--backend", "-b", help="Whose agent answers.", rich_help_panel=DEVICE),
    ] = "pysnmp",
    until: Annotated[
        str,
        typer.Option("--for", metavar="TIME", help="End after this time.", show_default=False),
    ] = "",
    json: Json = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print how to reach it and nothing else.", rich_help_panel=REPORT
        ),
    ] = False,
) -> Exit:
    """Run a simulated device on this machine, to try a poller on, until Ctrl-C.

    It answers on a loopback address, with a community or passwords drawn
    by chance. Its URL goes to stdout as soon as it answers.

    [dim]$[/] perfkit snmp agent --service 5ms --per-oid 0.2ms

    [dim]$[/] perfkit snmp agent --speaks 1 --rtt 20ms --for 10m

    [dim]$[/] perfkit snmp agent --max-bytes 1400 --devices 4 --json

    Exit codes: 0 the time of --for is over; 3 it cannot run here; 130 it
    was ended with Ctrl-C or SIGTERM.
    """
    from perfkit.backends.snmp import Snmp
    from perfkit.backends.snmp_table import Device
    from perfkit.cli.probe import seconds
    from perfkit.model import Location

    # Not nothing: a variable of the environment may name a device of the user's.
    url = "snmpd" if backend == "snmpd" else "embedded"
    lasts = _positive("--for", until) if until else None
    distance = seconds("--rtt", rtt, 10.0)
    wanted = [
        Device(
            name=f"switch-{number}",
            interfaces=interfaces,
            version=speaks,
            max_bytes=max_bytes,
            per_request=seconds("--service", service, 10.0),
            per_oid=seconds("--per-oid", per_oid, 10.0),
        )
        for number in range(1, devices + 1)
    ]
    with ExitStack() as stack:
        try:
            running = stack.enter_context(Snmp.serve(Location(url, distance)))
            network = stack.enter_context(Snmp.connect(running.address))
            network.install(wanted)
            _announce(network, str(running.component), json=json, quiet=quiet)
            _watch(running.check, lasts)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
    return Exit.FINE


def _announce(network: Snmp, about: str, *, json: bool, quiet: bool) -> None:
    """Print how to reach the devices: on stdout, for programs too."""
    import msgspec

    from perfkit.cli.console import emit, write
    from perfkit.snmp.target import AUTH_PASSWORD, PRIVACY_PASSWORD

    first = network.devices[0]
    variables = {}
    if first.version == "3":
        variables = {AUTH_PASSWORD: first.auth_password, PRIVACY_PASSWORD: first.privacy_password}
    login = f"snmpv3://{first.user}" if first.version == "3" else f"snmp://{first.community}"
    urls = [f"{login}@{device}" for device in network.devices]
    if json:
        found = {"urls": urls, "environment": variables, "component": about}
        emit(msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
        return
    emit("".join(f"export {name}={value}\n" for name, value in variables.items()))
    emit("".join(f"{url}\n" for url in urls))
    if not quiet:
        write(sys.stderr, f"{about}; Ctrl-C ends it\n")


def _watch(check: Callable[[], None], lasts: float | None) -> None:
    """Return when the time is over; raises ComponentLost when the agents are gone before."""
    import threading
    import time

    never = threading.Event()
    end = None if lasts is None else time.monotonic() + lasts
    while end is None or time.monotonic() < end:
        never.wait(WATCH if end is None else min(WATCH, max(0.0, end - time.monotonic())))
        check()
