from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from perfkit import Bound, Probe, Role, count, seconds, size
from perfkit.backends.python import Python
from perfkit.errors import CannotRun, NotThere
from perfkit.model import Variant
from perfkit.units import Unit


@dataclass(frozen=True)
class Nothing:
    pass


def make_probe(cause: str = "calls") -> Probe[Python, Nothing]:
    return Probe(
        name="two-ways",
        title="Two ways",
        backend=Python,
        params=Nothing,
        work={"calls": "calls"},
        cause=cause,
    )


def do_it(_python: Python, _nothing: Nothing) -> object:
    return 1


def do_it_well(_python: Python, _nothing: Nothing) -> object:
    return 1


def ready(_python: Python, _nothing: Nothing) -> None:
    pass


def test_the_cause_is_one_of_the_counters() -> None:
    with pytest.raises(ValueError, match="the cause 'moon' of two-ways is not among its counters"):
        make_probe(cause="moon")


def test_decorators_return_the_plain_function() -> None:
    probe = make_probe()
    decorators: list[Any] = [
        probe.naive("code"),
        Probe.wrong_lever(make_probe(), "lever", why="no"),
        Probe.fixed(make_probe(), "fix"),
    ]

    assert [decorate(do_it) for decorate in decorators] == [do_it] * 3
    assert (probe.setup(ready), probe.reset(ready)) == (ready, ready)


def test_variants_are_kept_in_order_with_what_they_are_there_to_show() -> None:
    probe = make_probe()
    probe.naive("code", prepare=ready)(do_it)
    probe.fixed("fix", why="half of it", partial=True)(do_it_well)
    expected = [
        Variant(Role.NAIVE, "code", do_it, prepare=ready),
        Variant(Role.FIXED, "fix", do_it_well, "half of it", partial=True),
    ]

    assert expected == probe.variants


def too_much(_nothing: Nothing) -> str:
    return "it needs 16 GiB"


def no_reason(_nothing: Nothing) -> str:
    return ""


def out_of_order(_nothing: Nothing) -> str:
    message = "no such luck"
    raise ValueError(message)


@pytest.mark.parametrize(
    "decorate",
    [
        lambda probe: probe.naive("code", unless=too_much),
        lambda probe: probe.wrong_lever("lever", why="no", unless=too_much),
        lambda probe: probe.fixed("fix", unless=too_much),
    ],
)
def test_a_variant_of_any_role_may_have_a_condition(decorate: Any) -> None:
    probe = make_probe()
    decorate(probe)(do_it)

    assert probe.variants[0].unless is too_much
    assert probe.obstacles(Nothing()) == {"do-it": "it needs 16 GiB"}


def twice_as_fast(_python: Python, _nothing: Nothing) -> Bound:
    return Bound(2.0, "2 / 1")


def test_a_lever_and_a_fix_may_predict_how_much_faster_they_can_be() -> None:
    probe = make_probe()
    probe.naive("code")(do_it)
    probe.fixed("fix", bound=twice_as_fast)(do_it_well)
    other = make_probe()
    other.wrong_lever("lever", why="no", bound=twice_as_fast)(do_it)

    assert [variant.bound for variant in probe.variants] == [None, twice_as_fast]
    assert other.variants[0].bound is twice_as_fast


def test_without_a_condition_or_a_reason_nothing_is_in_the_way() -> None:
    probe = make_probe()
    probe.naive("code")(do_it)
    probe.fixed("fix", unless=no_reason)(do_it_well)

    assert probe.obstacles(Nothing()) == {}


def test_a_condition_that_fails_is_named() -> None:
    probe = make_probe()
    probe.naive("code", unless=out_of_order)(do_it)

    with pytest.raises(CannotRun) as caught:
        probe.obstacles(Nothing())

    assert caught.value.what == "the condition of 'do-it' of two-ways raised ValueError"
    assert caught.value.why == "no such luck"


def test_setup_and_reset_are_remembered() -> None:
    probe = make_probe()
    probe.setup(ready)
    assert (probe.load, probe.restore) == (ready, None)

    probe.reset(ready)
    assert (probe.load, probe.restore) == (ready, ready)


def test_a_variant_is_named_as_its_function() -> None:
    probe = make_probe()
    probe.naive("code")(do_it)
    probe.wrong_lever("lever", why="no")(do_it_well)

    assert [variant.name for variant in probe.variants] == ["do-it", "do-it-well"]
    assert probe.variant("do-it-well").run is do_it_well


def test_an_unknown_variant_is_a_key_error() -> None:
    with pytest.raises(NotThere, match="nobody"):
        make_probe().variant("nobody")


def test_two_variants_cannot_have_one_name() -> None:
    probe = make_probe()
    probe.naive("code")(do_it)

    with pytest.raises(ValueError, match="two-ways has two variants called 'do-it'"):
        probe.fixed("fix")(do_it)
    assert len(probe.variants) == 1


def test_probes_do_not_share_their_variants() -> None:
    one, two = make_probe(), make_probe()
    one.naive("code")(do_it)

    assert two.variants == []


def test_answers_are_compared_as_they_are_unless_a_key_is_given() -> None:
    answer = object()

    assert make_probe().answer(answer) is answer


def test_annotations_carry_text_unit_and_bounds() -> None:
    described = [
        (quantity.text, quantity.lowest, quantity.highest, quantity.unit)
        for quantity in (
            count("rows"),
            count("rows", at_least=0, at_most=9),
            seconds("pause"),
            seconds("pause", at_least=0.5, at_most=2),
            size("chunk"),
            size("chunk", at_least=1, at_most=512),
        )
    ]

    assert described == [
        ("rows", 1, None, Unit.COUNT),
        ("rows", 0, 9, Unit.COUNT),
        ("pause", 0, None, Unit.SECONDS),
        ("pause", 0.5, 2, Unit.SECONDS),
        ("chunk", 0, None, Unit.BYTES),
        ("chunk", 1, 512, Unit.BYTES),
    ]
