"""`perfkit gate`: hold scenarios to their checks, alone or against a base."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perfkit.cli.options import (
    EXPERIMENT,
    REPORT,
    Color,
    ColorOption,
    Force,
    Json,
    Quiet,
    Seed,
    complete_scenario,
)
from perfkit.errors import Exit, NothingMatched, PerfkitError, UsageError
from perfkit.verdict import Policy, Word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfkit.gate.session import Order
    from perfkit.outcome import Gate
    from perfkit.run.course import Progress

BASES = "The base"


def run_gate(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[SCENARIO]...",
            help="Names, patterns, files or folders; by default ./scenarios, or all there are.",
            autocompletion=complete_scenario,
            show_default=False,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    *,
    base: Annotated[
        str,
        typer.Option(
            "--base",
            metavar="REV",
            help="Build that revision too, and run both in the same rounds.",
            rich_help_panel=BASES,
            show_default=False,
        ),
    ] = "",
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="Compare with what --save left; times only on the same machine.",
            rich_help_panel=BASES,
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="Keep all that was measured, for --against and compare: .json.",
            rich_help_panel=BASES,
            show_default=False,
        ),
    ] = None,
    counted: Annotated[
        bool,
        typer.Option(
            "--counted",
            help="Only checks of counted work: seconds, and the same on every machine.",
            rich_help_panel=EXPERIMENT,
        ),
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="TIME",
            help="Time a scenario's rounds until all is decided, or for so long: 90s.",
            rich_help_panel=EXPERIMENT,
            show_default=False,
        ),
    ] = None,
    on_inconclusive: Annotated[
        Policy | None,
        typer.Option(
            help="What the exit code makes of a check that noise left open.",
            rich_help_panel=EXPERIMENT,
            show_default=False,
        ),
    ] = None,
    on_unfit_runner: Annotated[
        Policy | None,
        typer.Option(
            help="What it makes of a machine too busy, or not the baseline's.",
            rich_help_panel=EXPERIMENT,
            show_default=False,
        ),
    ] = None,
    seed: Seed = None,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test",
            help="Compare the same code with itself: which limits are safe on this runner?",
            rich_help_panel=EXPERIMENT,
        ),
    ] = False,
    json: Json = False,
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a report as well, by its ending: .xml (JUnit), .md, .json, .pyperf.json, "
            ".prom, .benchmark.json, .bencher.json.",
            rich_help_panel=REPORT,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    force: Force = False,
    quiet: Quiet = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Hold scenarios to their checks: a gate for CI that does not cry wolf.

    The last line is the verdict: pass, fail, inconclusive, unfit, error,
    answers differ or nothing matched. Each has an exit code of its own.

    [dim]$[/] perfkit gate                        [dim]# counters, and ratios inside the run[/]

    [dim]$[/] perfkit gate --base origin/main     [dim]# both revisions, in the same rounds[/]

    [dim]$[/] perfkit gate --counted -o gate.xml  [dim]# only what is exact; JUnit for CI[/]

    [dim]$[/] perfkit gate --save base.json; perfkit gate --against base.json

    [dim]$[/] perfkit gate --self-test            [dim]# is this runner calm enough?[/]
    """
    if self_test:
        from perfkit.cli.self_test import run_self_test

        return run_self_test(budget, json=json, quiet=quiet, color=color)
    from perfkit.cli import files

    try:
        if base and against is not None:
            raise UsageError("--base and --against are two bases", fix="choose one of them")
        files.check(output, force=force, formats=files.GATE_FORMATS)
        files.check([save] if save else [], force=force, formats=(".json",))
        order = _order(
            base,
            against,
            budget,
            on_inconclusive,
            on_unfit_runner,
            seed,
            counted=counted,
            saved=save is not None,
        )
        gate = _run(_chosen(names, order), order, color, quiet=quiet)
    except PerfkitError as error:
        say_verdict(error, json=json)
        raise
    report(gate, json=json, quiet=quiet, color=color)
    tell_github(gate)
    return write_all([*output, *([save] if save else [])], gate)


