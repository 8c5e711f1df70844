"""`perfkit show`: draw a saved result again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perfkit.cli.options import Color, ColorOption, Force, Json, Output, Quiet
from perfkit.errors import Exit

if TYPE_CHECKING:
    from perfkit.result import Result

ResultFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A result that `perfkit probe -o FILE` wrote."),
]


def show_file(
    file: ResultFile,
    *,
    json: Json = False,
    output: Output = [],  # noqa: B006 (typer copies it)
    force: Force = False,
    quiet: Quiet = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Draw a saved result again, or turn it into another format.

    [dim]$[/] perfkit show result.json

    [dim]$[/] perfkit show result.json -o result.md

    [dim]$[/] perfkit show result.json -q     [dim]# the verdict only[/]
    """
    from perfkit.cli import files
    from perfkit.cli.console import emit
    from perfkit.result import load

    files.check(output, force=force)
    result = load(file)
    emit(text(result, json=json, quiet=quiet, color=color))
    for path in output:
        files.write(path, result)
    return Exit.FINE


def text(result: Result, *, json: bool, quiet: bool, color: Color) -> str:
    """Return what goes to stdout for a result: JSON, the verdict, or the whole report."""
    if json:
        from perfkit.result import encode

        return encode(result).decode()
    from perfkit.cli.console import render
    from perfkit.report import terminal

    draw = terminal.render_short if quiet else terminal.render
    return render(lambda width: draw(result, width), color)
