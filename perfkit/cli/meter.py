"""How far a long stretch of work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from perfkit.cli.console import is_interactive, make_console, write
from perfkit.cli.options import Color
from perfkit.units import Unit, show

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY = 10.0
"""Seconds between plain lines; what is over before says nothing."""
OFTEN = 0.1
"""Seconds between two drawings."""


class Meter:
    """Hears of pieces of work, in any thread, and shows them; a `with` block around the work."""

    def __init__(self, color: Color, unit: Unit, *, quiet: bool) -> None:
        self._quiet = quiet
        self._color = color
        self._unit = unit
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._drawn = self._said = time.monotonic()
        self._about = ""
        self._total = 0
        self._done = 0

    def __enter__(self) -> Self:
        """Begin to draw, where there is a terminal to draw on."""
        if not self._quiet and is_interactive(sys.stderr):
            self._bar = _bar(self._color, self._unit)
            self._bar.start()
            if self._about:
                self.start(self._about, self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away again."""
        if self._bar is not None:
            self._bar.stop()

    def start(self, about: str, total: int) -> None:
        """Begin with something new of so many pieces; 0 where nobody knows how many."""
        self._about, self._total, self._done = about, total, 0
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(about, total=total or None)

    def tell(self, size: int) -> None:
        """Hear of so many pieces more."""
        now = time.monotonic()
        with self._lock:
            self._done += size
            if self._bar is not None:
                if now - self._drawn >= OFTEN and self._task is not None:
                    self._bar.update(self._task, description=self._head, completed=self._within)
                    self._drawn = now
            elif not self._quiet and now - self._said >= EVERY:
                write(sys.stderr, f"{self}\n")
                self._said = now

    @property
    def _round(self) -> int:
        """How often all of it has begun."""
        return (max(self._done, 1) - 1) // self._total + 1 if self._total else 1

    @property
    def _within(self) -> int:
        return self._done - (self._round - 1) * self._total

    @property
    def _head(self) -> str:
        return self._about if self._round == 1 else f"{self._about}, pass {self._round}"

    def __str__(self) -> str:
        """`cells, pass 2: 1.2 GiB of 16 GiB`."""
        total = f" of {show(self._total, self._unit)}" if self._total else ""
        return f"{self._head}: {show(self._within, self._unit)}{total}"


def _bar(color: Color, unit: Unit) -> Progress:
    """Return a bar that goes away, with what is done, the rate and the time that is left."""
    from rich import progress

    counted = (
        (progress.DownloadColumn(binary_units=True), progress.TransferSpeedColumn())
        if unit is Unit.BYTES
        else (progress.MofNCompleteColumn(),)
    )
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(24),
        *counted,
        progress.TimeRemainingColumn(compact=True),
        console=make_console(sys.stderr, color),
        transient=True,
    )
