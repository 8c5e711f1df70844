"""Scenario files: what is shipped loads, what is wrong is refused when it is read."""

from pathlib import Path

import pytest

from perfkit import registry, scenario
from perfkit.errors import UnreadableFile, UsageError

GOOD = 'probe = "db-fetch"\ntitle = "T"\nstory = "S"\n'


@pytest.mark.parametrize("name", sorted(registry.scenarios()))
def test_shipped_scenario_can_be_planned(name: str) -> None:
    read = scenario.decode(registry.scenarios()[name].read_text(encoding="utf-8"), name)

    plan = read.plan()

    assert plan.probe.name == read.probe
    assert read.story.strip()


def test_every_probe_has_a_scenario() -> None:
    told = {
        scenario.decode(file.read_text(encoding="utf-8"), name).probe
        for name, file in registry.scenarios().items()
    }

    assert told == set(registry.entries())


def test_distance_and_parameters_reach_the_plan() -> None:
    plan = scenario.decode(GOOD + 'rtt = "2ms"\n[params]\norders = 7\n', "x").plan()

    assert plan.location.rtt == 0.002
    assert getattr(plan.params, "orders") == 7  # noqa: B009 (the probe's own type)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("probe = ", "is no scenario"),
        (GOOD + 'titel = "x"', "titel"),
        (GOOD.replace('"T"', "3"), "Expected `str`"),
        ('title = "T"', "missing required field"),
        ("\x00", "is no scenario"),
    ],
)
def test_malformed_scenario_is_refused(text: str, said: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        scenario.decode(text, "bad.toml")

    assert said in f"{caught.value.what} {caught.value.why}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("db-fetch", "db-fetc"), "did you mean 'db-fetch'"),
        (GOOD + "[params]\nordrs = 7\n", "did you mean 'orders'"),
        (GOOD + "[params]\norders = 0\n", "orders=0 is refused"),
        (GOOD + '[params]\norders = "2ms"\n', "not a count"),
        (GOOD + 'rtt = "2"\n', "no duration"),
    ],
)
def test_scenario_that_does_not_fit_its_probe_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        scenario.decode(text, "bad.toml").plan()


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"cannot read .*absent\.toml"):
        scenario.load(tmp_path / "absent.toml")
