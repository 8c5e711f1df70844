"""`perfkit show`: draw a saved result, sweep or gate again."""

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
SavedFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="What `probe -o FILE`, `sweep -o FILE` or `gate --save FILE` left."
    ),
]


def show_file(
    file: SavedFile,
    *,
    json: Json = False,
    output: Output = [],  # noqa: B006 (typer copies it)
    force: Force = False,
    quiet: Quiet = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Draw a saved result, sweep or gate again, or turn it into another format.

    [dim]$[/] perfkit show result.json

    [dim]$[/] perfkit show sweep.json -o curve.svg        [dim]# a picture[/]

    [dim]$[/] perfkit show gate.json -o gate.pyperf.json  [dim]# any format of perfkit gate[/]
    """
    from perfkit.cli import files
    from perfkit.cli.console import emit
    from perfkit.outcome import Gate
    from perfkit.sweep import Sweep

    known = files.load(file)
    if isinstance(known, Gate):
        from perfkit.cli.gate import report

        files.check(output, force=force, formats=files.GATE_FORMATS)
        report(known, json=json, quiet=quiet, color=color)
        for path in output:
            files.write_gate(path, known)
        return Exit.FINE
    if isinstance(known, Sweep):
        from perfkit.cli import sweep

        files.check(output, force=force, formats=files.SWEEP_FORMATS)
        emit(sweep.text(known, json=json, quiet=quiet, color=color))
        for path in output:
            files.write_sweep(path, known)
        return Exit.FINE
    files.check(output, force=force)
    emit(text(known, json=json, quiet=quiet, color=color))
    for path in output:
        files.write(path, known)
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
