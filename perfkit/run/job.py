"""What the orchestrator and a worker say to each other, over pipes, pickled.

Named tuples, not dataclasses: each worker defines them anew, and these are quicker to define.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from perfkit.model import Bound, Probe, Tally


class Action(StrEnum):
    """What a worker is asked for."""

    SETUP = "load the data"
    COUNT = "count the work"
    MEASURE = "time the values"


class Job(NamedTuple):
    """One order: which probe, with which parameters, where, and what to do.

    The probe is a reference, or what builds it where no module holds it. What is counted is also
    called for calibration, unless no `values` of it will be timed.
    """

    probe: str | Callable[[], Probe[Any, Any]]
    params: Any
    """On the way to the worker they are pickled by themselves."""
    address: object
    action: Action
    variant: str = ""
    loops: int = 1
    values: int = 4


class Done(NamedTuple):
    """The data is loaded."""


class Counted(NamedTuple):
    """One untimed pass: the answer, the work, and the seconds of one call for calibration.

    The seconds are infinite where nothing will be timed.
    `bound` is what the variant predicts. `module` holds the code, and is empty where no module
    does; `modules` are the files of all that were imported.
    """

    answer: object
    work: Mapping[str, Tally]
    seconds: float
    bound: Bound | None = None
    module: str = ""
    modules: Mapping[str, str] = {}


class Values(NamedTuple):
    """The timed values of one worker, in seconds a call."""

    answer: object
    warm_up: float
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    switches: tuple[int, ...]
    run_queue: tuple[float, ...] | None
    peak_rss: int


class Failed(NamedTuple):
    """What went wrong in the worker, in the words of the exception.

    `why` and `fix` are those of an error of perfkit's own. `applies` is False where it says that
    the variant cannot run with this component.
    """

    kind: str
    message: str
    traceback: str
    why: str = ""
    fix: str = ""
    applies: bool = True


Report = Done | Counted | Values | Failed
