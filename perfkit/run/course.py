"""What a run is asked for beyond its plan, and what it tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perfkit.result import Interval, Measured

CHANGE, BASE = "change", "base"


@dataclass(frozen=True, slots=True)
class Loading:
    """The component is being started, or the data loaded."""

    text: str


@dataclass(frozen=True, slots=True)
class Counting:
    """A variant's answer is being checked and its work counted."""

    label: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Rounds are being timed; `speed_ups` come from the rounds so far, by variant."""

    round: int
    elapsed: float
    remaining: float
    """Seconds that the rounds may still take: an upper bound."""
    variants: tuple[Measured, ...]
    speed_ups: Mapping[str, Interval]


Progress = Loading | Counting | Timing


@dataclass(frozen=True, slots=True)
class Side:
    """One state of the code that is measured: where its workers live, and what they import.

    Without a folder, where and what this process does. `environment` is for programs that the
    code starts. The folder may be a part of the checkout `root`. Of `installed` packages there is
    a copy elsewhere, which is not to be used.
    """

    name: str = CHANGE
    folder: Path | None = None
    path: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None
    installed: frozenset[str] = frozenset()


Rounds = Mapping[str, tuple[Measured, ...]]
"""What was measured so far, by the name of the side."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a gate asks for beyond the plan.

    Only the `counted` variants (and the naive one) are run at all and only the `timed` ones are
    timed; None is all of them. The `needed` ones must apply to the component. `settled` is asked
    at every look whether more rounds could change anything. `hurried` times short values.
    """

    sides: tuple[Side, ...] = (Side(),)
    counted: frozenset[str] | None = None
    timed: frozenset[str] | None = None
    needed: frozenset[str] = frozenset()
    settled: Callable[[Rounds], bool] | None = None
    hurried: bool = False

    def times(self, variant: str) -> bool:
        """Say whether a variant is timed."""
        return self.timed is None or variant in self.timed
