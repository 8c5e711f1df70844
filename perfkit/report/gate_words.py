"""What a gate says, in words and figures: every view draws from here, so all say the same.

Nothing is judged here that the gate does not hold.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from perfkit import stats
from perfkit.checks import unit
from perfkit.outcome import Gate, Gated, Judged
from perfkit.report.words import Mark, Tone, clean
from perfkit.result import Interval, Measured
from perfkit.units import Unit, show
from perfkit.verdict import EXITS, Word

# What fails has the tone of naive code, what passes that of a fix.
MARKS: Mapping[Word, Mark] = {
    Word.PASS: Mark("✓", "pass", Tone.FIXED),
    Word.FAIL: Mark("✗", "fail", Tone.NAIVE),
    Word.DIFFERS: Mark("✗", "answers differ", Tone.NAIVE),
    Word.ERROR: Mark("!", "error", Tone.NAIVE),
    Word.NOTHING: Mark("!", "nothing matched", Tone.NAIVE),
    Word.UNFIT: Mark("?", "unfit", Tone.ALERT),
    Word.INCONCLUSIVE: Mark("?", "inconclusive", Tone.ALERT),
}
"""The sign of every verdict."""
PARTIAL = "Partial: interrupted before all of it was judged."
_SETTINGS = {Word.INCONCLUSIVE: "on_inconclusive", Word.UNFIT: "on_unfit_runner"}

Side = Literal["change", "base"]
SIDES: tuple[Side, ...] = ("change", "base")


@dataclass(frozen=True, slots=True)
class Advice:
    """Why a verdict is neither pass nor fail, and what to do about it.

    `why` is empty where the check's own figures say it.
    """

    why: str
    fix: str

    @property
    def text(self) -> str:
        """Both sentences."""
        return f"{self.why} {self.fix}".strip()


@dataclass(frozen=True, slots=True)
class Checked:
    """One check: its mark, itself as the file has it, and the figures."""

    mark: Mark
    verdict: Word
    check: str
    facts: tuple[str, ...]
    advice: Advice | None

    @property
    def texts(self) -> list[str]:
        """The figures, and what to do."""
        return [" · ".join(self.facts), *([self.advice.text] if self.advice else [])]


@dataclass(frozen=True, slots=True)
class Block:
    """One scenario."""

    mark: Mark
    verdict: Word
    name: str
    file: str
    title: str
    checks: tuple[Checked, ...]
    stopped: Advice | None
    """What made its verdict, where none of its checks has it."""

    @property
    def advice(self) -> tuple[Advice, ...]:
        """What to do about all of it, each once."""
        given = [self.stopped, *(one.advice for one in self.checks)]
        return tuple(dict.fromkeys(one for one in given if one))


@dataclass(frozen=True, slots=True)
class Report:
    """All that a view draws, in its order."""

    partial: str
    """What a gate that was ended early says first; empty for a whole one."""
    title: str
    facts: tuple[str, ...]
    machine: tuple[str, ...]
    blocks: tuple[Block, ...]
    notices: tuple[str, ...]
    """What else decides how it ends."""
    tally: tuple[str, ...]
    verdict: Word


def compose(gate: Gate) -> Report:
    """Put a gate into words."""
    return Report(
        title=clean(f"Performance gate against {gate.base}" if gate.base else "Performance gate"),
        facts=(
            _number(len(gate.scenarios), "scenario"),
            _number(sum(len(scenario.judged) for scenario in gate.scenarios), "check"),
            # Stored results that are compared take no time.
            *([show(gate.duration, Unit.SECONDS)] if gate.duration else []),
            f"seed {gate.seed}",
        ),
        machine=tuple(
            clean(text)
            for text in (
                f"{gate.machine.cpu}, {_number(gate.machine.cores, 'core')}",
                gate.machine.python,
                f"perfkit {gate.perfkit}",
                gate.started,
            )
        ),
        blocks=tuple(_block(scenario) for scenario in gate.scenarios),
        partial=PARTIAL if gate.interrupted else "",
        notices=tuple(_notices(gate)),
        tally=_tally(gate),
        verdict=gate.verdict,
    )


def last_line(gate: Gate) -> str:
    """Return the line that ends the output of the whole command: `verdict: pass`."""
    return f"verdict: {gate.verdict}"


def facts(judged: Judged) -> Iterator[str]:
    """Give what is known of a check: the figures, the rounds, and what a pass is worth."""
    if judged.said:
        yield clean(judged.said)
    # Without a figure, the sentence is about the number of rounds.
    if judged.rounds and judged.value is not None:
        yield _number(judged.rounds, "round")
    if judged.detectable is not None:
        yield f"would have caught >= {share(judged.detectable)}"


def share(value: float) -> str:
    """Write a share that is promised, rounded up: `4.1%`, `35%`."""
    small = 0.1
    if not math.isfinite(value):
        return "any"
    return f"{math.ceil(1000 * value) / 10:.1f}%" if value < small else f"{math.ceil(100 * value)}%"


def scale(judged: Judged) -> str:
    """Name what a check's figure and limit are in: `ratio`, `seconds`, `bytes` or `count`."""
    if "/" in judged.target or "@" in judged.target:
        return "ratio"
    metric = re.match(r"\w*", judged.check)
    return str(unit(metric[0])) if metric else str(Unit.COUNT)


