"""perfkit as the other tools are run in `gate_false_alarms`: its command, its exit code."""

from __future__ import annotations

import sys
import time
from typing import Any

from gated_project import Project
from msgspec.structs import replace
from peers import LIMITS, Comparison, call

from perfkit import checks, decide, outcome
from perfkit.decide import Sides
from perfkit.errors import Exit
from perfkit.outcome import Gate, Judged
from perfkit.result import Measured
from perfkit.stats import LOOKS
from perfkit.verdict import EXITS, Word

COLOURS = {
    Exit.FINE: "green",
    Exit.FOUND: "red",
    Exit.UNCLEAR: "inconclusive",
    Exit.UNFIT: "unfit",
}
"""What an exit code is in the table; any other one is an error."""


def gate_time(project: Project, change: str, limit: int) -> Comparison:
    """Hold the time of a change to a limit in percent.

    The exit code is the verdict at that limit. At a lower one it is what the same rounds say, at
    the looks at which a gate with that limit would have judged them.
    """
    begun = time.perf_counter()
    gate = run_gate(project, change, f"gate{limit}.toml")
    seconds = time.perf_counter() - begun
    ((judged,),) = (one.judged for one in gate.scenarios)
    said = {str(limit): COLOURS[gate.exit]}
    figures: dict[str, Any] = {"rounds": judged.rounds, "said": judged.said}
    (gated,) = gate.scenarios
    if gated.result is not None and gated.base is not None:
        (mine,), (base,) = gated.result.variants, gated.base.variants
        figures |= {"change": floors(mine), "base": floors(base)}
        for lower in (each for each in LIMITS if each < limit):
            again = replay(mine, base, lower) if judged.rounds else judged
            said[str(lower)] = COLOURS[EXITS[again.verdict]]
            figures[f"rounds at {lower} %"] = again.rounds
    return Comparison({"gate": said}, seconds, figures)


def gate_statements(project: Project, change: str) -> Comparison:
    """Hold a change to as many statements as the base."""
    begun = time.perf_counter()
    gate = run_gate(project, change, "statements.toml")
    seconds = time.perf_counter() - begun
    ((judged,),) = (one.judged for one in gate.scenarios)
    return Comparison({"statements": {"0": COLOURS[gate.exit]}}, seconds, {"said": judged.said})


def run_gate(project: Project, change: str, scenario: str) -> Gate:
    """Run `perfkit gate` in the checkout of a change, as CI does."""
    words = ["gate", scenario, "--base", project.commits["base"], "--json"]
    done = call(
        [sys.executable, "-m", "perfkit", *words],
        at=project.checkout(change),
        fine=[int(code) for code in COLOURS],
    )
    gate = outcome.decode(done.stdout.encode(), scenario)
    if gate.exit != done.returncode:
        raise RuntimeError(f"the file says {gate.exit}, the exit code {done.returncode}")
    return gate


def replay(mine: Measured, base: Measured, limit: int) -> Judged:
    """Return what a gate with another limit would have said of these rounds, look by look."""
    check = checks.parse(f"{mine.name}@base", f"time < {limit}%", "replay")
    rounds = len(mine.samples)
    for look in (*(each for each in LOOKS if each < rounds), rounds):
        change, before = (
            {side.name: replace(side, samples=side.samples[:look])} for side in (mine, base)
        )
        judged = decide.judge(check, Sides(change, before))
        if judged.verdict is not Word.INCONCLUSIVE:
            break
    return judged


def floors(side: Measured) -> list[list[int]]:
    """Return every round's fastest processor and wall time, in nanoseconds."""
    return [
        [round(min(sample.cpu) * 1e9), round(min(sample.wall) * 1e9)] for sample in side.samples
    ]
