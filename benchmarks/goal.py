"""What the benchmarks share: their options, the verdict against a goal, and the file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

NO_INTERVAL = "too few rounds to tell"


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few rounds only, as CI runs it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every raw value")
    return parser


def compare(low: float | None, high: float | None, at_most: float) -> str:
    """Say whether a figure known to lie between `low` and `high` is at most the goal."""
    if low is None or high is None:
        return NO_INTERVAL
    if high <= at_most:
        return "met"
    return "missed" if low > at_most else "unclear: the interval holds the goal"


def save(path: Path | None, values: object) -> None:
    """Write the raw values as JSON, where a file was asked for."""
    if path is not None:
        path.write_text(json.dumps(values, indent=1) + "\n")
