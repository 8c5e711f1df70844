"""A probe whose work grows with a parameter, as a sweep sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from perfkit.backends.python import Python
from perfkit.model import Probe, count
from sample_probes.notes import Notes, write


@dataclass(frozen=True)
class Steps(Notes):
    """How many steps, and how many a variant can take at most."""

    steps: Annotated[int, count("steps", at_most=1_000)] = 10
    most: Annotated[int, count("steps of the wrong lever", at_most=1_000)] = 1_000


probe = Probe("growing", "Steps", Python, Steps, work={"calls": "calls"}, cause="calls")
bounded = Probe("bounded", "Steps", Python, Steps, work={"calls": "calls"}, cause="calls")


def step() -> int:
    return 1


def too_many(steps: Steps) -> str:
    return "" if steps.steps <= steps.most else f"it takes {steps.most} steps at most"


@bounded.naive("each step", unless=too_many)
@probe.naive("each step")
def each(_python: Python, steps: Steps) -> object:
    write(steps, "each")
    if steps.wish == f"raise at {steps.steps}" or Path(f"{steps.file}-{steps.steps}").exists():
        message = "no more"
        raise ValueError(message)
    taken = 0
    for _ in range(steps.steps):
        taken += step()
    return taken


@probe.wrong_lever("each step still", why="They are as many.", unless=too_many)
def still_each(_python: Python, steps: Steps) -> object:
    write(steps, "still_each")
    taken = 0
    for _ in range(steps.steps):
        taken += step()
    return taken


@bounded.fixed("all at once")
@probe.fixed("all at once")
def at_once(_python: Python, steps: Steps) -> object:
    write(steps, "at_once")
    return steps.steps * step()
