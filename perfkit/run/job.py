"""What the orchestrator and a worker say to each other, over pipes, pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfkit.model import Tally


class Action(StrEnum):
    """What a worker is asked for."""

    SETUP = "load the data"
    COUNT = "count the work"
    MEASURE = "time the values"


@dataclass(frozen=True, slots=True)
class Job:
    """One order: which probe, with which parameters, where, and what to do."""

    probe: str
    params: object
    address: object
    action: Action
    variant: str = ""
    loops: int = 1
    values: int = 4


@dataclass(frozen=True, slots=True)
class Done:
    """The data is loaded."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One untimed pass: the answer, the work, and the seconds of one call for calibration."""

    answer: object
    work: Mapping[str, Tally]
    seconds: float


@dataclass(frozen=True, slots=True)
class Values:
    """The timed values of one worker, in seconds a call."""

    answer: object
    warm_up: float
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    switches: tuple[int, ...]
    run_queue: tuple[float, ...] | None
    peak_rss: int


@dataclass(frozen=True, slots=True)
class Failed:
    """What went wrong in the worker, in the words of the exception."""

    kind: str
    message: str
    traceback: str


Report = Done | Counted | Values | Failed
