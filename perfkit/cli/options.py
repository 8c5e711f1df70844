"""Options that several commands share, so that they read and behave alike."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

REPORT = "The report"
EXPERIMENT = "The experiment"


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def complete_probe(incomplete: str) -> list[str]:
    """Complete a probe's name from the installed ones; nothing is imported."""
    from perfkit.registry import entries

    return [name for name in entries() if name.startswith(incomplete)]


def complete_scenario(incomplete: str) -> list[str]:
    """Complete a scenario's name from `./scenarios` and the installed ones."""
    from perfkit.scenario import known

    return [name for name in known() if name.startswith(incomplete)]


ProbeName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A probe, as `perfkit list` names it.", autocompletion=complete_probe
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON and nothing else.", rich_help_panel=REPORT),
]
ColorOption = Annotated[
    Color,
    typer.Option("--color", help="When to colour; NO_COLOR is heard too.", rich_help_panel=REPORT),
]
Output = Annotated[
    list[Path],
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write a file as well: .json or .md; may be given again.",
        rich_help_panel=REPORT,
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Overwrite a file that perfkit did not write.", rich_help_panel=REPORT
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print the verdict only.", rich_help_panel=REPORT),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        "-b",
        metavar="URL",
        help="A server of yours instead of the embedded one.",
        rich_help_panel=EXPERIMENT,
        show_default=False,
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote",
        help="Yes, load a server that is not on this machine.",
        rich_help_panel=EXPERIMENT,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Repeat the order of another run.",
        rich_help_panel=EXPERIMENT,
        show_default=False,
    ),
]
Budget = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Time rounds until the answer is clear, or for so long.",
        rich_help_panel=EXPERIMENT,
    ),
]
