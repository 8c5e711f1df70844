"""One probe at several values of a parameter, in the same rounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from leftovers import alive
from sample_probes import growing, notes

from perfkit import sweep
from perfkit.errors import CannotRun
from perfkit.growth import Growth
from perfkit.model import Plan
from perfkit.parameters import describe
from perfkit.run.course import Counting, Course, Loading, Progress, Timing
from perfkit.run.sweep import run_sweep
from perfkit.run.trial import Basis, Trial
from perfkit.sweep import Curve, Sweep

pytestmark = pytest.mark.usefixtures("without_variables")

STEPS = next(one for one in describe(growing.Steps) if one.name == "steps")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Name the file that workers write to."""
    return str(tmp_path / "notes")


def plans(file: str, *steps: int, rounds: int | None = 0, **given: Any) -> dict[float, Plan]:
    return {
        number: Plan(growing.probe, growing.Steps(file, steps=number, **given), rounds=rounds)
        for number in steps
    }


def named(measured: Sweep) -> dict[str, Curve]:
    return {curve.variant: curve for curve in measured.curves}


def after_round(number: int, act: Callable[[], object]) -> Callable[[str, Progress], None]:
    def tell(_name: str, progress: Progress) -> None:
        if isinstance(progress, Timing) and progress.round == number:
            act()

    return tell


def press_ctrl_c() -> None:
    raise KeyboardInterrupt


def test_there_is_a_result_for_each_value_and_a_curve_for_each_variant(file: str) -> None:
    measured = run_sweep(STEPS, plans(file, 2, 4, 8), Course())

    assert measured.values == (2.0, 4.0, 8.0)
    assert [one.params["steps"].value for one in measured.results] == [2, 4, 8]
    assert [curve.variant for curve in measured.curves] == ["each", "still-each", "at-once"]
    assert (measured.parameter, measured.text) == ("steps", "steps")
    assert measured.stopped == "counted"
    assert not measured.timed
    assert sweep.decode(sweep.encode(measured), "test") == measured


def test_the_growth_of_the_cause_is_named_from_the_counts(file: str) -> None:
    curves = named(run_sweep(STEPS, plans(file, 10, 20, 40), Course()))
    causes = {name: curve.cause and curve.cause.growth for name, curve in curves.items()}

    assert causes == {
        "each": Growth.LINEAR,
        "still-each": Growth.LINEAR,
        "at-once": Growth.CONSTANT,
    }


def test_every_value_has_a_turn_in_every_round(file: str) -> None:
    measured = run_sweep(STEPS, plans(file, 2, 4, rounds=3), Course())
    samples = [
        sample for one in measured.results for variant in one.variants for sample in variant.samples
    ]

    assert measured.rounds == 3
    assert measured.stopped == "rounds"
    for number in range(3):
        places = [sample.position for sample in samples if sample.round == number]
        assert sorted(places) == list(range(2 * 3))


def test_the_order_of_a_round_mixes_the_values(file: str) -> None:
    measured = run_sweep(STEPS, plans(file, 2, 4, rounds=4), Course())
    first = {
        sample.position for variant in measured.results[0].variants for sample in variant.samples
    }

    # One value after the other would give the first one the places 0 to 2.
    assert not first <= {0, 1, 2}


def test_all_values_are_up_before_the_first_round_the_last_one_first(file: str) -> None:
    told: list[tuple[str, type[Progress]]] = []
    run_sweep(
        STEPS,
        plans(file, 2, 4, rounds=1),
        Course(),
        lambda name, progress: told.append((name, type(progress))),
    )

    loaded = [("steps=4", Loading)] * 2 + [("steps=4", Counting)] * 3
    loaded += [("steps=2", Loading)] * 2 + [("steps=2", Counting)] * 3
    assert told == [*loaded, ("", Timing), ("", Timing)]


