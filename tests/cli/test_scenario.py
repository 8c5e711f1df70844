"""`perfkit scenario`: what stories there are, what each holds, and running one."""

import json
import subprocess
from pathlib import Path

import projects
import pytest
from projects import ONCE, Project

from perfkit import registry

from .conftest import Run

CHECKS = 'naive = ["calls == 11"]\n"wrong/naive" = ["calls >= 1x"]\n"fixed@base" = ["time < 5%"]'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in the folder that perfkit runs in, with one scenario."""
    made = projects.make(tmp_path)
    made.scenario(CHECKS, more='[gate]\nbudget = "0s"')
    return made


def names(ended: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.split()[0] for line in ended.stdout.splitlines()]


# The list


def test_the_list_has_those_of_the_folder_and_of_packages(perfkit: Run, project: Project) -> None:
    project.write("shop/scenarios/concert.toml", "")
    text = (project.folder / "scenarios/basket.toml").read_text()
    project.write("shop/scenarios/concert.toml", text.replace("The basket", "The concert"))

    ended = perfkit("scenario", "list")

    shipped = {path.stem for path in registry.scenarios().values()}
    assert set(names(ended)) == {"basket", "concert", *shipped}
    assert any(line.split()[1:] == ["The", "concert"] for line in ended.stdout.splitlines())
    assert "\x1b" not in ended.stdout
    assert ended.returncode == 0


def test_the_list_is_json_too(perfkit: Run, project: Project) -> None:
    listed = json.loads(perfkit("scenario", "list", "--json").stdout)
    found = {one["name"]: one for one in listed}

    assert project.folder.is_dir()
    assert found["basket"] == {
        "name": "basket",
        "title": "The basket",
        "measures": "shop",
        "checks": 3,
        "file": "scenarios/basket.toml",
        "error": "",
    }
    assert found["orders-page"]["measures"] == "db-fetch"


@pytest.mark.parametrize("text", ["probe = ", 'prob = "shop"', "\x00"])
def test_a_file_that_cannot_be_read_is_one_line_of_the_list(
    perfkit: Run, project: Project, text: str
) -> None:
    project.write("scenarios/broken.toml", text)

    ended = perfkit("scenario", "list")

    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("broken"))
    assert "cannot be read: scenarios/broken.toml is no scenario" in line
    assert "basket" in names(ended)
    assert ended.returncode == 0


# One of them


def test_show_tells_the_story_and_what_must_hold(perfkit: Run, project: Project) -> None:
    project.scenario(CHECKS, more="[params]\nitems = 7")

    lines = perfkit("scenario", "show", "basket").stdout.splitlines()

    assert lines[:4] == ["basket", "The basket", "", "Ten items."]
    assert [line.split() for line in lines if line.startswith("  ") and "$" not in line] == [
        ["measures", "shop"],
        ["items", "7"],
        ["file", "scenarios/basket.toml"],
        ["ask-each:", "calls", "==", "11"],
        ["ask-each-backwards/ask-each:", "calls", ">=", "1x"],
        ["ask-once@base:", "time", "<", "5%"],
    ]
    assert lines[-1] == "  $ perfkit gate basket"


def test_show_is_json_too_and_takes_several(perfkit: Run, project: Project) -> None:
    project.scenario("", "cart")

    shown = json.loads(
        perfkit("scenario", "show", "*art", "scenarios/basket.toml", "--json").stdout
    )

    assert [one["name"] for one in shown] == ["cart", "basket"]
    assert shown[0]["expected"] == []
    assert shown[1]["expected"][0] == "ask-each: calls == 11"
    assert shown[1]["story"] == "Ten items."


@pytest.mark.parametrize("command", ["show", "run"])
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("baskte",), 7, "no scenario 'baskte'; did you mean 'basket'?"),
        (("scenarios/absent.toml",), 2, "cannot read scenarios/absent.toml"),
        (("scenarios/bad.toml",), 2, "scenarios/bad.toml: fixd: calls == 2: no variant 'fixd'"),
        (("basket", "other/basket.toml"), 2, "two scenarios are called 'basket'"),
        ((), 2, "Missing argument"),
    ],
)
def test_a_mistake_is_named(
    perfkit: Run,
    project: Project,
    command: str,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    project.scenario('fixd = ["calls == 2"]', "bad")
    project.write("other/basket.toml", (project.folder / "scenarios/basket.toml").read_text())

    ended = perfkit("scenario", command, *arguments)

    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert ended.stderr.startswith("error: ")


@pytest.mark.parametrize("command", ["show", "run"])
def test_a_check_of_a_variant_that_does_not_apply_says_why(
    perfkit: Run, project: Project, command: str
) -> None:
    project.edit('"one call"', '"one call", unless=lambda _: "it is out of order"')
    project.scenario('ask-once = ["calls == 2"]')

    ended = perfkit("scenario", command, "basket")

    assert (ended.returncode, ended.stdout) == (3, "")
    assert "calls == 2: 'ask-once' is not run with these parameters\n" in ended.stderr
    assert "  why  it is out of order\n" in ended.stderr


# Running


def test_run_tells_the_story_times_all_variants_and_holds_them_to_the_checks(
    perfkit: Run, project: Project
) -> None:
    project.scenario(f'{CHECKS}\nfixed = ["calls == 1"]')

    ended = perfkit("scenario", "run", "basket", "--budget", "0s")

    assert ended.stdout.startswith("The basket\n\nTen items.\n\n")
    for label in ("a call an item", "a call an item, backwards", "one call"):
        assert label in ended.stdout
    assert [line for line in ended.stdout.splitlines() if line.startswith("pass")] == [
        "pass          ask-each: calls == 11",
        "pass          ask-each-backwards/ask-each: calls >= 1x",
    ], "there is no base to compare with"
    assert "fail          ask-once: calls == 1" in ended.stdout
    assert ended.returncode == 1
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_run_stops_at_a_check_of_a_variant_that_finds_out_that_it_cannot_run(
    perfkit: Run, project: Project
) -> None:
    project.edit(ONCE, '    from perfkit import NotApplicable; raise NotApplicable("it is old")\n')
    fix = '@probe.fixed("two calls")\ndef ask_twice(_python, basket):\n    return price(10)\n'
    project.edit('@probe.fixed("one call")', f'{fix}\n@probe.fixed("one call")')

    free = perfkit("scenario", "run", "basket", "--budget", "0s", "--quiet")
    project.scenario('ask-once = ["calls == 2"]')
    bound = perfkit("scenario", "run", "basket", "--budget", "0s")

    assert free.returncode in {0, 4}
    assert (bound.returncode, bound.stdout) == (3, "")
    assert "'ask-once' is not run with this component\n" in bound.stderr
    assert "  why  it is old\n" in bound.stderr


def test_run_prints_the_results_as_json(perfkit: Run, project: Project) -> None:
    assert project.folder.is_dir()

    ended = perfkit("scenario", "run", "bask*", "--budget", "0s", "--json")

    results = json.loads(ended.stdout)
    assert list(results) == ["basket"]
    assert results["basket"]["schema"] == "perfkit.result/1"
    assert len(results["basket"]["variants"]) == 3


def test_run_stops_at_answers_that_differ(perfkit: Run, project: Project) -> None:
    project.edit(ONCE, "    return 0\n")

    ended = perfkit("scenario", "run", "basket", "--budget", "0s")

    assert (ended.returncode, ended.stdout) == (5, "")
    assert "'ask-once' of shop returned another answer" in ended.stderr


@pytest.mark.parametrize("command", [("list",), ("show",), ("run",), ()])
def test_help_has_examples_and_fits(perfkit: Run, command: tuple[str, ...]) -> None:
    ended = perfkit("scenario", *command, "-h")

    assert ended.returncode == 0
    assert max(map(len, ended.stdout.splitlines())) <= 80
    examples = [line for line in ended.stdout.splitlines() if line.strip().startswith("$ ")]
    assert len(examples) >= (2 if command else 0)
