"""One probe at several values of a parameter: all of them up at once, taking turns in each round.

So whatever the machine does meanwhile meets all values alike, and a figure of one value is paired
with those of the others by its round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from perfkit.model import Plan
from perfkit.parameters import Parameter
from perfkit.run.course import CHANGE, Course, Progress
from perfkit.run.orchestrator import time_rounds
from perfkit.run.trial import named, opened
from perfkit.sweep import Sweep, curves
from perfkit.units import Unit, show


def run_sweep(
    parameter: Parameter,
    plans: Mapping[float, Plan],
    course: Course,
    tell: Callable[[str, Progress], None] = lambda _name, _progress: None,
) -> Sweep:
    """Run a plan for each value of a parameter, ascending, in the same rounds.

    They are of one probe; rounds, budget and seed are the first one's. `tell` hears of the
    progress and of which value it is ("consumers=4"); of all of them where it is empty. A
    KeyboardInterrupt once all is counted ends the timing early: the sweep says `interrupted`, and
    holds what was counted and the complete rounds. Raises what `run` does, naming the value.
    """
    begun = time.perf_counter()
    with ExitStack() as stack:
        trials = []
        for value, plan in plans.items():
            name = f"{parameter.name}={show(value, parameter.unit or Unit.COUNT)}"
            with named(name):
                trial = stack.enter_context(opened(plan, course, partial(tell, name)))
            trial.name = name
            trials.append(trial)
        together = next(iter(plans.values()))
        try:
            stopped = time_rounds(trials, together, partial(tell, ""))
        except KeyboardInterrupt:
            stopped = "interrupted"
        results = tuple(trial.results(stopped)[CHANGE] for trial in trials)
    first, values = results[0], tuple(map(float, plans))
    return Sweep(
        perfkit=first.perfkit,
        started=first.started,
        duration=round(time.perf_counter() - begun, 3),
        seed=together.seed,
        stopped=stopped,
        probe=first.probe,
        title=first.title,
        parameter=parameter.name,
        text=parameter.text,
        unit=parameter.unit,
        workers=parameter.workers,
        values=values,
        results=results,
        curves=curves(values, results, workers=parameter.workers),
    )
