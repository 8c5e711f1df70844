"""Hold a probe to its story, by counted work and never by time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perfkit import registry
from perfkit.model import Location, Plan, Probe
from perfkit.result import Measured, Result
from perfkit.run.course import Progress
from perfkit.run.orchestrator import run

HEADINGS = ("Story", "Signs", "Wrong levers", "Fix", "Verify")
"""What a recipe has, in this order."""
REMOVED, LEFT = 0.5, 0.5
"""A fix leaves at most this share of the cause, a wrong lever at least this share."""


def check(
    probe: Probe[Any, Any],
    location: Location | None = None,
    tell: Callable[[Progress], None] = lambda _: None,
) -> tuple[Result, list[str]]:
    """Run a probe without timing it; return the result and what does not hold, in sentences.

    Raises AnswersDiffer and CannotRun as `run` does.
    """
    result = run(Plan(probe, probe.params(), location or Location(), rounds=0), tell)
    return result, [*_work(result), *_words(probe), *_recipe(probe)]


def _work(result: Result) -> list[str]:
    """Say where the counted work does not tell the story."""
    cause, naive = result.cause, result.naive
    before = naive.work[cause]
    found = [
        f"nobody counts '{name}' here, which the probe lists as work"
        for name in result.counters
        if name not in naive.work
    ]
    if not before.exact:
        found.append(f"'{naive.name}': {cause} differs between two counting passes")
    fix = result.fix
    if fix is not None and fix.partial:
        found.append("every fix is partial: one must remove the cause")
    for variant in result.variants:
        after = variant.work[cause].value
        if variant.role == "fixed" and not variant.partial:
            if after > before.value * REMOVED:
                found.append(_said(variant, cause, after, before.value, "a fix must remove it"))
            if not variant.work[cause].exact:
                found.append(f"'{variant.name}': {cause} differs between two counting passes")
        if variant.role == "wrong lever" and after < before.value * LEFT:
            found.append(
                _said(
                    variant, cause, after, before.value, "a wrong lever leaves it: a partial fix?"
                )
            )
    return found


def _said(variant: Measured, cause: str, after: int, before: int, rule: str) -> str:
    return f"'{variant.name}': {cause} {before:,} -> {after:,}, but {rule}"


def _words(probe: Probe[Any, Any]) -> list[str]:
    # Of the probe: one that does not apply with the default parameters says why all the same.
    levers = [variant for variant in probe.variants if variant.role == "wrong lever"]
    found = [] if levers else ["there is no wrong lever: what do people try first?"]
    return found + [
        f"'{variant.name}' does not say why it cannot help" for variant in levers if not variant.why
    ]


def _recipe(probe: Probe[Any, Any]) -> list[str]:
    recipe = registry.recipe(probe.name)
    if recipe is None:
        return [f"there is no recipe: recipes/{probe.name}.md"]
    lines = recipe.read_text(encoding="utf-8").splitlines()
    title = next(iter(lines), "").lstrip("#").strip()
    headings = tuple(line.removeprefix("## ") for line in lines if line.startswith("## "))
    found = []
    if title != probe.title:
        found.append(f"the recipe's title is {title!r}, the probe's {probe.title!r}")
    if headings != HEADINGS:
        found.append(f"the recipe's headings are {', '.join(headings)}, not {', '.join(HEADINGS)}")
    return found
