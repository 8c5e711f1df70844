"""When a machine is too busy to be judged by."""

import msgspec
import pytest
from unit.report.samples import sample

from perfkit.gate import fitness
from perfkit.gate.fitness import CROWDED, STOLEN, THROTTLED
from perfkit.run import machine


def after(**noise: float | None) -> str:
    calm = msgspec.structs.replace(sample().noise, steal_share=0.0, throttled_share=0.0)
    return fitness.unfit_after(msgspec.structs.replace(calm, **noise))


def before(*took: float) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "burn_in", lambda: list(took))
        return fitness.unfit_before()


def test_a_calm_run_is_fit() -> None:
    assert after() == ""


def test_what_nobody_could_measure_makes_no_run_unfit() -> None:
    assert after(steal_share=None, throttled_share=None) == ""


def test_a_hypervisor_that_gives_the_processors_away_is_named() -> None:
    assert after(steal_share=STOLEN) == ""
    assert after(steal_share=0.31) == "the hypervisor gave 31% of the processors to others"


def test_a_container_that_is_held_back_is_named() -> None:
    assert after(throttled_share=THROTTLED) == ""
    assert after(throttled_share=0.25) == (
        "the container's processor limit held the run back for 25% of the time"
    )


def test_a_loop_that_mostly_waits_tells_how_many_want_the_processor() -> None:
    assert before(1, CROWDED, CROWDED) == ""
    assert before(1, 6.9, 7.1) == "about 7 programs compete for every processor"


def test_a_loop_that_waits_now_and_then_says_nothing() -> None:
    assert before(1, 1, 1, 1, 90, 80, 70) == ""


def test_the_real_loop_is_run() -> None:
    assert fitness.unfit_before() == "" or "compete for every processor" in fitness.unfit_before()
