"""What the stories of `snmp-bulk` claim, and whether a run of their scenarios bears it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from goal import NO_INTERVAL, compare

from perfkit.model import Location, Plan
from perfkit.result import Interval, Result
from perfkit.run.course import CHANGE, Course
from perfkit.run.orchestrator import run_sides
from perfkit.scenario import load
from perfkit.stats import typical_ratio

SCENARIOS = Path(__file__).parent.parent / "scenarios"
NAIVE = "get-each"
BACKENDS = {"pysnmp agent": "", "snmpd": "snmpd"}
"""The agents, and where perfkit finds them."""


@dataclass(frozen=True)
class Claim:
    """How many times as fast as GET per OID a variant is, at least and at most."""

    scenario: str
    variant: str
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        """`at least 8`, `0.9 to 1.2`."""
        if self.at_least is None:
            return f"at most {self.at_most:g}"
        if self.at_most is None:
            return f"at least {self.at_least:g}"
        return f"{self.at_least:g} to {self.at_most:g}"


CLAIMS = (
    Claim("snmp-lan-slow-device", "get-in-threads", at_most=1.35),
    Claim("snmp-lan-slow-device", "walk-in-bulk", at_least=8),
    Claim("snmp-wan", "walk-in-bulk", at_least=20),
    Claim("snmp-wan", "get-compiled", at_least=0.9, at_most=1.2),
    Claim("snmp-fleet", "walk-all-at-once", at_least=25),
)


def tell(scenario: str, backend: str, rounds: int, interfaces: int | None = None) -> dict[str, Any]:
    """Run a scenario's variants that are spoken of, and return their values and requests.

    Raises CannotRun where the backend is not installed.
    """
    claimed = frozenset(claim.variant for claim in CLAIMS if claim.scenario == scenario)
    timed = claimed | {NAIVE}
    result = run_sides(
        _plan(scenario, backend, rounds, interfaces), Course(counted=timed, timed=timed)
    )
    return values(result[CHANGE])


def _plan(scenario: str, backend: str, rounds: int, interfaces: int | None) -> Plan:
    plan = load(SCENARIOS / f"{scenario}.toml").plan()
    params: Any = plan.params
    if interfaces is not None:
        params = replace(params, interfaces=interfaces)
    location = Location(BACKENDS[backend], plan.location.rtt)
    return plan._replace(params=params, location=location, rounds=rounds)


def values(result: Result) -> dict[str, Any]:
    """Return what is recorded of a run: seconds a call by process, requests, and predictions."""
    return {
        "component": str(result.component),
        "seconds": {
            variant.name: [list(sample.wall) for sample in variant.samples]
            for variant in result.variants
        },
        "requests": {variant.name: variant.work["requests"].value for variant in result.variants},
        "lost": sum(variant.work["lost"].value for variant in result.variants),
        "bounds": {
            variant.name: variant.bound.at_most for variant in result.variants if variant.bound
        },
    }


def speed(found: Mapping[str, Any], variant: str) -> Interval:
    """Return how many times as fast as GET per OID a variant was, by rounds."""
    naive, other = (
        [median(sample) for sample in found["seconds"][name]] for name in (NAIVE, variant)
    )
    return typical_ratio(naive, other)


def judge(claim: Claim, ratio: Interval) -> str:
    """Say whether a claim holds: the whole interval must be within its limits."""
    if ratio.low is None or ratio.high is None:
        return NO_INTERVAL
    said = []
    if claim.at_least is not None:
        # At least so much is at most so little, of what is negative.
        said.append(compare(-ratio.high, -ratio.low, -claim.at_least))
    if claim.at_most is not None:
        said.append(compare(ratio.low, ratio.high, claim.at_most))
    return max(said, key=lambda word: ("met", "unclear", "missed").index(word.partition(":")[0]))
