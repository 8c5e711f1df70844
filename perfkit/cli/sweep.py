"""`perfkit sweep`: a probe at several values of a parameter, and the law behind the figures."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from perfkit.cli.options import (
    EXPERIMENT,
    AllowRemote,
    Backend,
    Budget,
    Color,
    ColorOption,
    Force,
    Json,
    Output,
    Quiet,
    Seed,
    complete_probe,
)
from perfkit.errors import Exit, NotThere, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from perfkit.model import Plan, Probe
    from perfkit.parameters import Parameter
    from perfkit.run.course import Course
    from perfkit.sweep import Sweep

FEWEST, MOST = 2, 12
"""Values of a sweep: all of them are up at the same time."""
LONGEST = 10.0
"""Seconds of the longest way to a component."""


def complete_parameter(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a parameter that has numbers, once the probe is named."""
    from perfkit.sweep import RTT

    probe = _named(context)
    names = [*(one.name for one in _numbers(probe)), RTT] if probe is not None else []
    return [f"{name}=" for name in names if name.startswith(incomplete)]


def complete_variant(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a variant, once the probe is named."""
    probe = _named(context)
    variants = probe.variants if probe is not None else []
    return [one.name for one in variants if one.name.startswith(incomplete)]


def _named(context: typer.Context) -> Probe[Any, Any] | None:
    """Return the probe of a command line that is being written."""
    from perfkit import registry
    from perfkit.errors import PerfkitError

    # Behind an option that has no value yet, nothing has been sorted into parameters.
    name = context.params.get("name") or next(iter(context.args), "")
    try:
        return registry.probe(name)
    except PerfkitError:
        return None


def run_sweep(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A probe, as `perfkit list` names it.",
            autocompletion=complete_probe,
            show_default=False,
        ),
    ],
    values: Annotated[
        str,
        typer.Argument(
            metavar="PARAM=V1,V2,...",
            help="A parameter of the probe and its values, or rtt=0ms,1ms,2ms.",
            autocompletion=complete_parameter,
            show_default=False,
        ),
    ],
    *,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="Another parameter, the same for all values.",
            rich_help_panel=EXPERIMENT,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    only: Annotated[
        list[str],
        typer.Option(
            "--only",
            metavar="VARIANT",
            help="Measure only this variant and the naive one; may be given again.",
            autocompletion=complete_variant,
            rich_help_panel=EXPERIMENT,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    rtt: Annotated[
        str,
        typer.Option(
            "--rtt",
            metavar="TIME",
            help="Add that much round-trip time to the component: 2ms.",
            rich_help_panel=EXPERIMENT,
            show_default=False,
        ),
    ] = "",
    backend: Backend = "",
    allow_remote: AllowRemote = False,
    budget: Budget = "60s",
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            metavar="N",
            min=0,
            help="Time exactly so many rounds; 0 only counts the work.",
            rich_help_panel=EXPERIMENT,
            show_default=False,
        ),
    ] = None,
    seed: Seed = None,
    json: Json = False,
    output: Output = [],  # noqa: B006 (typer copies it)
    force: Force = False,
    quiet: Quiet = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Run a probe at several values of a parameter, and name the law behind them.

    How work and time grow: constant, linear, n log n or quadratic. How threads
    and consumers scale: the Universal Scalability Law and Amdahl's serial share.
    All values are up at once and take turns in the same rounds.

    [dim]$[/] perfkit sweep lock-contention consumers=1,2,4,8,16 --rtt 2ms

    [dim]$[/] perfkit sweep db-fetch orders=50,100,200,400 -o growth.svg

    [dim]$[/] perfkit sweep db-write rtt=0ms,1ms,2ms,5ms --rounds 8 --json
    """
    from perfkit.cli import files
    from perfkit.cli.console import emit, print_error
    from perfkit.cli.progress import Reporter
    from perfkit.errors import PerfkitError
    from perfkit.run.course import Progress
    from perfkit.run.sweep import run_sweep as measure

    files.check(output, force=force, formats=files.SWEEP_FORMATS)
    parameter, plans = _plans(
        name, values, settings, rtt, backend, budget, rounds, seed, allow_remote=allow_remote
    )
    course = _course(next(iter(plans.values())).probe, only)
    with Reporter(color, quiet=quiet) as reporter:

        def tell(name: str, progress: Progress) -> None:
            reporter.about = f"{name}: " if name else ""
            reporter(progress)

        sweep = measure(parameter, plans, course, tell)
    # Each of the two is done whatever becomes of the other: it took long to measure.
    try:
        emit(text(sweep, json=json, quiet=quiet, color=color))
    finally:
        for path in output:
            files.write_sweep(path, sweep)
    if sweep.stopped == "interrupted":
        done = "1 round" if sweep.rounds == 1 else f"{sweep.rounds} rounds"
        print_error(PerfkitError(f"interrupted after {done}; this is a part"))
        return Exit.INTERRUPTED
    return Exit.FINE


def text(sweep: Sweep, *, json: bool, quiet: bool, color: Color) -> str:
    """Return what goes to stdout for a sweep: JSON, its sentences, or the whole report."""
    if json:
        from perfkit.sweep import encode

        return encode(sweep).decode()
    from perfkit.cli.console import render
    from perfkit.report import sweep as report

    draw = report.render_short if quiet else report.render
    return render(lambda width: draw(sweep, width), color)


def _plans(
    name: str,
    values: str,
    settings: Sequence[str],
    rtt: str,
    backend: str,
    budget: str,
    rounds: int | None,
    seed: int | None,
    *,
    allow_remote: bool,
) -> tuple[Parameter, dict[float, Plan]]:
    """Read the command line; raises UsageError before anything is started."""
    import secrets

    from perfkit import registry
    from perfkit.cli.probe import seconds
    from perfkit.model import Location, Plan
    from perfkit.parameters import arguments
    from perfkit.sweep import RTT

    probe = registry.probe(name)
    swept, listed = _split(values, probe)
    parameter = _parameter(swept, probe)
    given = arguments(list(settings), name)
    if swept in given or (swept == RTT and rtt):
        raise UsageError(
            f"{swept} is given twice",
            why="once as what is swept, and once as what stays the same",
            fix=f"leave out {'--rtt' if swept == RTT else f'-s {swept}={given[swept]}'}",
        )
    drawn = secrets.randbelow(2**32) if seed is None else seed
    longest = seconds("--budget", budget, 86_400.0)
    plans: dict[float, Plan] = {}
    for value in listed:
        at = value if swept == RTT else rtt or "0ms"
        plan = Plan(
            probe=probe,
            params=_read(probe, parameter, value, given, values),
            location=Location(
                backend,
                0.0 if at == "0" else seconds("rtt" if swept == RTT else "--rtt", at, LONGEST),
                allow_remote=allow_remote,
            ),
            budget=longest,
            rounds=rounds,
            seed=drawn,
        )
        key = plan.location.rtt if swept == RTT else getattr(plan.params, swept)
        if key in plans:
            raise UsageError(
                f"{swept}={value} is there twice",
                why="every value has one place on the curve",
                fix=f"perfkit sweep {name} {_example(parameter)}",
            )
        plans[key] = plan
    return parameter, dict(sorted(plans.items()))


def _read(
    probe: Probe[Any, Any], parameter: Parameter, value: str, given: Mapping[str, str], values: str
) -> object:
    """Return a probe's parameters at a value; raises UsageError with a sweep that works."""
    from perfkit.parameters import read
    from perfkit.sweep import RTT

    swept, name = parameter.name, probe.name
    try:
        return read(probe.params, given if swept == RTT else {**given, swept: value}, name)
    except UsageError as error:
        error.fix = (
            f"perfkit sweep {name} {_example(parameter)}"
            if error.what.startswith(f"{swept}=")
            else error.fix.replace(f"probe {name} ", f"sweep {name} {shlex.quote(values)} ")
        )
        raise


def _split(text: str, probe: Probe[Any, Any]) -> tuple[str, list[str]]:
    """Split `PARAM=1,2,4` into the name and the values; raises UsageError."""
    from perfkit.sweep import RTT

    name, _, listed = (part.strip() for part in text.partition("="))
    values = [value for value in (part.strip() for part in listed.split(",")) if value]
    if name and FEWEST <= len(values) <= MOST:
        return name, values
    numbers = _numbers(probe)
    example = _example(numbers[0]) if numbers else f"{RTT}=0ms,1ms,2ms,5ms"
    why = "what is swept is written PARAM=V1,V2,..."
    if name and listed:
        why = f"a curve takes {FEWEST} to {MOST} values, not {len(values)}"
    raise UsageError(f"'{text}' is no sweep", why=why, fix=f"perfkit sweep {probe.name} {example}")


def _numbers(probe: Probe[Any, Any]) -> list[Parameter]:
    """Return the parameters that a curve can be drawn over."""
    from perfkit.parameters import describe

    return [one for one in describe(probe.params) if one.unit is not None]


def _parameter(name: str, probe: Probe[Any, Any]) -> Parameter:
    """Return what is swept; raises UsageError with the nearest name where there is no such."""
    from difflib import get_close_matches

    from perfkit.parameters import Parameter
    from perfkit.sweep import RTT
    from perfkit.units import Unit

    numbers = {one.name: one for one in _numbers(probe)}
    if name in numbers:
        return numbers[name]
    if name == RTT:
        return Parameter(RTT, "round-trip time added", Unit.SECONDS, 0.0, 0, LONGEST)
    close = get_close_matches(name, [*numbers, RTT], n=1, cutoff=0.5)
    has = ", ".join([*(str(one) for one in numbers.values()), RTT])
    raise UsageError(
        f"{probe.name} has no numbers called '{name}'"
        + (f"; did you mean '{close[0]}'?" if close else ""),
        why=f"a curve is drawn over: {has}",
        fix=f"perfkit explain {probe.name}",
    )


def _example(parameter: Parameter) -> str:
    """Return values of a parameter that work: from a quarter of its default on, each the double."""
    from perfkit.units import Unit, write

    unit = parameter.unit or Unit.COUNT
    least = 0.001 if unit is Unit.SECONDS else 1
    default = parameter.default if isinstance(parameter.default, int | float) else 0
    first = max(parameter.lowest or 0, least, default / 4)
    values = [
        first * 2**step if unit is Unit.SECONDS else int(first) * 2**step for step in range(4)
    ]
    highest = parameter.highest or values[-1]
    listed = ",".join(write(value, unit) for value in values if value <= highest)
    return f"{parameter.name}={listed}"


def _course(probe: Probe[Any, Any], only: Sequence[str]) -> Course:
    """Return what is measured: all, or the naive variant and those that are named."""
    from perfkit.model import Role
    from perfkit.run.course import Course

    if not only:
        return Course()
    for name in only:
        try:
            probe.variant(name)
        except NotThere as error:
            raise UsageError(
                error.what, why=f"it has: {', '.join(one.name for one in probe.variants)}"
            ) from None
    naive = {one.name for one in probe.variants if one.role is Role.NAIVE}
    chosen = frozenset({*only, *naive})
    return Course(counted=chosen, timed=chosen)
