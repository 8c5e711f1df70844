"""`perfkit missing`: which integers of a range are missing from a file."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perfkit import units
from perfkit.cli.console import emit, print_error, render, write
from perfkit.cli.meter import Meter
from perfkit.cli.options import REPORT, Color, ColorOption, Json
from perfkit.errors import Exit, MissingExtra, PerfkitError, UsageError
from perfkit.extras import require
from perfkit.units import Unit, parse, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from perfkit.missing.promise import Promise
    from perfkit.missing.source import Source

NUMBERS, MACHINE, TEST = "The numbers", "The machine", "A test file"
PACKAGES = ("numpy", "numba", "flint")
"""What all solvers together need of the optional part `solve`."""
LEAST = 2**14
"""Bytes: below, not even the buffers fit."""
BINARY = ".bin"
"""The ending of binary files."""
RANGE = r"(-?\d{1,20})\.\.(-?\d{1,20})"
COUNT = r"(\d{0,20})(\.\.)?(\d{0,20})"
LINES = 2**14
"""Numbers that are printed at a time."""


def complete_solver(incomplete: str) -> list[str]:
    """Complete a solver's name, where they are installed."""
    with suppress(MissingExtra):
        _require_packages()
        from perfkit.missing.choose import BUILDERS

        return [name for name in BUILDERS if name.startswith(incomplete)]
    return []


