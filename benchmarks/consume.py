"""Why more consumers did not help: how locks, the GIL, commits and acknowledgements scale.

    python benchmarks/consume.py                  # about half an hour
    python benchmarks/consume.py --only lock queue

`lock`, `gil`, `write`, `queue` and `kafka` run `perfkit sweep` of a probe, near and 2 ms away, so
that the figures are those of the tool; `queue` also kills consumers; `coverage` fits simulated
sweeps whose law is known. A missed goal is the exit code 1. Raw values go to
recorded/consume.json, section by section; the tables of the documentation and its pictures are
drawn from them again.

`--short` is one round of little, of the naive code and its fix alone, which proves that all of it
runs; so little cannot say how fast, so no goal decides the exit code, and nothing is recorded.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import queue_kills
from consume_coverage import simulate_all
from consume_goals import KILLS, goals
from consume_sweeps import RECORDED, SHORT, SWEPT, measure, to_record
from consume_tables import SHOWN, pictures, write_all
from goal import options
from missing_number_rounds import MISSED

from perfkit.backends.valkey import Valkey
from perfkit.errors import MissingExtra, PerfkitError
from perfkit.model import Location
from perfkit.run.machine import describe

TIMES, FEW = 200, 2
"""Simulations of each law."""

Values = dict[str, Any]


def sweep(section: str, *, short: bool) -> Values:
    """Run the sweeps of a section."""
    found: Values = {}
    for swept in (SHORT if short else SWEPT)[section]:
        print(f"  {swept.name} ...", file=sys.stderr, flush=True)
        found[swept.name] = to_record(measure(swept, short=short))
    return {"sweeps": found}


def queue(*, short: bool) -> Values:
    """Run the sweeps over consumers of a queue, and kill some."""
    found = sweep("queue", short=short)
    with Valkey.serve(Location()) as service:
        found["kills"] = asdict(queue_kills.run(service.address, 3 if short else KILLS))
    return found


def kafka(*, short: bool) -> Values:
    """Run the sweep over consumers of Kafka's protocol, where its client is installed."""
    try:
        return sweep("kafka", short=short)
    except MissingExtra as missing:
        print(f"kafka is left out: {missing}")
        return {"left_out": missing.what}


def coverage(*, short: bool) -> Values:
    """Fit simulated sweeps."""
    return simulate_all(FEW if short else TIMES)


SECTIONS: Mapping[str, Callable[..., Values]] = {
    "lock": partial(sweep, "lock"),
    "gil": partial(sweep, "gil"),
    "write": partial(sweep, "write"),
    "queue": queue,
    "kafka": kafka,
    "coverage": coverage,
}


def measured() -> Values:
    """Say when, where and with what."""
    machine = describe()
    # The version alone: the rest says whose kernel it is.
    system = f"{machine.system} {machine.kernel.partition('-')[0]}"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{machine.cores} cores of {machine.cpu}, {system}, {machine.python}",
        "tools": {name: version(name) for name in ("perfkit", "psycopg", "valkey")},
    }


def main() -> None:
    """Measure the sections that are asked for, and hold them to their goals."""
    parser = options(__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION")
    given = parser.parse_args()
    # Whoever ends it, it cleans up.
    signal.signal(signal.SIGTERM, stop)
    try:
        missed = run(given)
    except KeyboardInterrupt:
        sys.exit(130)
    except PerfkitError as error:
        sys.exit(f"error: {error}")
    sys.exit(missed and not given.short)


def stop(*_: object) -> NoReturn:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def run(given: argparse.Namespace) -> bool:
    """Run the sections, print and keep what they found, and say whether a goal was missed."""
    head = measured()
    chosen = given.only or SECTIONS
    with tempfile.TemporaryDirectory() as inside:
        path = given.json or (Path(inside) / "record.json" if given.short else RECORDED)
        kept: Values = json.loads(path.read_bytes()) if path.exists() else {}
        for name in chosen:
            print(f"{name}:", flush=True)
            kept[name] = head | SECTIONS[name](short=given.short)
            # Compact: every raw value of every sweep is in it.
            path.write_text(json.dumps(kept, separators=(",", ":")) + "\n")
            print("\n".join(SHOWN[name](kept[name])), end="\n\n", flush=True)
        if path == RECORDED and SECTIONS.keys() <= kept.keys():
            write_all()
        else:
            # They are drawn, and not kept.
            list(pictures(kept))
    found = list(goals({name: kept[name] for name in chosen}))
    for goal in [] if given.short else found:
        print(f"{goal.verdict}: {goal.what}: {goal.found}, wanted {goal.wanted}")
    return any(goal.verdict == MISSED for goal in found)


if __name__ == "__main__":
    main()
