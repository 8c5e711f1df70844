"""Scenario files: what is shipped loads, what is wrong is refused when it is read."""

import dataclasses
from pathlib import Path

import pytest
from sample_probes import choosy

from perfkit import registry, scenario
from perfkit.errors import CannotRun, UnreadableFile, UsageError

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


# Checks


def expected(checks: str, probe: str = "db-fetch") -> list[str]:
    read = scenario.decode(GOOD.replace("db-fetch", probe) + "[checks]\n" + checks, "bad.toml")
    return [str(check) for check in read.expected("bad.toml")]


@pytest.mark.parametrize("name", sorted(registry.scenarios()))
def test_checks_of_a_shipped_scenario_can_be_read(name: str) -> None:
    read = scenario.load(registry.scenarios()[name])

    assert len(read.expected(name)) >= sum(map(len, read.checks.values()))


def test_a_role_stands_for_the_variants_that_have_it() -> None:
    levers = ["ask-per-row-prepared", "ask-per-row-threaded"]

    assert expected('fixed = ["statements == 1", "rows == 200"]') == [
        "ask-once: statements == 1",
        "ask-once: rows == 200",
    ]
    assert expected('"fixed/naive" = ["time < 0.25x"]') == ["ask-once/ask-per-row: time < 0.25x"]
    assert expected('"wrong/naive" = ["time > 0.5x"]') == [
        f"{lever}/ask-per-row: time > 0.5x" for lever in levers
    ]
    assert expected('"naive/wrong" = ["time > 0.5x"]') == [
        f"ask-per-row/{lever}: time > 0.5x" for lever in levers
    ]
    assert expected('"wrong@base" = ["time < 5%"]') == [
        f"{lever}@base: time < 5%" for lever in levers
    ]


def test_the_fix_is_the_first_that_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    original = registry.probe("db-fetch")
    fixes = [one for one in original.variants if one.role == "fixed"]
    halves = [dataclasses.replace(one, partial=one is not fixes[1]) for one in fixes]
    partial = dataclasses.replace(original, variants=[original.variants[0], *halves])
    monkeypatch.setattr(registry, "probe", lambda _: partial)

    assert expected('fixed = ["rows == 200"]') == [f"{fixes[1].name}: rows == 200"]


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name stand for a probe whose variants have conditions."""
    monkeypatch.setattr(registry, "probe", lambda _: choosy.probe)


def wished(wish: str, checks: str) -> list[str]:
    text = f'{GOOD}[params]\nwish = "{wish}"\n[checks]\n{checks}'
    return [str(check) for check in scenario.decode(text, "bad.toml").expected("bad.toml")]


@pytest.mark.usefixtures("choose")
def test_a_role_stands_for_the_variants_that_run_with_the_parameters() -> None:
    checks = '"fixed/naive" = ["calls < 1x"]'

    assert wished("", checks) == ["once/many: calls < 1x"]
    assert wished("crowded", checks) == ["once/many-in-parts: calls < 1x"]
    assert wished("two", checks) == ["twice/many: calls < 1x"]


@pytest.mark.usefixtures("choose")
@pytest.mark.parametrize(
    ("wish", "checks", "name", "why"),
    [
        ("two", 'once = ["calls < 2"]', "once", "it names one, 2 are missing"),
        ("two", '"once@base" = ["calls <= 1x"]', "once", "it names one, 2 are missing"),
        ("two", '"twice/once" = ["calls < 2x"]', "once", "it names one, 2 are missing"),
        ("two", 'wrong = ["calls > 2"]', "wrong", "'still-many': it has one hand"),
        (
            "unfixable",
            '"naive/fixed" = ["calls > 2x"]',
            "fixed",
            "'once': it names one, 2 are missing\n'twice': it names two, 3 are missing",
        ),
    ],
)
def test_a_check_of_what_is_not_run_with_the_parameters_says_why(
    wish: str, checks: str, name: str, why: str
) -> None:
    with pytest.raises(CannotRun) as caught:
        wished(wish, checks)

    assert caught.value.what.startswith("bad.toml: ")
    assert caught.value.what.endswith(f": '{name}' is not run with these parameters")
    assert caught.value.why == why


@pytest.mark.usefixtures("choose")
def test_a_variant_that_is_not_there_at_all_is_no_matter_of_parameters() -> None:
    with pytest.raises(UnreadableFile, match="no variant 'thrice'; did you mean 'twice'"):
        wished("two", 'thrice = ["calls < 2"]')


def test_a_variant_may_be_named() -> None:
    assert expected('ask-for-all = ["statements == 2"]') == ["ask-for-all: statements == 2"]


def test_a_scenario_without_checks_expects_nothing() -> None:
    assert expected("") == []
    assert expected("fixed = []") == []


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ('fixd = ["statements == 1"]', "no variant 'fixd'; did you mean 'fixed'?"),
        ('"fixed/ask-onc" = ["rows == 1x"]', "did you mean 'ask-once'?"),
        ('fixed = ["statments == 1"]', "did you mean 'statements'?"),
        ('fixed = ["statements = 1"]', "cannot read 'statements = 1'"),
        ('"fixed@main" = ["time < 5%"]', "is no target"),
        ('fixed = ["time < 5%"]', "the unit '%' does not fit"),
    ],
)
def test_a_check_that_does_not_fit_is_refused(checks: str, said: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        expected(checks)

    assert caught.value.what.startswith("bad.toml: ")
    assert said in caught.value.what


@pytest.mark.parametrize(
    "checks", ['fixed = "statements == 1"', "fixed = [1]", 'fixed = {a = "b"}', "x = 1\n[checks.x]"]
)
def test_checks_of_another_shape_are_refused(checks: str) -> None:
    with pytest.raises(UnreadableFile, match=r"bad\.toml is no scenario"):
        expected(checks)


def test_brackets_without_end_are_refused() -> None:
    with pytest.raises(UnreadableFile, match=r"bad\.toml is no scenario"):
        scenario.decode("a = " + "[" * 100_000, "bad.toml")