def find_numbers(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[FILE]...",
            help="One integer a line, or 32-bit little-endian integers; - is stdin.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    *,
    range_: Annotated[
        str,
        typer.Option(
            "--range",
            metavar="LO..HI",
            help="The first and the last that could be there; or int32, uint32.",
            rich_help_panel=NUMBERS,
        ),
    ] = "int32",
    k: Annotated[
        str,
        typer.Option(
            "--k",
            metavar="COUNT",
            help="How many are missing, if known: 2, ..8 (at most), 1..8.",
            rich_help_panel=NUMBERS,
            show_default=False,
        ),
    ] = "",
    format_: Annotated[
        Literal["text", "binary"] | None,
        typer.Option(
            "--format",
            help="By default the first bytes tell; with --make the ending: .bin is binary.",
            rich_help_panel=NUMBERS,
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        str,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Limit of the solver's states and buffers, at least 16KiB.",
            rich_help_panel=MACHINE,
        ),
    ] = "64MiB",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            help="Threads; by default one a core, where that is worth it.",
            rich_help_panel=MACHINE,
            show_default=False,
        ),
    ] = None,
    solver: Annotated[
        str,
        typer.Option(
            "--solver",
            metavar="NAME",
            help="This solver instead of the cheapest that can.",
            autocompletion=complete_solver,
            rich_help_panel=MACHINE,
            show_default=False,
        ),
    ] = "",
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Read nothing; print what each solver would take and prove, or why not.",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    make: Annotated[
        Path | None,
        typer.Option(
            "--make",
            metavar="FILE",
            help="Write the range, shuffled, without --k numbers (1), and print those.",
            rich_help_panel=TEST,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            help="Write the same file again.",
            rich_help_panel=TEST,
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a file that exists.", rich_help_panel=TEST),
    ] = False,
    json: Json = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print the numbers and nothing else.", rich_help_panel=REPORT
        ),
    ] = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Name the integers of a range that are missing from files, exactly.

    Every other number of the range must be there once. A number twice or
    outside the range, or a line that is none, is an error, never a wrong
    answer. The missing ones go to stdout, one a line, and what was done
    and what that proves to stderr.

    [dim]$[/] perfkit missing ids.txt --range=1..1000000

    [dim]$[/] cut -d, -f1 log.csv | perfkit missing - --range=1..5000

    [dim]$[/] perfkit missing --make ids.bin --k=2     [dim]# all of int32 but two: 16 GiB[/]

    Exit codes: 0 all are named, or none is missing; 2 the files or the
    command line are not what they should be; 3 no solver can do it in
    the memory, the disk is full, a package is missing; 130 interrupted.
    """
    view = View(color, json=json, quiet=quiet)
    promise = _promise(range_, k or ("" if make is None else "1"))
    limit = _memory(memory)
    if make is not None:
        if files or plan or solver:
            raise UsageError("--make reads nothing: FILE, --plan and --solver are not for it")
        return _make(make, promise, format_, seed, view, force=force)
    if seed is not None or force:
        raise UsageError("--seed and --force are for --make", fix="--make FILE")
    if not files:
        raise UsageError("which file?", fix="perfkit missing FILE; - is standard input")
    _require_packages()
    from perfkit.missing.source import Kind, find

    source = find(files, Kind(format_) if format_ else None)
    if plan:
        return _plan(source, promise, limit, jobs, view)
    return _find(source, promise, limit, jobs, solver, view)


@dataclass(frozen=True, slots=True)
class View:
    """How to say what was found."""

    color: Color
    json: bool
    quiet: bool

    def show(
        self,
        numbers: Sequence[int],
        encode: Callable[[], bytes],
        draw: Callable[[], RenderableType],
    ) -> None:
        """Print the numbers on stdout and what was done on stderr, or all of it as JSON.

        Raises CannotRun where stdout cannot take them.
        """
        if self.json:
            emit(encode().decode())
        for start in range(0, len(numbers) * (not self.json), LINES):
            emit("".join(f"{number}\n" for number in numbers[start : start + LINES]))
        if not (self.quiet or self.json):
            write(sys.stderr, render(lambda _: draw(), self.color, sys.stderr))


def _require_packages() -> None:
    """Raise MissingExtra before anything is read, not where a package is first used."""
    for package in PACKAGES:
        require(package, "solve")


def _promise(range_: str, k: str) -> Promise:
    """Read --range and --k; raises UsageError."""
    from perfkit.missing.promise import NAMED, Promise

    if range_ in NAMED:
        low, high = NAMED[range_]
    elif bounds := re.fullmatch(RANGE, range_.replace("_", ""), re.ASCII):
        low, high = int(bounds[1]), int(bounds[2])
    else:
        raise UsageError(
            f"--range {range_}: not a range",
            why=f"it is the first and the last number, or {' or '.join(NAMED)}",
            fix="--range=-5..1000",
        )
    if not k:
        return Promise(low, high)
    counts = re.fullmatch(COUNT, k.replace("_", ""), re.ASCII)
    if counts is None or k == "..":
        raise UsageError(
            f"--k {k}: not a count",
            why="it is 2 (exactly), ..8 (at most), 1..8 or 1.. (at least)",
            fix="leave --k out where nobody knows",
        )
    fewest, dots, most = counts.groups("")
    if not dots:
        return Promise(low, high, int(fewest), int(fewest))
    return Promise(low, high, int(fewest or 0), int(most) if most else None)


def _memory(text: str) -> int:
    """Read --memory; raises UsageError."""
    try:
        size = int(parse(text, Unit.BYTES))
    except ValueError as error:
        raise UsageError(
            f"--memory {text}: not a size", why=str(error), fix="--memory 1MiB"
        ) from error
    if size < LEAST:
        raise UsageError(
            f"--memory {text} is too little",
            why=f"buffers and the smallest state take {show(LEAST, Unit.BYTES)}",
            fix=f"--memory {units.write(LEAST, Unit.BYTES)}",
        )
    return size


def _find(
    source: Source, promise: Promise, memory: int, jobs: int | None, solver: str, view: View
) -> Exit:
    from perfkit.missing.answer import find_missing
    from perfkit.report import missing as report

    meter = Meter(view.color, Unit.BYTES, quiet=view.quiet)
    try:
        with meter:
            answer = find_missing(
                source,
                promise,
                memory,
                jobs=jobs,
                solver=solver,
                start=meter.start,
                tell=meter.tell,
            )
    except KeyboardInterrupt:
        return _interrupted(meter, "nothing was named")
    found = report.found(answer, promise, memory)
    view.show(found.missing, lambda: report.encode(found), lambda: report.render(found))
    return Exit.FINE


def _plan(source: Source, promise: Promise, memory: int, jobs: int | None, view: View) -> Exit:
    from perfkit.missing.answer import plan
    from perfkit.missing.choose import candidates
    from perfkit.report import missing as report

    task = plan(source, promise, memory, jobs=jobs)
    planned = report.planned(task, candidates(task))
    if view.json:
        emit(report.encode(planned).decode())
    else:
        emit(render(lambda _: report.render_planned(planned), view.color))
    return Exit.FINE


def _make(
    path: Path, promise: Promise, format_: str | None, seed: int | None, view: View, *, force: bool
) -> Exit:
    _require_packages()
    from perfkit.missing.make import make
    from perfkit.missing.source import STREAM, Kind
    from perfkit.report import missing as report

    if str(path) == STREAM:
        raise UsageError("--make writes a file, not a stream", fix="--make ids.txt")
    if promise.fewest != promise.most:
        raise UsageError("--make leaves out exactly so many", fix="--k=2")
    # Of a file with more, nobody could name them again.
    missing = promise.missing(promise.size - promise.fewest)
    kind = Kind(format_) if format_ else Kind.BINARY if path.suffix == BINARY else Kind.TEXT
    seed = secrets.randbelow(2**32) if seed is None else seed
    meter = Meter(view.color, Unit.COUNT, quiet=view.quiet)
    meter.start("numbers written", promise.size - missing)
    try:
        with meter:
            made = make(path, promise, missing, kind, seed=seed, force=force, tell=meter.tell)
    except KeyboardInterrupt:
        return _interrupted(meter, "nothing was left behind")
    written = report.written(made, str(path), kind, promise, seed)
    view.show(
        written.missing, lambda: report.encode(written), lambda: report.render_written(written)
    )
    return Exit.FINE


def _interrupted(meter: Meter, why: str) -> Exit:
    print_error(PerfkitError(f"interrupted: {meter}", why=why))
    return Exit.INTERRUPTED
