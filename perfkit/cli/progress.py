"""Progress on stderr: a transient block on a terminal, a plain line a phase elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from perfkit.cli.console import is_interactive, make_console, write
from perfkit.cli.options import Color
from perfkit.run.course import Counting, Loading, Progress, Timing

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

EVERY = 10.0
"""Seconds between plain lines."""
BAR = 24


class Reporter:
    """Hears of a run's progress and shows it; used as a `with` block around the run."""

    def __init__(self, color: Color, *, quiet: bool) -> None:
        self._quiet = quiet
        self._color = color
        self._live: Live | None = None
        self._said = 0.0
        self.about = ""
        """What the progress is of, where one run is of several parts."""

    def __enter__(self) -> Self:
        """Begin to draw, where there is a terminal to draw on."""
        if not self._quiet and is_interactive(sys.stderr):
            from rich.live import Live

            console = make_console(sys.stderr, self._color)
            self._live = Live(console=console, transient=True, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the block away again."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show where the run is."""
        if self._quiet:
            return
        if self._live is None:
            self._say(progress)
            return
        from rich.text import Text

        head = Text(f"{self.about}{describe(progress)}", "dim")
        if isinstance(progress, Timing) and progress.speed_ups:
            from rich.console import Group

            self._live.update(Group(head, _bars(progress)))
        else:
            self._live.update(head)

    def _say(self, progress: Progress) -> None:
        """Print a line for a new phase, and one every ten seconds while rounds are timed."""
        now = time.monotonic()
        first = not isinstance(progress, Timing) or progress.round == 0
        if first or now - self._said >= EVERY:
            write(sys.stderr, f"{self.about}{describe(progress)}\n")
            self._said = now


def describe(progress: Progress) -> str:
    """Say in one line where the run is."""
    if isinstance(progress, Loading):
        return progress.text
    if isinstance(progress, Counting):
        return f"counting {progress.step}/{progress.steps}: {progress.label}"
    if progress.round == 0:
        return "timing: every variant once a round, in random order"
    return f"timing: {progress.round} rounds, at most {progress.remaining:.0f} s more"


def _bars(progress: Timing) -> Table:
    """Draw each variant's speed-up converging, with its half-width."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for variant in progress.variants:
        speed_up = progress.speed_ups.get(variant.name)
        share = 1.0 if speed_up is None else 1 / max(speed_up.ratio, 1e-9)
        bar = "━" * max(1, min(BAR, round(BAR * share)))
        color = {"naive": "red", "wrong lever": "yellow"}.get(variant.role, "cyan")
        said = ""
        if speed_up is not None:
            width = speed_up.half_width
            said = f"{speed_up.ratio:.3g}×" + (f" ±{width:.0%}" if width < 1 else "")
        table.add_row(Text(variant.label[:34], "dim"), Text(bar, color), Text(said))
    return table
