"""Two stored results side by side: a gate with the checks that everybody would write."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from perfkit import decide
from perfkit.checks import Check, parse
from perfkit.decide import Sides
from perfkit.errors import NothingMatched
from perfkit.gate import stored
from perfkit.gate.stored import Stored
from perfkit.outcome import Gate, Gated, Judged
from perfkit.result import Result
from perfkit.verdict import Word, worst


def compare(before: Stored, after: Stored, limit: str) -> Gate:
    """Hold every variant of `after` to no more work than `before`, and to less time than a limit.

    The limit is a change such as `5%`. Raises UnreadableFile for a limit that is none, and
    NothingMatched when the two have no scenario in common.
    """
    # Refused also where nothing was timed.
    parse("all@base", f"time < {limit}", "--limit")
    pairs = {
        name: (then, now)
        for name, now in after.named().items()
        if (then := before.of(name)) is not None
    }
    if not pairs:
        raise NothingMatched(
            f"{before.file} and {after.file} have no scenario in common",
            why=f"one has {', '.join(before.named()) or 'none'}; "
            f"the other {', '.join(after.named()) or 'none'}",
        )
    gated = [_gated(name, then, now, before.file, limit) for name, (then, now) in pairs.items()]
    latest = next(iter(pairs.values()))[1]
    return Gate(
        perfkit=version("perfkit"),
        started=latest.started,
        duration=0.0,
        seed=latest.seed,
        base=str(before.file),
        machine=latest.machine,
        scenarios=tuple(gated),
        verdict=worst([one.verdict for one in gated]),
    )


def _gated(name: str, then: Result, now: Result, file: Path, limit: str) -> Gated:
    sides = Sides(
        {variant.name: variant for variant in now.variants},
        {variant.name: variant for variant in then.variants},
        paired=False,
    )
    checks = list(_checks(then, now, limit))
    other = stored.difference(now, then)
    foreign = stored.foreign(now.machine, then.machine)
    if other:
        judged = [_said(check, Word.ERROR, f"{file.name} measured {other}") for check in checks]
    else:
        open_ = [check for check in checks if not (check.timed and foreign)]
        decided = dict(
            zip(open_, decide.judge_all([(check, sides) for check in open_]), strict=True)
        )
        judged = [decided.get(check) or _said(check, Word.UNFIT, foreign) for check in checks]
    return Gated(
        name=name,
        file="",
        title=now.title,
        verdict=worst([one.verdict for one in judged]),
        judged=tuple(judged),
        unfit=foreign,
        result=now,
        base=then,
    )


def _checks(then: Result, now: Result, limit: str) -> Iterator[Check]:
    """Yield a check for all that both counted, and for the time where both were timed."""
    before = {variant.name: variant for variant in then.variants}
    for variant in now.variants:
        if variant.name not in before:
            continue
        target = f"{variant.name}@base"
        for counter in now.counters:
            if counter in variant.work and counter in before[variant.name].work:
                yield parse(target, f"{counter} <= 1x", "compare")
        if variant.samples and before[variant.name].samples:
            yield parse(target, f"time < {limit}", "--limit")


def _said(check: Check, word: Word, said: str) -> Judged:
    return Judged(check.target, check.text, word, said, limit=check.limit)