def write_all(paths: list[Path], gate: Gate) -> Exit:
    """Write every file that can be written, and return the exit code of the whole."""
    from perfkit.cli import files
    from perfkit.cli.console import print_error

    code = gate.exit
    for path in paths:
        try:
            files.write_gate(path, gate)
        except PerfkitError as error:
            # The other files are still wanted; and a missing one is no pass.
            print_error(error)
            code = code if code is not Exit.FINE else error.exit
    return code


def _order(
    base: str,
    against: Path | None,
    budget: str | None,
    on_inconclusive: Policy | None,
    on_unfit_runner: Policy | None,
    seed: int | None,
    *,
    counted: bool,
    saved: bool,
) -> Order:
    import secrets

    from perfkit.gate.session import Order
    from perfkit.settings import Settings, read_project

    settings = Settings(budget, on_inconclusive, on_unfit_runner)
    # A budget that cannot be read is refused now, not after the first scenario.
    _ = settings.seconds
    return Order(
        settings=settings,
        project=read_project(Path.cwd()),
        base=base,
        against=against,
        counted=counted,
        saved=saved,
        seed=secrets.randbelow(2**32) if seed is None else seed,
    )


def _chosen(names: list[str], order: Order) -> Mapping[str, Path]:
    """Return the scenarios that are asked for, else the project's own, else all there are."""
    from perfkit import registry, scenario

    words = names or order.project.scenarios
    if words:
        return scenario.find(words)
    return scenario.inside(Path(scenario.FOLDER)) or registry.scenarios()


def _run(files: Mapping[str, Path], order: Order, color: Color, *, quiet: bool) -> Gate:
    from perfkit.cli.progress import Reporter
    from perfkit.gate.session import run

    numbers = {name: number for number, name in enumerate(files, 1)}
    with Reporter(color, quiet=quiet) as reporter:

        def tell(name: str, progress: Progress) -> None:
            reporter.about = f"{numbers[name]}/{len(numbers)} {name}: "
            reporter(progress)

        return run(files, order, tell)


def report(gate: Gate, *, json: bool, quiet: bool, color: Color) -> None:
    """Print a gate on stdout: as JSON, or drawn, with the verdict as the last line."""
    from perfkit.cli.console import emit, render
    from perfkit.outcome import encode
    from perfkit.report import gate_terminal

    if json:
        emit(encode(gate).decode())
        return
    draw = gate_terminal.render_short if quiet else gate_terminal.render
    emit(render(lambda width: draw(gate, width), color))


def say_verdict(error: PerfkitError, *, json: bool) -> None:
    """Print the last line also where nothing was judged."""
    from perfkit.cli.console import emit

    word = Word.NOTHING if isinstance(error, NothingMatched) else Word.ERROR
    if not json:
        emit(f"verdict: {word}\n")
    _leave("GITHUB_OUTPUT", f"verdict={word}\nexit-code={int(error.exit)}\n")


def tell_github(gate: Gate) -> None:
    """Leave annotations, a summary and the verdict where GitHub Actions looks for them.

    Source: "Workflow commands for GitHub Actions" in GitHub's documentation.
    """
    from perfkit.cli.console import write

    if os.environ.get("GITHUB_ACTIONS") == "true":
        from perfkit.report import annotations

        # Commands are heard on both streams; stdout is the report's.
        write(sys.stderr, annotations.render(gate))
    from perfkit.report import gate_markdown

    _leave("GITHUB_STEP_SUMMARY", gate_markdown.render(gate))
    _leave("GITHUB_OUTPUT", f"verdict={gate.verdict}\nexit-code={int(gate.exit)}\n")


def _leave(name: str, text: str) -> None:
    """Append to the file that a variable of GitHub Actions names, where there is one."""
    from perfkit.cli.console import write

    place = os.environ.get(name)
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        write(sys.stderr, f"cannot write ${name}: {error.strerror}\n")
