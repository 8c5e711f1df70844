"""How often gates are red on unchanged code, and what they catch, on a busy machine.

A project is gated again and again at a limit of 5 %: `same` changed a comment, `ten` does 10 %
more work, `quarter` 25 %. perfkit and the tools people use today are run for real, in random
order, in one job, while a hog pinned to each core comes and goes. Red exactly at the limit is
`ten` at 10 %. A second table has perfkit's counter check of one planted statement, on the same
busy machine.

The peers take longer than perfkit, so they have their turn in every so many trials. `--raw` keeps
one line a comparison; a run that was stopped goes on with `--resume`, and `--report` draws the
tables of such a file again.

`--short` runs everything a few times, which proves that it runs. So few comparisons cannot say
how often, so only counted work decides the exit code: it must say the same every time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from false_alarm_table import Line, draw, read
from gated_project import KINDS, Project, build
from hog import hogs
from peers import LIMITS, OPEN, Comparison, Peer, installed, peers
from perfkit_gate import gate_statements, gate_time

from perfkit.run.machine import describe

TRIALS, SHORT = 200, 1
PEERS_EVERY, CHANGES_EVERY, AT_LIMIT_EVERY = 10, 2, 4
COUNTED = 10
"""Trials that have the counter check, too."""
EXPECTED = {"same": "green", "planted": "red"}
"""What the counter check says, however busy the machine is."""


@dataclass(frozen=True)
class Job:
    """One turn of a tool in a trial, and which changes it judges."""

    trial: int
    tool: str
    rule: str
    kinds: tuple[str, ...]
    limit: int = LIMITS[0]

    @property
    def key(self) -> tuple[int, str, str, str]:
        """What tells it from all others, and is in its lines too."""
        return self.trial, self.tool, self.rule, self.kinds[0]


class Log:
    """The lines so far; the file has each as soon as it is known."""

    def __init__(self, path: Path | None) -> None:
        self.lines: list[Line] = []
        self._path = path
        if path is not None and path.exists():
            # A killed run may have left half a line.
            whole, end, _ = path.read_bytes().rpartition(b"\n")
            path.write_bytes(whole + end)
            self.lines = read(path)

    def add(self, lines: list[Line]) -> None:
        """Keep lines."""
        self.lines += lines
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)

    def done(self) -> set[tuple[int, str, str, str]]:
        """Return the keys of the jobs that are done."""
        return {
            (line["trial"], line["tool"], line["rule"], line["kind"])
            for line in self.lines
            if "verdicts" in line
        }


def plan(trial: int, given: argparse.Namespace, tools: Mapping[str, Peer]) -> list[Job]:
    """Return what a trial does, in an order that its seed and number draw."""
    order = random.Random(f"{given.seed} {trial}")
    at_limit = LIMITS[trial % given.at_limit_every == 0]
    jobs = [
        Job(trial, "perfkit", "gate", (kind,), at_limit if kind == "ten" else LIMITS[0])
        for kind in (KINDS if trial % given.changes_every == 0 else KINDS[:1])
    ]
    if trial < COUNTED:
        jobs += [Job(trial, "perfkit", "statements", (kind,)) for kind in EXPECTED]
    jobs += [
        Job(trial, name, "all", tuple(order.sample(KINDS, len(KINDS))))
        for name, peer in tools.items()
        if trial % (given.peers_every * peer.seldom) == 0
    ]
    return order.sample(jobs, len(jobs))


def do(job: Job, project: Project, tools: Mapping[str, Peer]) -> list[Line]:
    """Do a job; where the tool fails, its line says so and the run goes on."""
    load = os.getloadavg()[0]
    head: Line = {"trial": job.trial, "tool": job.tool, "rule": job.rule}
    try:
        found = compare(job, project, tools)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return [{**head, "kind": job.kinds[0], "error": f"{job.tool} failed"}]
    return [
        {
            **head,
            "kind": kind,
            "verdicts": one.verdicts,
            "seconds": round(one.seconds, 2),
            "load": load,
            "figures": one.figures,
        }
        for kind, one in found.items()
    ]


def compare(job: Job, project: Project, tools: Mapping[str, Peer]) -> dict[str, Comparison]:
    """Return what the tool says of each change."""
    (kind, *_) = job.kinds
    if job.rule == "gate":
        return {kind: gate_time(project, kind, job.limit)}
    if job.rule == "statements":
        return {kind: gate_statements(project, kind)}
    with tempfile.TemporaryDirectory() as folder:
        return tools[job.tool].run(project, job.kinds, Path(folder))


def head(given: argparse.Namespace, tools: Mapping[str, Peer]) -> Line:
    """Describe the run: the command, the machine, the tools, and what cannot run here."""
    found = {name: installed(name) for name in tools}
    machine = describe()
    # The version alone: the rest says whose kernel it is.
    system = f"{machine.system} {machine.kernel.partition('-')[0]}"
    words = [
        f"--trials {given.trials} --peers-every {given.peers_every}",
        f"--changes-every {given.changes_every} --at-limit-every {given.at_limit_every}",
        f"--seed {given.seed}",
        *["--fast"] * given.fast,
    ]
    missing = {
        name: f"skipped: needs {name}, do `{tools[name].install}`"
        for name, there in found.items()
        if not there
    }
    return {
        "head": {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": f"benchmarks/gate_false_alarms.py {' '.join(words)}",
            "seed": given.seed,
            "machine": f"{machine.cores} cores of {machine.cpu}, {system}, {machine.python}",
            "tools": {
                "perfkit": version("perfkit"),
                **{
                    name: f"{there} ({tools[name].settings})"
                    for name, there in found.items()
                    if there
                },
            },
            "open": missing | OPEN,
        }
    }


def options() -> argparse.ArgumentParser:
    """Return the options; the defaults are the full run's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few trials only, as CI runs it")
    parser.add_argument("--trials", type=int, default=TRIALS, metavar="N")
    parser.add_argument("--peers-every", type=int, default=PEERS_EVERY, metavar="TRIALS")
    parser.add_argument("--changes-every", type=int, default=CHANGES_EVERY, metavar="TRIALS")
    parser.add_argument("--at-limit-every", type=int, default=AT_LIMIT_EVERY, metavar="TRIALS")
    parser.add_argument("--fast", action="store_true", help="pyperf with its option --fast")
    parser.add_argument("--seed", type=int, default=1, help="of the orders and the hogs")
    parser.add_argument("--raw", type=Path, metavar="FILE", help="keep every comparison")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --raw")
    parser.add_argument("--report", type=Path, metavar="FILE", help="draw a recorded run, .gz too")
    return parser


