"""Put the commands together, and turn every way of ending into an exit code."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from perfkit.errors import Exit, PerfkitError
from perfkit.leave import leave

SEE, KEEP, AGAIN, MORE = "See one happen", "Keep it from coming back", "Look again", "More"
# Where each command lives, and the panel of the help page that shows it. Modules are imported
# when they are needed: running one command does not pay for the others.
COMMANDS = {
    "list": ("listing:list_probes", SEE),
    "probe": ("probe:run_probe", SEE),
    "sweep": ("sweep:run_sweep", SEE),
    "explain": ("explain:explain_probe", SEE),
    "gate": ("gate:run_gate", KEEP),
    "scenario": ("scenario:app", KEEP),
    "compare": ("compare:compare_files", KEEP),
    "show": ("show:show_file", AGAIN),
    "recheck": ("recheck:recheck_file", AGAIN),
    "missing": ("missing:find_numbers", MORE),
    "snmp": ("snmp:app", MORE),
    "check": ("check:check_probes", MORE),
    "doctor": ("doctor:examine", MORE),
    "new": ("new:app", MORE),
}


def make_app(only: str = "") -> typer.Typer:
    """Put the commands together: all of them, or the one that is going to run."""
    app = typer.Typer(
        name="perfkit",
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes: "
        + ", ".join(f"{int(code)} {code.name.lower().replace('_', ' ')}" for code in Exit),
    )
    app.callback(invoke_without_command=True)(perfkit)
    for name in [only] if only in COMMANDS else COMMANDS:
        place, panel = COMMANDS[name]
        module, _, attribute = place.partition(":")
        command = getattr(import_module(f"perfkit.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=panel)
        else:
            app.command(name, rich_help_panel=panel)(command)
    return app


def perfkit(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="PERFKIT_DEBUG", help="Show the traceback of an error."),
    ] = False,
) -> None:
    """Reproduce a performance anti-pattern on real parts, and see which fix works.

    [dim]$[/] perfkit list                       [dim]# what there is[/]

    [dim]$[/] perfkit probe db-fetch             [dim]# N+1 queries, 25 s, no set-up[/]

    [dim]$[/] perfkit probe db-fetch --rtt 2ms   [dim]# the same with distance[/]
    """
    if debug:
        os.environ["PERFKIT_DEBUG"] = "1"
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"perfkit {installed('perfkit')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line and exit with a code of `Exit`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    leave(run(sys.argv[1:]))


def _interrupt(number: int, _frame: object) -> NoReturn:
    """Treat a polite request to end like Ctrl-C, so that everything is cleaned up."""
    raise KeyboardInterrupt(number)


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code after printing what went wrong."""
    from perfkit.cli.console import print_bug, print_error

    try:
        code = make_app(_command(arguments))(arguments, standalone_mode=False)
    except PerfkitError as error:
        print_error(error)
        return int(error.exit)
    except (KeyboardInterrupt, typer.Abort):
        code = int(Exit.INTERRUPTED)
    # What is left is a mistake on the command line, or one of ours.
    except Exception as error:  # noqa: BLE001
        if hasattr(error, "format_message"):
            print_error(_usage(error, arguments))
            return int(Exit.USAGE)
        print_bug(error)
        return int(Exit.BUG)
    # typer answers Ctrl-C with a bare number; a command that had something to report, with ours.
    if code == Exit.INTERRUPTED and not isinstance(code, Exit):
        print_error(PerfkitError("interrupted before anything was measured"))
    return int(code or Exit.FINE)


def _command(arguments: list[str]) -> str:
    """Return the command that a command line names, or nothing where it names none of ours."""
    word = next((word for word in arguments if not word.startswith("-")), "")
    return word if word in COMMANDS else ""


def _usage(error: Exception, arguments: list[str]) -> PerfkitError:
    """Turn typer's complaint into ours: its exceptions are not part of its public interface."""
    message: str = error.format_message()  # type: ignore[attr-defined]  # asked for by run()
    command = f"perfkit {_command(arguments)}".strip()
    return PerfkitError(message.rstrip("."), fix=f"{command} --help")
