"""What SNMP costs, and what the ways to ask gain: perfkit's poller, its peers, and the stories.

    python benchmarks/snmp.py                       # about ten minutes
    python benchmarks/snmp.py --only pollers fleet

`pollers` reads a table of one device with perfkit's poller, net-snmp's programs and the compiled
client; `fleet` polls 200 devices at once; `story` holds the scenarios of `snmp-bulk` to what they
claim; `gain` draws what threads and GETBULK gain with distance. Contenders take turns within a
round, ratios are of rounds, and every answer is checked. A missed goal is the exit code 1. Raw
values go to recorded/snmp.json, section by section, and the drawing of `gain` to docs/images, and
the tables of the documentation are written again.

`--short` asks few devices for little, which proves that it runs and that the answers are whole; so
little cannot say how fast, so no goal decides the exit code, and nothing is recorded.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import snmp_gain
from goal import options, save
from missing_number_rounds import MISSED
from snmp_clients import EACH, contenders, take_turns
from snmp_fleet import poll_fleet
from snmp_story import BACKENDS, CLAIMS, tell
from snmp_tables import (
    TABLE,
    fleet_table,
    gain_table,
    pollers_table,
    story_table,
    verdicts,
    write_table,
)

from perfkit.backends import snmp_daemon
from perfkit.backends.snmp import Control, Snmp
from perfkit.backends.snmp_table import Device
from perfkit.errors import CannotRun, PerfkitError
from perfkit.model import Location
from perfkit.run.machine import describe


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rows: int = 46
    """Of the table of one device: about 1,000 OIDs."""
    distances: tuple[float, ...] = (0.0, 0.02)
    near_rounds: int = 12
    """Where no distance slows a round."""
    rounds: int = 6
    devices: int = 200
    device_rows: int = 4
    services: tuple[float, ...] = (0.005, 0.05, 0.2)
    """Seconds that a device of the fleet takes for a request."""
    fleet_distance: float = 0.02
    interfaces: int | None = None
    """Of a device in a story; None: as many as the scenario says."""
    scenarios: tuple[str, ...] = tuple(dict.fromkeys(claim.scenario for claim in CLAIMS))
    story_rounds: int = 6
    gain_distances: tuple[float, ...] = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02)
    gain_interfaces: int = snmp_gain.POLL.interfaces


SHORT = Extent(
    rows=3,
    distances=(0.0, 0.005),
    near_rounds=1,
    rounds=1,
    devices=20,
    services=(0.005,),
    fleet_distance=0.005,
    interfaces=1,
    scenarios=("snmp-lan-slow-device",),
    story_rounds=1,
    gain_distances=(0.0, 0.005),
    gain_interfaces=3,
)

Values = dict[str, Any]


def agents() -> Iterator[tuple[str, str]]:
    """Yield the agents that are installed, and where perfkit finds them."""
    for agent, url in BACKENDS.items():
        try:
            if url == "snmpd":
                snmp_daemon.find()
        except CannotRun as missing:
            print(f"{agent} is left out: {missing}")
        else:
            yield agent, url


def pollers(extent: Extent) -> Values:
    """Read the table of one device: ask the agent itself, or from afar through perfkit's relay."""
    places: list[Values] = []
    for agent, url in agents():
        places += [_read_table(agent, url, distance, extent) for distance in extent.distances]
    return {"rows": extent.rows, "places": places}


def _read_table(agent: str, url: str, distance: float, extent: Extent) -> Values:
    with (
        Snmp.serve(Location(url, distance)) as service,
        Snmp.connect(service.address) as network,
        closing(Control(service.address.control)) as control,
        ExitStack() as stack,
    ):
        network.install([Device("switch", extent.rows)])
        target = network.devices[0]
        if not distance:
            host, port = control.ask("devices")["devices"][0]["target"]
            target = replace(target, host=host, port=port)
        found = contenders(target, extent.rows, stack)
        if distance:
            # A thousand round trips: the stories have that.
            found = {name: one for name, one in found.items() if name not in EACH}
        rounds = extent.rounds if distance else extent.near_rounds
        took = take_turns(found, extent.rows, rounds, random.Random(1))
    return {"agent": agent, "distance": distance, "rounds": took}