def main() -> None:
    """Run the trials that are not done yet, and draw the tables."""
    parser = options()
    given = parser.parse_args()
    if given.raw is not None and given.raw.exists() and not given.resume:
        parser.error(f"{given.raw} is there already; --resume goes on with it")
    if given.report is not None:
        sys.stdout.write(draw(read(given.report)))
        return
    if given.short:
        given.trials, given.fast = SHORT, True
        given.peers_every = given.changes_every = given.at_limit_every = SHORT
    # Whoever ends it, it cleans up.
    signal.signal(signal.SIGTERM, stop)
    log = Log(given.raw)
    try:
        run(given, log)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        sys.stdout.write(draw(log.lines))
    sys.exit(not trustworthy(log.lines))


def stop(*_: object) -> NoReturn:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def run(given: argparse.Namespace, log: Log) -> None:
    """Do all jobs of all trials beside the hogs."""
    tools = peers(fast=given.fast)
    described = head(given, tools)
    tools = {name: peer for name, peer in tools.items() if name in described["head"]["tools"]}
    done = log.done()
    left = [
        [job for job in plan(trial, given, tools) if job.key not in done]
        for trial in range(given.trials)
    ]
    log.add([described])
    begun = time.monotonic()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        project = build(Path(folder, "project"))
        # What is resumed does not meet the same hogs again.
        stack.enter_context(hogs(given.seed + 1000 * len(done), pinned=True))
        for number, jobs in enumerate(left, 1):
            for job in jobs:
                log.add(do(job, project, tools))
            if jobs:
                took = time.monotonic() - begun
                print(f"{number} of {len(left)} trials, {took:.0f} s", file=sys.stderr, flush=True)


def trustworthy(lines: list[Line]) -> bool:
    """Say whether every tool ran, and the counter check said the same every time."""
    return all(
        "error" not in line
        and (
            line["rule"] != "statements"
            or line["verdicts"]["statements"]["0"] == EXPECTED[line["kind"]]
        )
        for line in lines
        if "head" not in line
    )


if __name__ == "__main__":
    main()
