"""`perfkit gate --self-test`: what a gate on this runner is good for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfkit.cli.options import Color
from perfkit.errors import Exit

if TYPE_CHECKING:
    from perfkit.gate.self_test import Kind, SelfTest

BUDGET = "120s"
WHAT = {"computing": "computes", "waiting": "waits for answers"}
CLOCKS = {"cpu": "processor time", "wall": "wall time"}


def run_self_test(budget: str | None, *, json: bool, quiet: bool, color: Color) -> Exit:
    """Run the self-test and print what it found; unfit where no limit is safe."""
    import msgspec

    from perfkit.cli.console import emit
    from perfkit.cli.probe import seconds
    from perfkit.cli.progress import Reporter
    from perfkit.gate.self_test import self_test

    with Reporter(color, quiet=quiet) as reporter:
        reporter.about = "the same code, twice: "
        found = self_test(seconds("--budget", budget or BUDGET, 86_400.0), reporter)
    if json:
        emit(msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
    else:
        emit(describe(found, quiet=quiet))
    unsafe = found.unfit or any(kind.safe is None for kind in found.kinds)
    return Exit.UNFIT if unsafe else Exit.FINE


def describe(found: SelfTest, *, quiet: bool) -> str:
    """Say which limits are safe on this runner, with the figures behind it."""
    lines = [_sentence(kind) for kind in found.kinds]
    if found.unfit:
        lines.insert(0, f"This runner is unfit now: {found.unfit}.")
    if not quiet:
        for kind in found.kinds:
            lines += ["", *_table(kind)]
        lines += [
            "",
            "red: unchanged code called slower. open: not decided after 40 rounds.",
            "catches: the slow-down that goes red nine times in ten.",
            f"{found.machine.cpu}, {found.machine.cores} cores, {found.duration:.0f} s",
        ]
    return "\n".join(lines) + "\n"


def _sentence(kind: Kind) -> str:
    code = f"For code that {WHAT[kind.name]} ({CLOCKS[kind.clock]})"
    safe = kind.safe
    if safe is None:
        return f"{code}, no limit up to {kind.tried[-1].limit:g} % is safe on this runner."
    caught = (
        "" if safe.catches is None else f";\n  smallest slow-down it catches: {safe.catches:.1%}"
    )
    return f"{code},\n  a {safe.limit:g} % gate is safe on this runner{caught}."


def _table(kind: Kind) -> list[str]:
    head = f"{kind.name}: {kind.comparisons} comparisons"
    lines = [f"{head:<28}{'limit':>7}{'pass':>6}{'red':>6}{'open':>6}{'rounds':>8}{'catches':>9}"]
    for one in kind.tried:
        caught = "" if one.catches is None else f"{one.catches:.1%}"
        lines.append(
            f"{'':28}{f'{one.limit:g} %':>7}{one.passed:>6}{one.failed:>6}{one.open:>6}"
            f"{one.rounds:>8g}{caught:>9}"
        )
    return lines
