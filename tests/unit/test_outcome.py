"""What a gate leaves behind, and what its verdicts make of the exit code."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit import result
from perfkit.errors import Exit, UnreadableFile
from perfkit.outcome import Gate, Gated, Judged, decode, encode
from perfkit.verdict import EXITS, Policy, Word, worst

SAMPLE = result.load(Path(__file__).parents[1] / "golden" / "db-fetch.json")
WORST_FIRST = [
    Word.FAIL,
    Word.DIFFERS,
    Word.ERROR,
    Word.NOTHING,
    Word.UNFIT,
    Word.INCONCLUSIVE,
    Word.PASS,
]
JUDGED = Judged(
    "fixed@base",
    "time < 5%",
    Word.PASS,
    "processor time +0.1% (-1.0% to +1.2%)",
    1.001,
    0.99,
    1.012,
    1.05,
    "cpu",
    8,
    0.067,
)


def gated(verdict: Word, **changes: Any) -> Gated:
    whole = Gated("orders", "scenarios/orders.toml", "T", verdict, (JUDGED,), result=SAMPLE)
    return msgspec.structs.replace(whole, **changes)


def gate(*scenarios: Gated) -> Gate:
    return Gate(
        perfkit="0.1.0",
        started="2026-01-01T00:00:00+00:00",
        duration=1.5,
        seed=7,
        base="main",
        machine=SAMPLE.machine,
        scenarios=scenarios,
        verdict=worst([scenario.verdict for scenario in scenarios]),
    )


# Verdicts


def test_every_verdict_has_an_exit_code_of_its_own() -> None:
    assert set(Word) == set(EXITS)
    assert len(set(EXITS.values())) == len(Word)
    assert EXITS[Word.PASS] is Exit.FINE


@pytest.mark.parametrize(("bad", "less"), list(itertools.combinations(WORST_FIRST, 2)))
def test_what_is_proven_bad_outweighs_what_could_not_be_judged(bad: Word, less: Word) -> None:
    assert [bad, bad] == [worst([bad, less, less]), worst([less, bad])]


def test_nothing_judged_is_no_pass() -> None:
    assert worst([]) is Word.NOTHING
    assert gate().exit is Exit.NOTHING


@given(st.lists(st.sampled_from(Word), min_size=1))
def test_a_whole_is_green_only_where_all_of_it_is(words: list[Word]) -> None:
    exits = gate(*[gated(word) for word in words]).exit

    assert (exits is Exit.FINE) == (set(words) == {Word.PASS})
    assert EXITS[worst(words)] is exits


@pytest.mark.parametrize("word", [Word.INCONCLUSIVE, Word.UNFIT])
@pytest.mark.parametrize(
    ("policy", "expected"),
    [(Policy.WARN, None), (Policy.PASS, Exit.FINE), (Policy.FAIL, Exit.FOUND)],
)
def test_a_policy_decides_on_what_says_nothing_about_the_code(
    word: Word, policy: Policy, expected: Exit | None
) -> None:
    mine = {Word.INCONCLUSIVE: "on_inconclusive", Word.UNFIT: "on_unfit_runner"}
    others = set(mine.values()) - {mine[word]}
    for other in Policy:
        scenario = gated(word, **{mine[word]: policy}, **dict.fromkeys(others, other))
        assert gate(scenario).exit is (EXITS[word] if expected is None else expected)


@pytest.mark.parametrize(
    "word", [word for word in Word if word not in {Word.INCONCLUSIVE, Word.UNFIT}]
)
@pytest.mark.parametrize("policy", Policy)
def test_no_policy_changes_what_is_proven(word: Word, policy: Policy) -> None:
    scenario = gated(word, on_inconclusive=policy, on_unfit_runner=policy)

    assert EXITS[word] is gate(scenario).exit


def test_a_policy_speaks_for_its_own_scenario_only() -> None:
    lenient = gated(Word.INCONCLUSIVE, on_inconclusive=Policy.PASS)

    assert gate(lenient, gated(Word.UNFIT)).exit is Exit.UNFIT
    assert gate(lenient, gated(Word.PASS)).exit is Exit.FINE


def test_an_interrupted_gate_says_so_whatever_was_found() -> None:
    found = msgspec.structs.replace(gate(gated(Word.FAIL)), interrupted=True)

    assert found.exit is Exit.INTERRUPTED


# The file


def test_a_gate_survives_the_file() -> None:
    written = gate(gated(Word.PASS, base=SAMPLE), gated(Word.ERROR, error="lost", result=None))

    assert written == decode(encode(written), "gate.json")
    assert encode(written).endswith(b"}\n")


def test_a_ratio_to_nothing_is_no_figure_in_the_file() -> None:
    endless = msgspec.structs.replace(JUDGED, value=math.inf)
    read = decode(encode(gate(gated(Word.FAIL, judged=(endless,)))), "gate.json")

    assert read.scenarios[0].judged == (msgspec.structs.replace(JUDGED, value=None),)


def refused(changed: object) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        decode(json.dumps(changed).encode(), "gate.json")
    assert "gate.json" in caught.value.what
    assert caught.value.why
    assert caught.value.fix
    return caught.value


def tree() -> Any:
    return json.loads(encode(gate(gated(Word.PASS))))


def test_a_file_cut_short_is_refused() -> None:
    data = encode(gate(gated(Word.PASS)))
    for length in range(0, len(data) - 1, 997):
        with pytest.raises(UnreadableFile, match=r"gate\.json is no JSON"):
            decode(data[:length], "gate.json")


@pytest.mark.parametrize("schema", ["perfkit.gate/2", "perfkit.result/1", "", None, 7])
def test_another_schema_is_refused_by_name(schema: object) -> None:
    error = refused({**tree(), "schema": schema})

    assert error.what == "gate.json is no gate that this perfkit reads"
    assert error.why == f"its schema is {schema!r}, not 'perfkit.gate/1'"


@pytest.mark.parametrize("place", [(), ("scenarios", 0), ("scenarios", 0, "judged", 0)])
def test_an_unknown_field_is_refused_wherever_it_is(place: tuple[str | int, ...]) -> None:
    changed = inner = tree()
    for step in place:
        inner = inner[step]
    inner["surprise"] = 1

    assert "surprise" in refused(changed).why


def test_an_unknown_verdict_is_refused() -> None:
    changed = tree()
    changed["scenarios"][0]["verdict"] = "green"

    assert "green" in refused(changed).why


@pytest.mark.parametrize("side", ["result", "base"])
def test_a_result_inside_that_contradicts_itself_is_refused(side: str) -> None:
    changed = json.loads(encode(gate(gated(Word.PASS, base=SAMPLE))))
    changed["scenarios"][0][side]["cause"] = "magic"

    assert refused(changed).what == "gate.json contradicts itself"
