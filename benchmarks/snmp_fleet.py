"""A fleet of simulated devices, polled by clients that are each a process of their own.

All devices are one process, and all doors before them another: what they cost is counted, too,
since they share the machine with the client.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from missing_number_rounds import Rounds, Took

from perfkit.backends import snmp_agent, snmp_network
from perfkit.backends.snmp import Control, Snmp
from perfkit.backends.snmp_table import Device
from perfkit.model import Location
from perfkit.snmp.target import Target

CLIENT = Path(__file__).with_name("snmp_fleet_client.py")
COLUMNS = 22
SIMULATION = {"doors": snmp_network.__file__, "devices": snmp_agent.__file__}
"""The processes of the fleet, and the script of each."""
ALONE, AT_ONCE, IN_TURN, COMPILED = "one alone", "at once", "in turn", "compiled at once"

Turn = dict[str, Any]
"""What one poll took, of whom, and what the doors counted."""


def poll_fleet(
    size: int, rows: int, service: float, distance: float, rounds: int, *, also_in_turn: bool
) -> dict[str, list[Turn]]:
    """Poll devices that take so long for a request, each client once a round in random order.

    The slow way, one device after the other, is taken once. Raises RuntimeError for a client that
    did not get all values.
    """
    draw = random.Random(1)
    found: dict[str, list[Turn]] = {ALONE: [], AT_ONCE: [], COMPILED: []}
    devices = [Device(f"switch-{at}", rows, per_request=service) for at in range(size)]
    with (
        Snmp.serve(Location(rtt=distance)) as running,
        Snmp.connect(running.address) as network,
        closing(Control(running.address.control)) as control,
    ):
        network.install(devices)
        places = network.devices
        # A device encodes its values when it is first asked for them.
        ask(control, AT_ONCE, places)
        for _ in range(rounds):
            for client in draw.sample(list(found), len(found)):
                asked = places[:1] if client == ALONE else places
                turn = ask(control, AT_ONCE if client == ALONE else client, asked)
                require_whole(client, turn, len(asked) * rows * COLUMNS)
                found[client].append(turn)
        if also_in_turn:
            turn = ask(control, IN_TURN, places)
            require_whole(IN_TURN, turn, size * rows * COLUMNS)
            found[IN_TURN] = [turn]
    return found


def ask(control: Control, client: str, devices: Sequence[Target]) -> Turn:
    """Let a client poll devices, and return what it took and what was counted meanwhile."""
    order = json.dumps({"client": client, "devices": [asdict(device) for device in devices]})
    with subprocess.Popen(
        [sys.executable, "-P", str(CLIENT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            answer = partial(_answer, process)
            answer(order)
            control.ask("count")
            before = spent()
            turn: Turn = json.loads(answer(""))
            others = {name: seconds - before[name] for name, seconds in spent().items()}
            tallies = control.ask("counted")["tallies"]
        finally:
            process.kill()
    counted = {
        name: sum(tally[name] for tally in tallies) for name in ("retries", "lost", "dropped")
    }
    requests = sum(sum(tally["kinds"].values()) for tally in tallies)
    return {**turn, **others, **counted, "requests": requests}


def _answer(process: subprocess.Popen[str], line: str) -> str:
    """Send a line, and return the one that comes back."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError("the client of the fleet ended")
    return answer


def spent() -> dict[str, float]:
    """Return the processor seconds so far of the processes that are the fleet."""
    found = dict.fromkeys(SIMULATION, 0.0)
    for process in psutil.Process().children(recursive=True):
        command = process.cmdline()
        for name, script in SIMULATION.items():
            if script in command:
                times = process.cpu_times()
                found[name] += times.user + times.system
    return found


def require_whole(client: str, turn: Turn, expected: int) -> None:
    """Raise RuntimeError where values are missing."""
    if turn["oids"] != expected:
        raise RuntimeError(f"'{client}' read {turn['oids']} OIDs, not {expected}")


def took(turns: dict[str, list[Turn]]) -> Rounds:
    """Return what each client took, by turns."""
    return {
        client: [Took(turn["wall"], turn["cpu"]) for turn in turned]
        for client, turned in turns.items()
    }
