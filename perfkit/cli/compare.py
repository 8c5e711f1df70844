"""`perfkit compare`: what changed between two saved results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perfkit.cli.options import Color, ColorOption, Force, Json, Quiet
from perfkit.errors import Exit, PerfkitError


def compare_files(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="An earlier result or gate.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="A later one.")],
    *,
    limit: Annotated[
        str,
        typer.Option(
            "--limit", metavar="CHANGE", help="So much more time is still the same: 5%, 1.05x."
        ),
    ] = "5%",
    json: Json = False,
    output: Annotated[
        list[Path],
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write a report as well: .md, .xml, .json, ..."
        ),
    ] = [],  # noqa: B006 (typer copies it)
    force: Force = False,
    quiet: Quiet = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Compare two saved results: no variant may do more work or take more time.

    Files that `perfkit gate --save` or `perfkit probe -o` wrote. Counted work always compares;
    times only when both are from the same machine. The exit codes are those of `perfkit gate`.

    [dim]$[/] perfkit compare before.json after.json

    [dim]$[/] perfkit compare before.json after.json --limit 10% -o changes.md
    """
    from perfkit.cli import files
    from perfkit.cli.gate import report, say_verdict, write_all
    from perfkit.gate.comparison import compare
    from perfkit.gate.stored import load

    try:
        files.check(output, force=force, formats=files.GATE_FORMATS)
        gate = compare(load(before), load(after), limit)
    except PerfkitError as error:
        say_verdict(error, json=json)
        raise
    report(gate, json=json, quiet=quiet, color=color)
    return write_all(output, gate)