def measured(gate: Gate, side: Side = "change") -> dict[tuple[str, str], Measured]:
    """Return the variants of one side, by the names of scenario and variant."""
    return {
        (clean(scenario.name), clean(variant.name)): variant
        for scenario in gate.scenarios
        for run in (scenario.result if side == "change" else scenario.base,)
        if run is not None
        for variant in run.variants
    }


def failed(gate: Gate) -> int:
    """Return how many checks failed; what could not be judged is none of them."""
    return sum(one.verdict is Word.FAIL for scenario in gate.scenarios for one in scenario.judged)


def typical(variant: Measured) -> Interval:
    """Return the typical seconds of a call: the Hodges-Lehmann median of process medians.

    The interval is the exact Wilcoxon one; it has no ends where the rounds are too few.
    """
    medians = [median(sample.wall) for sample in variant.samples]
    return stats.typical_ratio(medians, [1.0] * len(medians))


def _number(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _tally(gate: Gate) -> tuple[str, ...]:
    """Count the verdicts: of every check, and of scenarios that came to none."""
    words = Counter(
        word
        for scenario in gate.scenarios
        for word in ([one.verdict for one in scenario.judged] or [scenario.verdict])
    )
    return tuple(f"{words[word]:,} {word}" for word in MARKS if words[word])


def _notices(gate: Gate) -> Iterator[str]:
    """Say where the settings turn a verdict into another, and what becomes of the exit code."""
    if not gate.scenarios:
        yield "There was no scenario: nothing was judged, which is no pass."
    for scenario in gate.scenarios:
        if scenario.counts_as is not scenario.verdict:
            setting = _SETTINGS[scenario.verdict]
            counts = f"counts as {scenario.counts_as}"
            yield clean(f'{scenario.name} {counts}: {setting} = "{scenario.counts_as}".')
    if gate.left_out:
        names = clean(", ".join(gate.left_out))
        yield f"Left out: {names}. Their checks need a base, or time."
    if not gate.interrupted and gate.exit is not EXITS[gate.verdict]:
        yield f"The exit code is {int(gate.exit)}, not {int(EXITS[gate.verdict])}."


def _block(scenario: Gated) -> Block:
    checks = tuple(
        Checked(
            MARKS[one.verdict],
            one.verdict,
            clean(f"{one.target}: {one.check}"),
            tuple(facts(one)),
            _undecided(one) if one.verdict is Word.INCONCLUSIVE else _advice(one.verdict, scenario),
        )
        for one in scenario.judged
    )
    told = any(one.verdict is scenario.verdict for one in checks)
    return Block(
        mark=MARKS[scenario.verdict],
        verdict=scenario.verdict,
        name=clean(scenario.name),
        file=clean(scenario.file),
        title=clean(scenario.title),
        checks=checks,
        stopped=None if told else _advice(scenario.verdict, scenario),
    )


def _advice(verdict: Word, scenario: Gated) -> Advice | None:
    """Say why a verdict says nothing about the code, and what to do; None where it does."""
    file, why = clean(scenario.file), _sentence(scenario.error)
    match verdict:
        case Word.DIFFERS:
            return Advice(why, "Make the answers equal first; until then times mean nothing.")
        case Word.ERROR:
            alone = f" Alone: perfkit scenario run {file}" if file else ""
            return Advice(why, f"An error is no slow-down: put it right.{alone}")
        case Word.NOTHING:
            why = why or "Nothing was judged, which is no pass."
            return Advice(why, f"Write what must hold under [checks]{f' in {file}' * bool(file)}.")
        case Word.UNFIT:
            fix = "Run it again on a calm machine; counts hold on any."
            return Advice(_sentence(scenario.unfit), fix)
        case Word.INCONCLUSIVE:
            return Advice(why, "Allow it more time, or use a calmer machine.")
        case _:
            return None


def _undecided(judged: Judged) -> Advice | None:
    """Explain a check that could not be decided by its figures; others have said why."""
    if not judged.clock and judged.value is None:
        return None
    if not judged.clock:
        why = "The count varies, so no single figure decides the check."
        return Advice(why, "Do the same work in every call, or move the limit.")
    if judged.low is None:
        why = "There is too little to judge by."
        return Advice(why, "Time more rounds, or more work in a call.")
    if judged.limit is not None and not judged.low <= judged.limit <= (judged.high or math.inf):
        why = "A fail must hold beside all the other timed checks, which takes more rounds."
        return Advice(why, "Allow it more time, or save a base of more rounds.")
    why = "The limit lies inside the interval: neither a pass nor a fail is proven."
    return Advice(why, "Allow it more time, use a calmer machine, or move the limit.")


def _sentence(text: str) -> str:
    text = clean(text)
    return f"{text}." if text and text[-1] not in ".!?" else text
