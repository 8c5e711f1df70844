"""Write a gate in Bencher Metric Format: `{benchmark: {measure: {value, lower_value, ...}}}`.

Source: bencher.dev, "Bencher Metric Format (BMF)" with its JSON schema, and "How to Track Custom
Benchmarks": the built-in measure `latency` is in nanoseconds; names of benchmarks have at most
1024 characters, names of measures at most 64.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from perfkit.outcome import SCHEMA, Gate
from perfkit.report.gate_words import failed, measured, typical
from perfkit.report.words import clean
from perfkit.result import Measured

NANOSECONDS = 1e9
LONGEST_NAME, LONGEST_MEASURE = 1024, 64

Metric = dict[str, float]


def render(gate: Gate) -> str:
    """Return the typical time and the counted work of every variant of the change, as JSON.

    A benchmark with the name of our schema tells how many checks failed.
    """
    told: dict[str, dict[str, Metric]] = {SCHEMA: {"checks-failed": {"value": failed(gate)}}}
    told |= {
        f"{scenario}/{variant}"[:LONGEST_NAME]: dict(_measures(one))
        for (scenario, variant), one in measured(gate).items()
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def _measures(variant: Measured) -> Iterator[tuple[str, Metric]]:
    if variant.samples:
        time = typical(variant)
        ends = {"lower_value": time.low, "upper_value": time.high}
        known = {name: NANOSECONDS * end for name, end in ends.items() if end is not None}
        yield "latency", {"value": NANOSECONDS * time.ratio} | known
    for counter, work in variant.work.items():
        metric: Metric = {"value": work.value}
        if work.again is not None:
            low, high = sorted((work.value, work.again))
            metric |= {"lower_value": low, "upper_value": high}
        yield clean(counter).replace("_", "-")[:LONGEST_MEASURE], metric
