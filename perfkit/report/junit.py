"""Write a gate as JUnit XML: a suite a scenario, a case a check.

A fail is a failure; what could not be judged is skipped; an error, or answers that differ, is an
error. No case has a time: a scenario's checks share its rounds.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from perfkit.extras import require
from perfkit.outcome import SCHEMA, Gate, Gated, Judged
from perfkit.report.gate_words import Block, compose
from perfkit.report.words import clean
from perfkit.verdict import Word

PACKAGE = "junitparser"
ROOT = f'<testsuites name="{SCHEMA}"'
"""How the first element of a file of ours begins."""


def render(gate: Gate) -> str:
    """Return the gate as XML; raises MissingExtra where junitparser is not installed."""
    junit = require(PACKAGE, "ci")
    report = junit.JUnitXml(SCHEMA)
    for scenario, block in zip(gate.scenarios, compose(gate).blocks, strict=True):
        report.append(_suite(junit, gate, scenario, block))
    if not gate.scenarios:
        report.append(_empty(junit, gate))
    report.update_statistics()
    # Counted from the cases, which have no times.
    for suite, scenario in zip(report, gate.scenarios, strict=False):
        suite.time = round(scenario.duration, 3)
    report.time = round(gate.duration, 3)
    memory = io.BytesIO()
    report.write(memory, pretty=True)
    return memory.getvalue().decode()


def _suite(junit: ModuleType, gate: Gate, scenario: Gated, block: Block) -> Any:
    suite = junit.TestSuite(block.name)
    suite.timestamp = clean(gate.started)
    for name, value in _about(gate, scenario).items():
        suite.add_property(name, value)
    for one, judged in zip(block.checks, scenario.judged, strict=True):
        known = _figures(judged)
        suite.append(_case(junit, block.name, one.check, one.verdict, one.texts, known))
    if block.stopped:
        texts = [block.stopped.text]
        suite.append(_case(junit, block.name, str(block.verdict), block.verdict, texts))
    return suite


def _empty(junit: ModuleType, gate: Gate) -> Any:
    """Return the suite of a gate without a scenario: nothing matched is no pass."""
    suite = junit.TestSuite("perfkit gate")
    suite.timestamp = clean(gate.started)
    word = str(Word.NOTHING)
    suite.append(_case(junit, "perfkit gate", word, Word.NOTHING, compose(gate).notices))
    return suite


def _case(
    junit: ModuleType,
    scenario: str,
    name: str,
    verdict: Word,
    texts: Iterable[str],
    known: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    case = junit.TestCase(name, f"perfkit.{scenario}")
    if known:
        properties = junit.Properties()
        for key, value in known.items():
            properties.add_property(junit.Property(key, value))
        case.append(properties)
    kinds = {Word.FAIL: junit.Failure, Word.INCONCLUSIVE: junit.Skipped, Word.UNFIT: junit.Skipped}
    if verdict is not Word.PASS:
        first, *rest = [text for text in texts if text] or [str(verdict)]
        outcome = kinds.get(verdict, junit.Error)(first, str(verdict))
        outcome.text = "\n".join([first, *rest])
        case.append(outcome)
    return case


def _about(gate: Gate, scenario: Gated) -> dict[str, str]:
    return {
        "seed": str(gate.seed),
        "perfkit": clean(gate.perfkit),
        "base": clean(gate.base),
        "file": clean(scenario.file),
        "title": clean(scenario.title),
        "verdict": str(scenario.verdict),
    }


def _figures(judged: Judged) -> dict[str, str]:
    known = {
        "value": judged.value,
        "interval": None if judged.low is None else f"{judged.low} to {judged.high}",
        "limit": judged.limit,
        "clock": judged.clock or None,
        "rounds": judged.rounds or None,
        "detectable": judged.detectable,
    }
    return {name: clean(str(value)) for name, value in known.items() if value is not None}