def test_what_is_not_asked_for_is_not_run(file: str) -> None:
    chosen = frozenset({"each", "at-once"})
    measured = run_sweep(STEPS, plans(file, 2, 4), Course(counted=chosen, timed=chosen))

    assert set(named(measured)) == chosen
    assert "still_each" not in {noted["what"] for noted in notes.read(file)}


def test_a_variant_that_does_not_apply_everywhere_leaves_a_hole(file: str) -> None:
    measured = run_sweep(STEPS, plans(file, 2, 4, 8, most=4, rounds=1), Course())
    seconds = named(measured)["still-each"].seconds

    assert [time is None for time in seconds] == [False, False, True]
    assert [one.name for one in measured.results[2].not_run] == ["still-each"]


def test_ctrl_c_after_a_round_keeps_what_there_is(file: str) -> None:
    measured = run_sweep(STEPS, plans(file, 2, 4, rounds=9), Course(), after_round(2, press_ctrl_c))

    assert measured.stopped == "interrupted"
    assert measured.rounds == 2
    assert {one.stopped for one in measured.results} == {"interrupted"}


def test_ctrl_c_in_a_round_leaves_as_many_rounds_at_every_value(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = Trial.take

    def interrupted(trial: Trial, basis: Basis, number: int, position: int) -> None:
        # All three variants at one of the two values have had their second turn before.
        if taken.count(1) == 5:
            press_ctrl_c()
        take(trial, basis, number, position)
        taken.append(number)

    monkeypatch.setattr(Trial, "take", interrupted)
    for seed in range(4):
        taken.clear()
        both = {
            value: plan._replace(seed=seed) for value, plan in plans(file, 2, 4, rounds=9).items()
        }
        measured = run_sweep(STEPS, both, Course())
        assert [one.rounds for one in measured.results] == [1, 1]


def test_what_leaves_nothing_to_compare_is_refused_before_anything_starts(file: str) -> None:
    told: list[str] = []
    steps: dict[float, Plan] = {
        number: Plan(growing.bounded, growing.Steps(file, steps=number, most=4), rounds=0)
        for number in (2, 4, 8)
    }

    with pytest.raises(CannotRun, match="steps=8: the probe 'bounded' is not complete"):
        run_sweep(STEPS, steps, Course(), lambda name, _: told.append(name))

    assert told == []


def test_ctrl_c_before_the_first_round_keeps_the_counts(file: str) -> None:
    measured = run_sweep(STEPS, plans(file, 2, 4, rounds=9), Course(), after_round(0, press_ctrl_c))

    assert measured.stopped == "interrupted"
    assert not measured.timed
    assert named(measured)["each"].cause is None
    assert measured.results[1].naive.work["calls"].value > 0


def test_ctrl_c_while_counting_ends_it_all(file: str) -> None:
    def tell(name: str, progress: Progress) -> None:
        if name == "steps=4" and isinstance(progress, Counting):
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        run_sweep(STEPS, plans(file, 2, 4), Course(), tell)

    assert not any(alive(noted["process"]) for noted in notes.read(file))


def test_an_error_says_at_which_value_it_came(file: str) -> None:
    broken = plans(file, 2, 4, wish="raise at 4")

    with pytest.raises(CannotRun) as caught:
        run_sweep(STEPS, broken, Course())

    assert caught.value.what.startswith("steps=4: 'each' of growing raised ValueError")
    assert str(caught.value) == caught.value.what
    assert not any(alive(noted["process"]) for noted in notes.read(file))


def test_an_error_in_the_middle_of_a_round_says_at_which_value_it_came(file: str) -> None:
    break_one = after_round(1, Path(f"{file}-4").touch)

    with pytest.raises(CannotRun) as caught:
        run_sweep(STEPS, plans(file, 2, 4, rounds=3), Course(), break_one)

    assert caught.value.what.startswith("steps=4: 'each' of growing raised ValueError")
    assert str(caught.value) == caught.value.what
