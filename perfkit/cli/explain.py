"""`perfkit explain`: the recipe of a probe, and the code that runs."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfkit.cli.options import Color, ColorOption, ProbeName
from perfkit.errors import Exit

if TYPE_CHECKING:
    from rich.console import Group

    from perfkit.model import Probe


def explain_probe(
    name: ProbeName,
    *,
    code: Annotated[bool, typer.Option("--code", help="Show the code that runs.")] = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Tell the story of a probe: the signs, the wrong levers, the fix.

    [dim]$[/] perfkit explain db-fetch

    [dim]$[/] perfkit explain db-fetch --code     [dim]# the module that runs[/]

    [dim]$[/] perfkit explain db-fetch > story.md
    """
    from perfkit import registry
    from perfkit.cli.console import emit, render

    if code:
        probe = registry.probe(name)
        emit(render(lambda _: _draw_code(probe), color))
        return Exit.FINE
    recipe = registry.recipe(name)
    text = recipe.read_text(encoding="utf-8") if recipe is not None else _without_recipe(name)
    if color is not Color.ALWAYS and not sys.stdout.isatty():
        # A pipe or a file gets the Markdown itself.
        emit(text)
        return Exit.FINE
    from rich.markdown import Markdown

    emit(render(lambda _: Markdown(text, code_theme="ansi_dark"), color))
    return Exit.FINE


def _without_recipe(name: str) -> str:
    from perfkit import registry

    probe = registry.probe(name)
    module = sys.modules[probe.variants[0].run.__module__]
    return f"# {probe.title}\n\n{inspect.getdoc(module) or ''}\n"


def _draw_code(probe: Probe[Any, Any]) -> Group:
    """Draw the parameters and the whole module: what is shown is what runs."""
    from rich.console import Group
    from rich.syntax import Syntax
    from rich.text import Text

    from perfkit.parameters import describe

    module = sys.modules[probe.variants[0].run.__module__]
    return Group(
        *(
            Text(f"-s {parameter.name}={parameter.default}   {parameter}", "dim")
            for parameter in describe(probe.params)
        ),
        "",
        Syntax(inspect.getsource(module), "python", theme="ansi_dark", background_color="default"),
    )
