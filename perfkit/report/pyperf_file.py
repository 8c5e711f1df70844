"""Write the times of a gate as a pyperf file, through pyperf's own classes.

`python -m pyperf compare_to`, `check` and `show` read it. Both sides of a gate have the same
rounds, so that pyperf's test finds as many runs in one file as in the other.
"""

from __future__ import annotations

import io
import json
from types import ModuleType
from typing import Any

from perfkit.errors import CannotRun
from perfkit.extras import require
from perfkit.outcome import SCHEMA, Gate
from perfkit.report.gate_words import Side, measured
from perfkit.report.words import clean
from perfkit.result import Measured, Sample

PACKAGE = "pyperf"


def render(gate: Gate, side: Side = "change") -> str:
    """Return a benchmark a timed variant, of the change or of the base, a run a process.

    Both sides have the same names, so that pyperf compares them. Raises MissingExtra where pyperf
    is not installed, and CannotRun where that side was not timed: pyperf has no empty file.
    """
    pyperf = require(PACKAGE, "ci")
    about = _about(gate)
    try:
        suite = pyperf.BenchmarkSuite(
            [
                pyperf.Benchmark(
                    [_run(pyperf, about | _of(name, one), sample) for sample in one.samples]
                )
                for name, one in measured(gate, side).items()
                if one.samples
            ]
        )
    except ValueError as error:
        raise CannotRun(
            f"there is no pyperf file of the {side}",
            why=f"pyperf says: {error}",
            fix="only timed checks leave times, and only a base leaves those of the base",
        ) from error
    memory = io.StringIO()
    suite.dump(memory, compact=False)
    return memory.getvalue()


def render_base(gate: Gate) -> str:
    """Return the same of the base."""
    return render(gate, "base")


def _about(gate: Gate) -> dict[str, str | int]:
    machine = gate.machine
    known = {
        "cpu_model_name": machine.cpu,
        "platform": f"{machine.system} {machine.kernel}",
        "python_version": machine.python,
        "perfkit_version": gate.perfkit,
        "perfkit_schema": SCHEMA,
        "perfkit_base": gate.base,
        "perfkit_started": gate.started,
        "unit": "second",
    }
    # pyperf refuses empty texts.
    texts = {name: clean(text) for name, text in known.items() if clean(text)}
    return texts | {"cpu_count": machine.cores, "perfkit_seed": gate.seed}


def _of(name: tuple[str, str], variant: Measured) -> dict[str, str]:
    work = {clean(counter): work.value for counter, work in variant.work.items()}
    label = clean(variant.label)
    return {
        "name": "/".join(name),
        "perfkit_work": json.dumps(work),
        **({"description": label} if label else {}),
    }


def _run(pyperf: ModuleType, metadata: dict[str, Any], sample: Sample) -> Any:
    known = {
        "loops": sample.loops,
        "perfkit_round": sample.round,
        "perfkit_position": sample.position,
        "perfkit_cpu": json.dumps(sample.cpu),
    }
    if sample.peak_rss:
        known["command_max_rss"] = sample.peak_rss
    return pyperf.Run(
        sample.wall,
        warmups=[(sample.loops, sample.warm_up)],
        metadata=metadata | known,
        collect_metadata=False,
    )
