"""`perfkit new probe`: a package with a probe of one's own, that works as it is."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from perfkit.errors import CannotRun, Exit, UsageError

app = typer.Typer(
    help="Start something of your own.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@app.callback(invoke_without_command=True)
def new(context: typer.Context) -> None:
    """Start something of your own."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("probe")
def new_probe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Words with hyphens: image-resize.")],
    *,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="Where; ./perfkit-NAME by default."),
    ] = None,
) -> Exit:
    """Write a package with a probe, its recipe, scenario, test and entry point.

    [dim]$[/] perfkit new probe image-resize

    [dim]$[/] pip install -e ./perfkit-image-resize

    [dim]$[/] perfkit check image-resize
    """
    from perfkit.cli.console import emit

    folder = into or Path(f"perfkit-{name}")
    _refuse(name, folder)
    module = name.replace("-", "_")
    package = f"perfkit_{module}"
    words = {"name": name, "module": module, "package": package}
    written = {
        target: Template(source.read_text(encoding="utf-8")).substitute(words)
        for source, target in _files(folder, package, words)
    }
    try:
        for target, text in written.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"cannot write {folder}", why=error.strerror or str(error)) from error
    emit("".join(f"wrote  {target}\n" for target in written))
    emit(f"\nnext   pip install -e {folder}\n       perfkit check {name}\n")
    return Exit.FINE


def _refuse(name: str, folder: Path) -> None:
    """Raise UsageError for a name or a folder that would not work."""
    from perfkit.registry import entries

    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"'{name}' is no name for a probe",
            why="it becomes a module, a recipe and a command: small letters, digits, hyphens",
            fix="perfkit new probe image-resize",
        )
    if name in entries():
        raise UsageError(f"there is a probe '{name}' already", fix="perfkit list")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} exists already", why="nothing is overwritten", fix="--into another-folder"
        )


def _files(folder: Path, package: str, words: dict[str, str]) -> list[tuple[Path, Path]]:
    """Pair each template with where it goes."""
    templates = Path(__file__).parent / "scaffold"
    inside = folder / package
    return [
        (templates / "pyproject.toml.txt", folder / "pyproject.toml"),
        (templates / "README.md.txt", folder / "README.md"),
        (templates / "init.py.txt", inside / "__init__.py"),
        (templates / "probe.py.txt", inside / f"{words['module']}.py"),
        (templates / "recipe.md.txt", inside / "recipes" / f"{words['name']}.md"),
        (templates / "scenario.toml.txt", inside / "scenarios" / f"{words['name']}-small.toml"),
        (templates / "test_story.py.txt", folder / "tests" / "test_story.py"),
    ]
