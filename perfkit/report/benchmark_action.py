"""Write a gate for benchmark-action/github-action-benchmark, tool `customSmallerIsBetter`.

The format is a list of `{name, unit, value, range, extra}`, the last two free texts. Source: the
action's README, "Custom benchmarks", and `BenchmarkResult` in its src/extract.ts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from perfkit.checks import unit
from perfkit.outcome import SCHEMA, Gate
from perfkit.report.gate_words import failed, measured, typical
from perfkit.report.words import clean
from perfkit.units import Unit

MILLISECONDS = 1000
"""One unit for all of them: a series keeps its unit from run to run."""

Entry = dict[str, str | float]


def render(gate: Gate) -> str:
    """Return, as JSON, how many checks failed, and the time and work of each variant here."""
    return json.dumps(list(_entries(gate)), indent=1, ensure_ascii=False) + "\n"


def _entries(gate: Gate) -> Iterator[Entry]:
    about = f"perfkit {clean(gate.perfkit)}, seed {gate.seed}, {SCHEMA}"
    yield _entry("perfkit gate: checks failed", "checks", failed(gate), about)
    for (scenario, variant), one in measured(gate).items():
        name = f"{scenario}/{variant}"
        if one.samples:
            time, processes = typical(one), f"{len(one.samples)} processes"
            entry = _entry(f"{name} time", "ms", MILLISECONDS * time.ratio, processes, about)
            if time.low is not None and time.high is not None:
                low, high = MILLISECONDS * time.low, MILLISECONDS * time.high
                entry["range"] = f"{low:.4g} to {high:.4g}"
            yield entry
        for counter, work in one.work.items():
            words = clean(counter).replace("_", " ")
            pieces = "bytes" if unit(counter) is Unit.BYTES else words
            counted = f"counted by {clean(work.witness)}"
            yield _entry(f"{name} {words}", pieces, work.value, counted, about)


def _entry(name: str, unit: str, value: float, *extra: str) -> Entry:
    return {"name": name, "unit": unit, "value": value, "extra": "\n".join(extra)}
