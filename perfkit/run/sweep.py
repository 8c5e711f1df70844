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
from perfkit.run.trial import Trial, named, opened, require_complete
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
    names = {value: _named(parameter, value) for value in plans}
    for value, plan in plans.items():
        # Before the first is started, which may take long.
        with named(names[value]):
            require_complete(plan)
    with ExitStack() as stack:
        trials: list[Trial] = []
        # The last value first: what is too much for the component is found before others are up.
        for value in reversed(list(plans)):
            name = names[value]
            with named(name):
                trial = stack.enter_context(opened(plans[value], course, partial(tell, name)))
            trial.name = name
            trials.insert(0, trial)
        together = next(iter(plans.values()))
        try:
            stopped = time_rounds(trials, together, partial(tell, ""))
        except KeyboardInterrupt:
            stopped = "interrupted"
        # Ctrl-C comes in the middle of a round, which some have and others have not.
        rounds = min(trial.rounds for trial in trials)
        results = tuple(trial.results(stopped, rounds)[CHANGE] for trial in trials)
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


def _named(parameter: Parameter, value: float) -> str:
    """Name a plan by its value: `consumers=4`."""
    return f"{parameter.name}={show(value, parameter.unit or Unit.COUNT) if value else 0}"
