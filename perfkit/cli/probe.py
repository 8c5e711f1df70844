"""`perfkit probe`: run a probe and report what was measured."""

from __future__ import annotations

import os
import sys
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
from perfkit.errors import Exit, UsageError

if TYPE_CHECKING:
    from perfkit.model import Plan
    from perfkit.result import Result


def run_probe(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A probe, as `perfkit list` names it; without it, pick one.",
            autocompletion=complete_probe,
            show_default=False,
        ),
    ] = None,
    *,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="A parameter, with its unit where it has one: orders=2000.",
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
        ),
    ] = "0ms",
    backend: Backend = "",
    allow_remote: AllowRemote = False,
    budget: Budget = "20s",
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
    """Run a probe: the naive code, the wrong levers and the fixes, side by side.

    [dim]$[/] perfkit probe db-fetch                    [dim]# 25 s, no set-up[/]

    [dim]$[/] perfkit probe db-fetch --rtt 2ms          [dim]# with distance[/]

    [dim]$[/] perfkit probe db-fetch -s orders=1000 -o result.json
    """
    from perfkit.cli import files
    from perfkit.cli.console import emit, print_error
    from perfkit.cli.progress import Reporter
    from perfkit.cli.show import text

    chosen = name or _pick(color)
    if chosen is None:
        return Exit.USAGE
    files.check(output, force=force)
    plan = _plan(chosen, settings, rtt, backend, budget, rounds, seed, allow_remote=allow_remote)

    from perfkit.run.orchestrator import run

    with Reporter(color, quiet=quiet) as reporter:
        result = run(plan, reporter)
    # Printed first, so that a full disk does not lose what was measured.
    emit(text(result, json=json, quiet=quiet, color=color))
    for path in output:
        files.write(path, result)
    if result.stopped == "interrupted":
        from perfkit.errors import PerfkitError

        print_error(PerfkitError(f"interrupted after {result.rounds} rounds; this is a part"))
    return exit_code(result)


def exit_code(result: Result) -> Exit:
    """Return what a run ends with: unclear when the fix cannot be told from the naive code."""
    if result.stopped == "interrupted":
        return Exit.INTERRUPTED
    verdict = result.verdict(result.fix.name) if result.fix is not None else None
    return Exit.UNCLEAR if verdict is not None and verdict.word == "unclear" else Exit.FINE


def _pick(color: Color) -> str | None:
    """Let a person choose with the arrow keys; elsewhere print the list."""
    from perfkit import registry
    from perfkit.cli.console import is_colored, is_interactive, make_console, write

    found = list(registry.listed())
    if not (sys.stdin.isatty() and is_interactive(sys.stderr) and sys.stdout.isatty()):
        from perfkit.cli.console import print_error
        from perfkit.cli.listing import draw

        write(sys.stderr, draw(found, colored=is_colored(sys.stderr, color)))
        print_error(UsageError("which probe?", fix="perfkit probe NAME"))
        return None
    import questionary

    usable = [probe for probe in found if not probe.error]
    width = max(len(probe.name) for probe in usable)
    room = make_console(sys.stderr).width - width - 6
    choices = [
        questionary.Choice(f"{probe.name:<{width}}  {probe.title[:room]}", probe.name)
        for probe in usable
    ]
    picked: str | None = questionary.select(
        "Which probe?", choices, qmark="", instruction="(arrow keys, Enter)"
    ).unsafe_ask()
    return picked


def _plan(
    name: str,
    settings: list[str],
    rtt: str,
    backend: str,
    budget: str,
    rounds: int | None,
    seed: int | None,
    *,
    allow_remote: bool,
) -> Plan:
    import secrets

    from perfkit import registry
    from perfkit.model import Location, Plan
    from perfkit.parameters import arguments, read

    probe = registry.probe(name)
    if backend.startswith(("snmp://", "snmpv3://")) and sys.stdin.isatty():
        _ask_for_secrets(backend)
    return Plan(
        probe=probe,
        params=read(probe.params, arguments(settings, name), name),
        location=Location(backend, seconds("--rtt", rtt, 10.0), allow_remote=allow_remote),
        budget=seconds("--budget", budget, 86_400.0),
        rounds=rounds,
        seed=secrets.randbelow(2**32) if seed is None else seed,
    )


def _ask_for_secrets(url: str) -> None:
    """Ask for what the URL of an SNMP device leaves out, before there is progress to be seen."""
    from perfkit.cli.console import ask_for_secret
    from perfkit.snmp import target

    device = target.read(url, ask_for_secret)[0]
    given = {
        target.COMMUNITY: device.community,
        target.USER: device.user,
        target.AUTH_PASSWORD: device.auth_password,
        target.PRIVACY_PASSWORD: device.privacy_password,
    }
    # Where the backend looks for them, and no command line shows them.
    os.environ.update({name: secret for name, secret in given.items() if secret})


def seconds(option: str, text: str, most: float) -> float:
    """Read a duration; raises UsageError, naming the option, when it is none or above `most`."""
    from perfkit.units import Unit, parse, show

    try:
        value = parse(text, Unit.SECONDS)
    except ValueError as error:
        raise UsageError(
            f"{option} {text}: not a duration", why=str(error), fix=f"{option} 2ms"
        ) from error
    if not 0 <= value <= most:
        raise UsageError(
            f"{option} {text} is out of bounds",
            why=f"it may be 0 to {show(most, Unit.SECONDS)}",
            fix=f"{option} 2ms",
        )
    return value
