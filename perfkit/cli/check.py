"""`perfkit check`: hold probes to their stories."""

from __future__ import annotations

from typing import Annotated

import typer

from perfkit.cli.options import AllowRemote, Backend, Color, ColorOption, Json, complete_probe
from perfkit.errors import Exit


def check_probes(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME]...",
            help="Which probes; all of them by default.",
            autocompletion=complete_probe,
            show_default=False,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    *,
    backend: Backend = "",
    allow_remote: AllowRemote = False,
    json: Json = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Prove by counted work that a probe tells its story; nothing is timed.

    Equal answers, the fix removes the cause, the wrong levers leave it, a recipe is there.

    [dim]$[/] perfkit check                 [dim]# every installed probe[/]

    [dim]$[/] perfkit check my-probe        [dim]# one of your own[/]

    [dim]$[/] perfkit check --json
    """
    import msgspec

    from perfkit import registry
    from perfkit.cli.console import emit
    from perfkit.cli.progress import Reporter
    from perfkit.errors import PerfkitError
    from perfkit.model import Location
    from perfkit.run import story

    told: dict[str, list[str]] = {}
    worst = Exit.FINE
    location = Location(backend, allow_remote=allow_remote)
    for name in names or registry.entries():
        try:
            probe = registry.probe(name)
            with Reporter(color, quiet=False) as reporter:
                result, told[name] = story.check(probe, location, reporter)
        except PerfkitError as error:
            if name not in registry.entries():
                raise
            told[name] = [": ".join(filter(None, (error.what, error.why)))]
            worst = max(worst, error.exit)
            said = ""
        else:
            cause = result.cause
            fix = result.fix.work[cause].value if result.fix is not None else 0
            said = f"{cause} {result.naive.work[cause].value:,} -> {fix:,}"
        if json:
            continue
        if told[name]:
            emit("".join(f"fails  {name}: {problem}\n" for problem in told[name]))
        else:
            emit(f"holds  {name}: {said}\n")
    if json:
        emit(msgspec.json.format(msgspec.json.encode(told), indent=1).decode() + "\n")
    return max(worst, Exit.FOUND) if any(told.values()) else Exit.FINE
