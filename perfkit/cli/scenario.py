"""`perfkit scenario`: the stories that there are, what each holds, and running one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from perfkit.cli.options import (
    Budget,
    Color,
    ColorOption,
    Json,
    Quiet,
    complete_scenario,
)
from perfkit.errors import Exit

if TYPE_CHECKING:
    from perfkit.scenario import Scenario

app = typer.Typer(
    help="Scenario files: one war story each, and what must hold of it.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="SCENARIO...",
        help="Names, patterns, files or folders.",
        autocompletion=complete_scenario,
    ),
]


class Listed(NamedTuple):
    """One line of the list."""

    name: str
    title: str
    measures: str
    """The probe, or the user's own code."""
    checks: int
    file: str
    error: str = ""


@app.callback(invoke_without_command=True)
def scenario(context: typer.Context) -> None:
    """Scenario files: one war story each, and what must hold of it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_scenarios(*, json: Json = False, color: ColorOption = Color.AUTO) -> Exit:
    """List every scenario: those in ./scenarios, and those of installed packages.

    [dim]$[/] perfkit scenario list

    [dim]$[/] perfkit scenario list --json
    """
    from perfkit import scenario
    from perfkit.cli.console import emit, is_colored
    from perfkit.errors import UnreadableFile

    found = []
    for name, file in scenario.known().items():
        try:
            read = scenario.load(file)
        except UnreadableFile as error:
            found.append(Listed(name, "", "", 0, str(file), f"{error.what}: {error.why}"))
            continue
        checks = sum(map(len, read.checks.values()))
        found.append(Listed(name, read.title, read.measures, checks, str(file)))
    if json:
        emit(_json([one._asdict() for one in found]))
        return Exit.FINE
    width = max((len(one.name) for one in found), default=0)
    colored = is_colored(sys.stdout, color)
    for one in found:
        name = f"{one.name:<{width}}"
        if one.error:
            line = f"{name}  cannot be read: {one.error.splitlines()[0]}"
            emit((typer.style(line, dim=True) if colored else line) + "\n")
        else:
            emit(f"{typer.style(name, bold=True) if colored else name}  {one.title}\n")
    return Exit.FINE


@app.command("show")
def show_scenarios(names: Names, *, json: Json = False) -> Exit:
    """Show what a scenario tells, how it is run, and what must hold.

    [dim]$[/] perfkit scenario show orders-page

    [dim]$[/] perfkit scenario show ./scenarios/mine.toml --json
    """
    from perfkit import scenario
    from perfkit.cli.console import emit

    shown = []
    for number, (name, file) in enumerate(scenario.find(names).items()):
        read = scenario.load(file)
        checks = read.expected(str(file))
        if json:
            import msgspec

            shown.append(
                {"name": name, "file": str(file)}
                | msgspec.to_builtins(read)
                | {"expected": [str(check) for check in checks]}
            )
            continue
        emit("\n" * bool(number) + _described(name, file, read, [str(check) for check in checks]))
    if json:
        emit(_json(shown))
    return Exit.FINE


def _described(name: str, file: Path, read: Scenario, checks: list[str]) -> str:
    lines = [name, read.title, "", *read.story.strip().splitlines(), ""]
    facts = {"measures": read.measures, "component": read.backend, "distance": read.rtt}
    facts |= {key: str(value) for key, value in read.params.items()}
    facts["file"] = str(file)
    width = max(map(len, facts))
    lines += [f"  {key:<{width}}  {value}" for key, value in facts.items() if value]
    lines += ["", "What must hold:" if checks else "Nothing must hold: it has no checks."]
    lines += [f"  {check}" for check in checks]
    if checks:
        lines += ["", f"  $ perfkit gate {name}"]
    return "\n".join(lines) + "\n"


@app.command("run")
def run_scenarios(
    names: Names,
    *,
    budget: Budget = "20s",
    json: Json = False,
    quiet: Quiet = False,
    color: ColorOption = Color.AUTO,
) -> Exit:
    """Tell a story with all its variants, as `perfkit probe` does, and hold it to its checks.

    [dim]$[/] perfkit scenario run orders-page

    [dim]$[/] perfkit scenario run 'orders-*' --budget 60s

    [dim]$[/] perfkit gate orders-page     [dim]# only what the checks speak of[/]
    """
    import msgspec

    from perfkit import scenario
    from perfkit.cli.console import emit
    from perfkit.cli.probe import exit_code, seconds
    from perfkit.cli.progress import Reporter
    from perfkit.cli.show import text
    from perfkit.gate.session import judge_result
    from perfkit.run.course import CHANGE, Course
    from perfkit.run.orchestrator import run_sides

    files = scenario.find(names)
    tasks = {name: (file, scenario.load(file)) for name, file in files.items()}
    code, results = Exit.FINE, {}
    for number, (name, (file, read)) in enumerate(tasks.items()):
        checks = read.expected(str(file))
        plan = read.plan()._replace(budget=seconds("--budget", budget, 86_400.0))
        with Reporter(color, quiet=quiet) as reporter:
            course = Course(needed=frozenset().union(*(check.variants for check in checks)))
            result = results[name] = run_sides(plan, course, reporter)[CHANGE]
        judged = judge_result(result, checks)
        if not json:
            story = "" if quiet else f"{read.title}\n\n{read.story.strip()}\n\n"
            held = "".join(f"{one.verdict:<12}  {one.target}: {one.check}\n" for one in judged)
            emit("\n" * bool(number) + story)
            emit(text(result, json=False, quiet=quiet, color=color))
            emit(f"\nWhat must hold:\n{held}" if held and not quiet else "")
        failed = any(one.verdict == "fail" for one in judged)
        code = max(code, Exit.FOUND if failed else exit_code(result))
        if result.stopped == "interrupted":
            break
    if json:
        emit(msgspec.json.format(msgspec.json.encode(results), indent=1).decode() + "\n")
    return code


def _json(found: object) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"
