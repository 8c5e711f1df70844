"""Write a gate as OpenMetrics text, for a dashboard.

There are only gauges in it, so that the textfile collector of Prometheus' node_exporter, which
reads the older text format, reads it as well.
"""

from __future__ import annotations

from statistics import median
from types import ModuleType
from typing import Any

from perfkit.extras import require
from perfkit.outcome import SCHEMA, Gate
from perfkit.report.gate_words import SIDES, measured, scale, typical
from perfkit.report.words import clean

PACKAGE = "prometheus_client"
FIRST = "# HELP perfkit_gate_info "
"""How a file of ours begins."""
_CHECK = ("scenario", "target", "check")
_VARIANT = ("scenario", "variant", "side")


def render(gate: Gate) -> str:
    """Return the gate as text that ends in `# EOF`; raises MissingExtra without the library."""
    prometheus = require(PACKAGE, "ci")
    exposition = require(f"{PACKAGE}.openmetrics.exposition", "ci")
    registry = prometheus.CollectorRegistry()
    _about(prometheus, registry, gate)
    _checks(prometheus, registry, gate)
    _variants(prometheus, registry, gate)
    text: str = exposition.generate_latest(registry).decode()
    return text


def _about(prometheus: ModuleType, registry: Any, gate: Gate) -> None:
    known = {
        "schema": SCHEMA,
        "perfkit": clean(gate.perfkit),
        "started": clean(gate.started),
        "base": clean(gate.base),
        "seed": str(gate.seed),
        "cpu": clean(gate.machine.cpu),
        "python": clean(gate.machine.python),
        "verdict": str(gate.verdict),
    }
    info = prometheus.Gauge(
        "perfkit_gate_info", "One run of perfkit gate.", known, registry=registry
    )
    info.labels(**known).set(1)
    duration = prometheus.Gauge(
        "perfkit_scenario_duration_seconds",
        "How long a scenario took, and its verdict.",
        ["scenario", "verdict"],
        registry=registry,
    )
    for scenario in gate.scenarios:
        duration.labels(clean(scenario.name), str(scenario.verdict)).set(scenario.duration)


def _checks(prometheus: ModuleType, registry: Any, gate: Gate) -> None:
    def gauge(name: str, text: str, *labels: str) -> Any:
        return prometheus.Gauge(
            f"perfkit_check_{name}", text, [*_CHECK, *labels], registry=registry
        )

    verdict = gauge("verdict", "1, with the verdict of a check.", "verdict")
    figures = {
        "value": gauge("value", "What was judged: a ratio, seconds, bytes or pieces.", "unit"),
        "low": gauge("low", "The lower end of its interval.", "unit"),
        "high": gauge("high", "The upper end of its interval.", "unit"),
        "limit": gauge("limit", "What it was held to.", "unit"),
        "detectable": gauge("detectable", "The smallest slow-down that a pass excludes.", "unit"),
        "rounds": gauge("rounds", "How many rounds it was judged by.", "unit"),
    }
    for scenario in gate.scenarios:
        for one in scenario.judged:
            names = (clean(scenario.name), clean(one.target), clean(one.check))
            verdict.labels(*names, str(one.verdict)).set(1)
            units = {"detectable": "ratio", "rounds": "count"}
            for name, figure in figures.items():
                value = getattr(one, name)
                if value is not None:
                    figure.labels(*names, units.get(name, scale(one))).set(value)


def _variants(prometheus: ModuleType, registry: Any, gate: Gate) -> None:
    work = prometheus.Gauge(
        "perfkit_work", "Counted work of a call.", [*_VARIANT, "counter"], registry=registry
    )
    times = prometheus.Gauge(
        "perfkit_typical_seconds",
        "Typical time of a call.",
        [*_VARIANT, "clock"],
        registry=registry,
    )
    for side in SIDES:
        for (scenario, name), variant in measured(gate, side).items():
            for counter, counted in variant.work.items():
                work.labels(scenario, name, side, clean(counter)).set(counted.value)
            if variant.samples:
                cpu = median(median(sample.cpu) for sample in variant.samples)
                times.labels(scenario, name, side, "wall").set(typical(variant).ratio)
                times.labels(scenario, name, side, "cpu").set(cpu)
