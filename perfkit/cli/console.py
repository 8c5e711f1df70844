"""Both streams: stdout carries the report or the JSON and nothing else, stderr the rest."""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from perfkit.cli.options import Color
from perfkit.errors import CannotRun, PerfkitError, UsageError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDEST = 120
# Stand-ins for terminals that cannot draw the signs.
PLAIN = str.maketrans("✗≈✓◐▸→━╸╾─×÷·–…µ±’", "x~+o>>==--x/--.u~'")
# A community may have an @ of its own.
_CREDENTIALS = r"(?i)(password=|snmp://|://[^/@\s:]*:)((?<=snmp://)\S+(?=@)|[^\s@'\"]+)"


def emit(text: str) -> None:
    """Write to stdout whatever its encoding, and go quietly when its reader has left."""
    write(sys.stdout, text)


def write(stream: TextIO, text: str) -> None:
    """Write text to a stream, with stand-ins for what its encoding lacks.

    Raises CannotRun where it cannot be written, as to a full disk.
    """
    encoding = stream.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # `perfkit ... | head` is no error; what follows must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except OSError as error:
        # What is left in the buffer would fail once more at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        name = stream.name.strip("<>")
        raise CannotRun(f"cannot write to {name}", why=error.strerror or str(error)) from error


def render(
    draw: Callable[[int], RenderableType], color: Color = Color.AUTO, stream: TextIO | None = None
) -> str:
    """Draw something for stdout, or another stream, as wide as it allows; return the text."""
    console = make_console(stream or sys.stdout, color)
    width = min(console.width, WIDEST)
    console.width = width
    memory = io.StringIO()
    console.file = memory
    console.print(draw(width))
    # Trailing blanks only matter to what is drawn in colour.
    text = memory.getvalue()
    if console.color_system is None:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    return text


def make_console(stream: TextIO, color: Color = Color.AUTO) -> Console:
    """Return a rich console for a stream, obeying --color, NO_COLOR and FORCE_COLOR."""
    from rich.console import Console

    wanted = {Color.AUTO: None, Color.ALWAYS: True, Color.NEVER: False}[color]
    colored = is_colored(stream, color)
    return Console(
        file=stream,
        highlight=False,
        markup=False,
        force_terminal=wanted,
        color_system="standard" if colored else None,
        no_color=not colored,
        # FORCE_COLOR makes rich take a pipe for a terminal; drawing over lines needs a real one.
        force_interactive=is_interactive(stream),
    )


def is_colored(stream: TextIO, color: Color) -> bool:
    """Say whether to colour what goes to a stream."""
    if color is not Color.AUTO:
        return color is Color.ALWAYS
    if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty() or os.environ.get("FORCE_COLOR", "0") != "0"


def is_interactive(stream: TextIO) -> bool:
    """Say whether lines may be drawn over: a terminal, a person, no screen reader."""
    return (
        stream.isatty()
        and not os.environ.get("CI")
        and os.environ.get("ACCESSIBLE", "0") in {"", "0"}
        and os.environ.get("TERM") != "dumb"
    )


def ask_for_secret(question: str) -> str:
    """Ask the person at the terminal for something that is not shown; raises UsageError."""
    from getpass import getpass

    try:
        return getpass(question)
    except EOFError as error:
        raise UsageError(f"{question.rstrip(': ')}: nothing was typed") from error


def print_error(error: PerfkitError) -> None:
    """Print what, why and fix on stderr; the traceback only where it is asked for."""
    from rich.text import Text

    if os.environ.get("PERFKIT_DEBUG"):
        write(sys.stderr, traceback.format_exc())
    console = make_console(sys.stderr)
    lines = Text.assemble(("error: ", "bold red"), (f"{error.what}\n", "bold"))
    for name, text, style in (("why", error.why, ""), ("fix", error.fix, "bold")):
        for number, line in enumerate(text.splitlines()):
            lines.append(f"  {'' if number else name:<5}", "dim")
            lines.append(f"{line}\n", style)
    memory = io.StringIO()
    console.file = memory
    console.print(lines, end="", soft_wrap=True)
    write(sys.stderr, memory.getvalue())


def state_folder() -> Path:
    """Return where reports of bugs are kept."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "perfkit"


def print_bug(error: Exception) -> None:
    """Keep the traceback of a bug in a file, and say what to do with it."""
    text = re.sub(_CREDENTIALS, r"\1***", "".join(traceback.format_exception(error)))
    where = "it could not be saved; run again with --debug"
    try:
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "last-bug.txt"
        file.write_text(text, encoding="utf-8")
        where = f"the traceback is in {file}"
    except OSError:
        pass
    print_error(
        PerfkitError(
            re.sub(_CREDENTIALS, r"\1***", f"a bug in perfkit: {type(error).__name__}: {error}"),
            why=where,
            fix="perfkit doctor --bug    prints what a report needs",
        )
    )