def fleet(extent: Extent) -> Values:
    """Poll many devices at once."""
    polls = [
        {
            "service": service,
            "turns": poll_fleet(
                extent.devices,
                extent.device_rows,
                service,
                extent.fleet_distance,
                extent.rounds,
                # That takes the longest, so only where it takes least.
                also_in_turn=service == min(extent.services),
            ),
        }
        for service in extent.services
    ]
    return {
        "devices": extent.devices,
        "rows": extent.device_rows,
        "distance": extent.fleet_distance,
        "polls": polls,
    }


def story(extent: Extent) -> Values:
    """Run the scenarios of `snmp-bulk` whose gains are claimed."""
    runs: list[Values] = []
    for agent, _ in agents():
        for scenario in extent.scenarios:
            run = tell(scenario, agent, extent.story_rounds, extent.interfaces)
            runs.append({"agent": agent, "scenario": scenario, **run})
    return {"runs": runs}


def gain(extent: Extent) -> Values:
    """Predict and measure what threads and GETBULK gain at ever greater distance."""
    draw = random.Random(1)
    poll = replace(snmp_gain.POLL, interfaces=extent.gain_interfaces)
    points = [
        snmp_gain.measure(distance, poll, extent.rounds, draw) for distance in extent.gain_distances
    ]
    return {"per_request": poll.per_request, "per_oid": poll.per_oid, "points": points}


SECTIONS: Mapping[str, Callable[[Extent], Values]] = {
    "pollers": pollers,
    "fleet": fleet,
    "story": story,
    "gain": gain,
}
SHOWN: Mapping[str, Callable[[Values], Iterator[str]]] = {
    "pollers": pollers_table,
    "fleet": fleet_table,
    "story": story_table,
    "gain": gain_table,
}
"""How each section is printed: as it is in the documentation."""


def measured() -> Values:
    """Say when, where and with what."""
    machine = describe()
    # The version alone: the rest says whose kernel it is.
    system = f"{machine.system} {machine.kernel.partition('-')[0]}"
    tools = {name: version(name) for name in ("perfkit", "pysnmp", "gufo-snmp")}
    try:
        tools["net-snmp"] = snmp_daemon.version()
    except CannotRun:
        print("without net-snmp: apt-get install snmpd snmp")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{machine.cores} cores of {machine.cpu}, {system}, {machine.python}",
        "tools": tools,
    }


def main() -> None:
    """Measure the sections that are asked for, and hold them to their goals."""
    parser = options(__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION")
    given = parser.parse_args()
    # Whoever ends it, it cleans up.
    signal.signal(signal.SIGTERM, stop)
    try:
        found = run(given)
    except KeyboardInterrupt:
        sys.exit(130)
    except PerfkitError as error:
        sys.exit(f"error: {error}")
    sys.exit(MISSED in found and not given.short)


def stop(*_: object) -> NoReturn:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def run(given: argparse.Namespace) -> list[str]:
    """Run the sections, print and keep what they found, and return the verdicts."""
    extent = SHORT if given.short else Extent()
    head = measured()
    with tempfile.TemporaryDirectory() as inside:
        folder = Path(inside)
        path = given.json or (folder / "record.json" if given.short else snmp_gain.RECORDED)
        kept: Values = json.loads(path.read_bytes()) if path.exists() else {}
        for name in given.only or SECTIONS:
            print(f"{name}:", flush=True)
            # What was measured is read back, as it is drawn later.
            found = json.loads(json.dumps(head | SECTIONS[name](extent)))
            kept[name] = found
            save(path, kept)
            print("\n".join(SHOWN[name](found)), end="\n\n", flush=True)
        if "gain" in kept:
            picture = folder / "gain.svg" if path != snmp_gain.RECORDED else snmp_gain.PICTURE
            snmp_gain.write(kept["gain"]["points"], picture)
    if path == snmp_gain.RECORDED and SECTIONS.keys() <= kept.keys():
        write_table(path, TABLE)
    return verdicts(kept["story"]) if "story" in kept else []


if __name__ == "__main__":
    main()
