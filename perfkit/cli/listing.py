"""`perfkit list`: every probe by name, and what it is about."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from perfkit.cli.options import Color, ColorOption, Json
from perfkit.errors import Exit

if TYPE_CHECKING:
    from perfkit.registry import Listed


def list_probes(*, json: Json = False, color: ColorOption = Color.AUTO) -> Exit:
    """List every probe: perfkit's own and those of installed packages.

    [dim]$[/] perfkit list

    [dim]$[/] perfkit list --json

    [dim]$[/] perfkit probe db-fetch     [dim]# then run one[/]
    """
    from perfkit import registry
    from perfkit.cli.console import emit, is_colored

    found = list(registry.listed())
    if json:
        import msgspec

        emit(msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
    else:
        emit(draw(found, colored=is_colored(sys.stdout, color)))
    return Exit.FINE


def draw(found: list[Listed], *, colored: bool) -> str:
    """Draw the list; what cannot be loaded is one dim line naming package and error.

    Without rich, whose import would cost half as much again as all the rest.
    """
    width = max((len(probe.name) for probe in found), default=0)
    return "".join(f"{_line(probe, width, colored=colored)}\n" for probe in found)


def _line(probe: Listed, width: int, *, colored: bool) -> str:
    if probe.error:
        error = next(iter(probe.error.splitlines()), "")
        line = f"{probe.name:<{width}}  cannot load: {probe.package}: {error}"
        return typer.style(line, dim=True) if colored else line
    name = f"{probe.name:<{width}}"
    return f"{typer.style(name, bold=True) if colored else name}  {probe.title}"
