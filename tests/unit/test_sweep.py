"""A sweep pairs what was timed in the same round, and its file holds together."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from unit.report.samples import change_variant, change_work, variant
from unit.report.sweeps import again, counted, distant, growing, scaling

from perfkit.errors import UnreadableFile
from perfkit.growth import Growth
from perfkit.result import Result
from perfkit.sweep import SCHEMA, Curve, Sweep, curves, decode, encode, rounds_of


def curve(sweep: Sweep, name: str) -> Curve:
    return next(one for one in sweep.curves if one.variant == name)


def change_at(sweep: Sweep, place: int, change: Callable[[Result], Result]) -> Sweep:
    results = list(sweep.results)
    results[place] = change(results[place])
    return again(sweep, results=tuple(results))


def test_times_and_counts_are_named_for_every_variant() -> None:
    found = {one.variant: one for one in growing().curves}

    assert list(found) == ["ask-per-row", "prepared", "ask-once", "pairs"]
    assert [one.growth and one.growth.growth for one in found.values()] == [
        Growth.LINEAR,
        Growth.LINEAR,
        Growth.CONSTANT,
        Growth.QUADRATIC,
    ]
    assert [one.cause and one.cause.growth for one in found.values()] == [
        Growth.LINEAR,
        Growth.LINEAR,
        Growth.CONSTANT,
        Growth.QUADRATIC,
    ]
    assert all(one.scalability is None for one in found.values())


def test_workers_are_fitted_by_the_scalability_law_instead() -> None:
    found = scaling()
    lock, threads = curve(found, "one-lock"), curve(found, "per-thread")

    assert lock.growth is None
    assert lock.scalability is not None
    assert threads.scalability is not None
    assert lock.scalability.amdahl.contention.ratio == pytest.approx(0.97, abs=0.02)
    assert threads.scalability.universal is not None
    assert threads.scalability.universal.coherency.ratio == pytest.approx(0.001, abs=0.0003)
    assert lock.cause is not None


def test_a_time_is_the_median_of_the_rounds_own_medians() -> None:
    result = growing().results[0]
    samples = variant(result, "ask-once").samples[:3]
    times = ((1.0, 2.0, 9.0), (4.0, 4.0, 4.0), (3.0, 3.5, 3.5))
    set_times = tuple(
        msgspec.structs.replace(one, wall=wall) for one, wall in zip(samples, times, strict=True)
    )
    changed = change_at(
        growing(), 0, lambda result: change_variant(result, "ask-once", samples=set_times)
    )

    assert curve(changed, "ask-once").seconds[0] == 3.5


def test_the_rounds_that_all_values_have_are_paired_in_their_order() -> None:
    sweep = growing()
    fewer = change_at(
        sweep,
        3,
        lambda result: change_variant(
            result, "pairs", samples=variant(result, "pairs").samples[:7]
        ),
    )
    found = rounds_of([one for one in fewer.measured("pairs") if one])

    assert len(found) == 7
    assert [one[0] for one in found] == [
        sample.wall[0] for sample in variant(sweep.results[0], "pairs").samples[:7]
    ]
    assert (
        curve(fewer, "pairs").growth
        == curve(
            again(
                sweep,
                results=tuple(
                    change_variant(one, "pairs", samples=variant(one, "pairs").samples[:7])
                    for one in sweep.results
                ),
            ),
            "pairs",
        ).growth
    )


def test_a_variant_with_a_hole_is_fitted_over_the_other_values() -> None:
    sweep = growing(
        (50, 100, 200, 400, 800), where={"pairs": lambda n: n != 100, "prepared": lambda n: n > 100}
    )
    pairs, prepared = curve(sweep, "pairs"), curve(sweep, "prepared")

    assert [seconds is None for seconds in pairs.seconds] == [False, True, False, False, False]
    assert pairs.growth is not None
    assert pairs.growth.growth == Growth.QUADRATIC
    assert prepared.growth is None
    assert prepared.cause is not None
    assert prepared.cause.growth == Growth.LINEAR


def test_without_times_there_are_counts_and_their_growth() -> None:
    sweep = counted()

    assert not sweep.timed
    assert sweep.rounds == 0
    assert all(one.growth is None for one in sweep.curves)
    assert curve(sweep, "pairs").seconds == (None,) * 4
    assert [one.cause and one.cause.growth for one in sweep.curves][-1] == Growth.QUADRATIC


def test_inexact_counts_are_held_to_the_looser_tolerance() -> None:
    sweep = growing()
    near = change_at(
        sweep, 1, lambda result: change_work(result, "ask-once", "round_trips", value=2)
    )
    rough = again(
        sweep,
        results=tuple(
            change_work(
                one, "ask-per-row", "round_trips", value=round(factor * n), exact=factor == 1
            )
            for one, n, factor in zip(sweep.results, sweep.values, (1, 1.08, 1, 1), strict=True)
        ),
    )

    assert curve(near, "ask-once").cause is not None
    known = curve(rough, "ask-per-row").cause
    assert known is not None
    assert Growth.LINEAR in known.candidates


def test_a_sweep_over_the_distance_begins_at_zero() -> None:
    found = curve(distant(), "ask-per-row").growth

    assert found is not None
    assert found.growth == Growth.LINEAR
    assert found.per == pytest.approx(201, rel=0.03)


def test_fitting_again_gives_the_same_curves() -> None:
    for sweep in (growing(), scaling()):
        read = decode(encode(sweep), "x")
        assert curves(read.values, read.results, workers=read.workers) == sweep.curves


@pytest.mark.parametrize("make", [growing, scaling, distant, counted])
def test_a_sweep_survives_the_file(make: Callable[[], Sweep]) -> None:
    sweep = make()

    assert sweep == decode(encode(sweep), "sweep.json")
    assert encode(sweep).endswith(b"}\n")


def refused(changed: object) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        decode(json.dumps(changed).encode(), "sweep.json")
    assert "sweep.json" in caught.value.what
    assert caught.value.why
    assert caught.value.fix
    return caught.value


@pytest.fixture(scope="module")
def data() -> bytes:
    return encode(counted())


def test_a_file_cut_short_is_refused(data: bytes) -> None:
    for length in range(0, len(data) - 1, 997):
        with pytest.raises(UnreadableFile, match=r"sweep\.json is no JSON"):
            decode(data[:length], "sweep.json")


@pytest.mark.parametrize("schema", ["perfkit.sweep/2", "perfkit.result/1", "", None, 7])
def test_another_schema_is_refused_by_name(data: bytes, schema: object) -> None:
    error = refused({**json.loads(data), "schema": schema})

    assert error.what == "sweep.json is no sweep that this perfkit reads"
    assert error.why == f"its schema is {schema!r}, not {SCHEMA!r}"


@pytest.mark.parametrize("place", [(), ("results", 0), ("curves", 0), ("curves", 0, "cause")])
def test_an_unknown_field_is_refused_wherever_it_is(
    data: bytes, place: tuple[str | int, ...]
) -> None:
    changed = inner = json.loads(data)
    for step in place:
        inner = inner[step]
    inner["surprise"] = 1

    assert "surprise" in refused(changed).why


def without_last(sweep: dict[str, Any], key: str) -> dict[str, Any]:
    return {**sweep, key: sweep[key][:-1]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sweep: without_last(sweep, "values"),
        lambda sweep: without_last(sweep, "results"),
        lambda sweep: without_last(sweep, "curves"),
        lambda sweep: {**sweep, "values": [50, 50, 200, 400]},
        lambda sweep: {**sweep, "values": [400, 200, 100, 50]},
        lambda sweep: {**sweep, "values": [-50, 100, 200, 400]},
        lambda sweep: {**sweep, "values": [], "results": [], "curves": []},
        lambda sweep: {**sweep, "probe": "another"},
        lambda sweep: {**sweep, "curves": [sweep["curves"][1], *sweep["curves"][1:]]},
        lambda sweep: {**sweep, "curves": [{**one, "role": "fixed"} for one in sweep["curves"]]},
        lambda sweep: {
            **sweep,
            "curves": [without_last(one, "seconds") for one in sweep["curves"]],
        },
        lambda sweep: {**sweep, "curves": [{**one, "seconds": [0] * 4} for one in sweep["curves"]]},
        lambda sweep: {**sweep, "curves": [{**one, "seconds": [1] * 4} for one in sweep["curves"]]},
        lambda sweep: {**sweep, "results": [{**one, "cause": "x"} for one in sweep["results"]]},
        lambda sweep: {**sweep, "values": [50, 100, 200, 401]},
        lambda sweep: {**sweep, "parameter": "rtt"},
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    data: bytes, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    assert refused(spoil(json.loads(data))).what == "sweep.json contradicts itself"


@pytest.mark.parametrize(
    ("factor", "value"),
    [
        ("rate", 0),
        ("contention", {"ratio": -1, "low": None, "high": None, "confidence": 0.95}),
        ("contention", {"ratio": 1.1, "low": None, "high": None, "confidence": 0.95}),
        ("coherency", {"ratio": -0.1, "low": None, "high": None, "confidence": 0.95}),
    ],
)
def test_a_law_that_no_fit_gives_is_refused(factor: str, value: object) -> None:
    changed = json.loads(encode(scaling((1, 2, 4))))
    changed["curves"][0]["scalability"]["amdahl"][factor] = value

    assert refused(changed).what == "sweep.json contradicts itself"
