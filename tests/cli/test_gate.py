"""`perfkit gate` as a job runs it: the last line, the exit code, the files, the annotations."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import projects
import pytest
from leftovers import processes, until
from projects import EACH, ONCE, ONE_MORE, Project

from perfkit.outcome import decode

from .conftest import Run

COUNTED = 'naive = ["calls == 11"]'
CHANGED = '"naive@base" = ["calls <= 1x"]'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in the folder that perfkit runs in, with one scenario that holds."""
    made = projects.make(tmp_path)
    made.scenario(COUNTED)
    return made


def last(ended: subprocess.CompletedProcess[str]) -> str:
    return ended.stdout.splitlines()[-1]


# How it ends


def passes(_project: Project) -> list[str]:
    return []


def fails(project: Project) -> list[str]:
    project.edit(EACH, ONE_MORE)
    return []


def cannot_be_read(project: Project) -> list[str]:
    project.scenario('naive = ["calls = 11"]')
    return []


def raises(project: Project) -> list[str]:
    project.edit(EACH, "    price(1, 2)\n" + EACH)
    return []


def has_no_such_base(project: Project) -> list[str]:
    project.scenario(CHANGED)
    project.write("base.json", EMPTY)
    return ["--against", "base.json"]


def differs(project: Project) -> list[str]:
    project.scenario('"fixed/naive" = ["calls < 1x"]')
    project.edit(ONCE, "    return 0\n")
    return []


def has_no_checks(project: Project) -> list[str]:
    project.scenario("")
    return []


EMPTY = """{"perfkit": "0.1.0", "started": "", "duration": 0, "seed": 0, "base": "",
"machine": {"fingerprint": "", "system": "", "kernel": "", "cpu": "", "cores": 1, "memory": 1,
"python": "", "packages": {}}, "scenarios": [], "verdict": "pass", "schema": "perfkit.gate/1"}"""


@pytest.mark.parametrize(
    ("prepare", "word", "code"),
    [
        (passes, "pass", 0),
        (fails, "fail", 1),
        (cannot_be_read, "error", 2),
        (raises, "error", 3),
        (has_no_such_base, "inconclusive", 4),
        (differs, "answers differ", 5),
        (has_no_checks, "nothing matched", 7),
    ],
)
def test_every_ending_has_its_word_and_its_exit_code(
    perfkit: Run,
    project: Project,
    nothing_left: Callable[[], list[str]],
    prepare: Callable[[Project], list[str]],
    word: str,
    code: int,
) -> None:
    ended = perfkit("gate", *prepare(project))

    assert last(ended) == f"verdict: {word}"
    assert ended.returncode == code
    assert ended.stdout.count("verdict: ") == 1
    assert "Traceback" not in ended.stderr
    assert nothing_left() == []


@pytest.mark.parametrize(
    ("arguments", "code", "word", "said"),
    [
        (("baskte",), 7, "nothing matched", "no scenario 'baskte'; did you mean 'basket'?"),
        (("no-*",), 7, "nothing matched", "no scenario 'no-*'"),
        (("absent.toml",), 2, "error", "cannot read absent.toml"),
        (("--base", "HEAD"), 7, "nothing matched", "no check compares with HEAD"),
        (("--base", "a", "--against", "b"), 2, "error", "--base and --against are two bases"),
        (("--against", "absent.json"), 2, "error", "cannot read absent.json"),
        (("--on-inconclusive", "skip"), 2, "", "Invalid value for '--on-inconclusive'"),
        (("--budget", "soon"), 2, "error", "budget = 'soon' is no duration"),
        (("--save", "base.xml"), 2, "error", "no report format ends in '.xml'"),
        (("-o", "gate.html"), 2, "error", "no report format ends in '.html'"),
        (("--save", "nowhere/base.json"), 2, "error", "there is no folder nowhere"),
    ],
)
def test_a_mistake_is_named_before_anything_is_run(
    perfkit: Run, project: Project, arguments: tuple[str, ...], code: int, word: str, said: str
) -> None:
    if "--against" in arguments:
        project.scenario(CHANGED)

    ended = perfkit("gate", *arguments)

    assert ended.returncode == code
    assert ended.stdout == (f"verdict: {word}\n" if word else "")
    assert f"error: {said}" in ended.stderr
    assert "counting" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_reports_what_there_is(
    environment: dict[str, str],
    project: Project,
    nothing_left: Callable[[], list[str]],
    number: signal.Signals,
) -> None:
    project.edit(EACH, "    if basket.items == 7: __import__('signal').pause()\n" + EACH)
    project.scenario(COUNTED, "stuck", more="[params]\nitems = 7")
    run = subprocess.Popen(
        [sys.executable, "-m", "perfkit", "gate", "--save", "base.json"],
        cwd=project.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("2/2 stuck: counting"):
            break
    run.send_signal(number)
    printed, _ = run.communicate(timeout=60)

    assert run.returncode == 130
    assert printed.splitlines()[-1] == "verdict: inconclusive"
    assert "interrupted" in printed.lower()
    saved = decode((project.folder / "base.json").read_bytes(), "base.json")
    assert saved.interrupted
    assert [one.verdict for one in saved.scenarios] == ["pass", "inconclusive"]
    assert nothing_left() == []
    until(lambda: processes(Path(environment["TMPDIR"])) == [], "every process ends")


# Which scenarios


def test_scenarios_are_those_of_the_folder_or_of_the_project_or_as_named(
    perfkit: Run, project: Project
) -> None:
    project.scenario(COUNTED, "cart")
    project.write("more/till.toml", (project.folder / "scenarios/cart.toml").read_text())

    def judged(*arguments: str) -> list[str]:
        found = json.loads(perfkit("gate", "--json", "-q", *arguments).stdout)
        return [one["name"] for one in found["scenarios"]]

    assert judged() == ["basket", "cart"]
    assert judged("cart", "more") == ["cart", "till"]
    project.write("pyproject.toml", "[tool.perfkit.gate]\nscenarios = ['more', 'b*']\n")
    assert judged() == ["till", "basket"]
    assert judged("./scenarios/cart.toml") == ["cart"]


def test_scenarios_of_an_installed_package_are_found_like_its_probes(
    perfkit: Run, project: Project
) -> None:
    text = (project.folder / "scenarios/basket.toml").read_text()
    project.write("shop/scenarios/concert.toml", text)

    ended = perfkit("gate", "concert")

    assert (ended.returncode, last(ended)) == (0, "verdict: pass")
    assert "concert · The basket" in ended.stdout


def test_the_project_adds_checks_and_a_pattern_that_matches_nothing_is_no_pass(
    perfkit: Run, project: Project
) -> None:
    table = "[tool.perfkit.gate.checks.'{}']\nnaive = ['calls <= 3']\n"
    project.write("pyproject.toml", table.format("bask*"))
    matched = perfkit("gate")
    project.write("pyproject.toml", table.format("shelf-*"))
    unmatched = perfkit("gate")

    assert (matched.returncode, last(matched)) == (1, "verdict: fail")
    assert (unmatched.returncode, unmatched.stdout) == (7, "verdict: nothing matched\n")
    assert "the checks for 'shelf-*' match no scenario" in unmatched.stderr


def test_the_key_of_a_project_is_corrected(perfkit: Run, project: Project) -> None:
    project.write("pyproject.toml", "[tool.perfkit.gate]\nbudgte = '5s'\n")

    ended = perfkit("gate")

    assert (ended.returncode, ended.stdout) == (2, "verdict: error\n")
    assert "did you mean 'budget'?" in ended.stderr


# Bases


def test_a_call_more_than_the_base_revision_is_found_and_named(
    perfkit: Run, project: Project, nothing_left: Callable[[], list[str]]
) -> None:
    project.scenario(CHANGED)
    sha = project.commit()
    project.edit(EACH, ONE_MORE)

    ended = perfkit("gate", "--base", "main", "--counted")

    assert (ended.returncode, last(ended)) == (1, "verdict: fail")
    assert f"main ({sha[:10]})" in ended.stdout
    assert "calls 12 against 11" in ended.stdout
    assert nothing_left() == []


def test_what_was_saved_is_what_is_compared_with(perfkit: Run, project: Project) -> None:
    project.scenario(f"{COUNTED}\n{CHANGED}")
    saved = perfkit("gate", "--save", "base.json")
    again = perfkit("gate", "--against", "base.json", "--save", "base.json")
    project.edit(EACH, ONE_MORE)
    worse = perfkit("gate", "--against", "base.json", "--counted", "--json")

    assert [run.returncode for run in (saved, again, worse)] == [0, 0, 1]
    assert "ask-each@base: calls <= 1x" not in saved.stdout, "nothing to compare with"
    assert "ask-each@base: calls <= 1x" in again.stdout
    assert [one["verdict"] for one in json.loads(worse.stdout)["scenarios"][0]["judged"]] == [
        "fail",
        "fail",
    ]


def test_the_result_of_a_probe_may_be_the_base(perfkit: Run, project: Project) -> None:
    project.scenario(CHANGED)
    measured = perfkit("probe", "shop", "--rounds", "0", "-o", "shop.json")
    ended = perfkit("gate", "--against", "shop.json")

    assert (measured.returncode, ended.returncode) == (0, 0)
    assert "calls 11 against 11" in ended.stdout


def test_a_file_of_somebody_else_is_not_overwritten(perfkit: Run, project: Project) -> None:
    precious = project.write("base.json", '{"mine": 1}')

    refused = perfkit("gate", "--save", "base.json")
    kept = precious.read_text()
    forced = perfkit("gate", "--save", "base.json", "--force")

    assert (refused.returncode, forced.returncode) == (2, 0)
    assert "perfkit did not write it" in refused.stderr
    assert kept == '{"mine": 1}'
    assert decode(precious.read_bytes(), "base.json").verdict == "pass"


# What the exit code makes of it


@pytest.mark.parametrize(("policy", "code"), [("warn", 4), ("pass", 0), ("fail", 1)])
def test_a_policy_decides_over_what_is_inconclusive(
    perfkit: Run, project: Project, policy: str, code: int
) -> None:
    arguments = has_no_such_base(project)

    ended = perfkit("gate", *arguments, "--on-inconclusive", policy)

    assert ended.returncode == code
    assert last(ended) == "verdict: inconclusive", "the policy changes the code, not the word"


def test_times_against_another_machine_are_unfit_and_counts_are_not(
    perfkit: Run, project: Project
) -> None:
    project.scenario(f'{COUNTED}\n"naive@base" = ["calls <= 1x", "time < 5%"]')
    perfkit("gate", "--counted", "--save", "base.json")
    base = project.folder / "base.json"
    found = json.loads(base.read_text())["machine"]["fingerprint"]
    base.write_text(base.read_text().replace(found, "elsewhere"))

    timed = perfkit("gate", "--against", "base.json", "--budget", "0s")
    counted = perfkit("gate", "--against", "base.json", "--counted")

    assert (timed.returncode, last(timed)) == (6, "verdict: unfit")
    assert "calls 11 against 11" in timed.stdout
    assert (counted.returncode, last(counted)) == (0, "verdict: pass")


def test_the_line_goes_before_the_scenario_and_the_scenario_before_the_project(
    perfkit: Run, project: Project
) -> None:
    arguments = has_no_such_base(project)
    project.scenario(f'{CHANGED}\n[gate]\non_inconclusive = "fail"')
    project.write("pyproject.toml", "[tool.perfkit.gate]\non_inconclusive = 'pass'\n")

    of_scenario = perfkit("gate", *arguments)
    of_line = perfkit("gate", *arguments, "--on-inconclusive", "warn")
    project.scenario(CHANGED)
    of_project = perfkit("gate", *arguments)

    assert [run.returncode for run in (of_scenario, of_line, of_project)] == [1, 4, 0]


# What goes where


def test_json_is_all_that_stdout_carries(perfkit: Run, project: Project) -> None:
    ended = perfkit("gate", "--json", "--seed", "7", "-o", "gate.json", "-o", "gate.md")
    refused = perfkit("gate", "--json", "nothing-*")

    gate = decode(ended.stdout.encode(), "stdout")
    assert (gate.seed, gate.verdict) == (7, "pass")
    assert (project.folder / "gate.json").read_text() == ended.stdout
    assert (project.folder / "gate.md").read_text().startswith("<!-- perfkit.gate/1 -->")
    assert "1/1 basket: counting 1/1" in ended.stderr
    assert (refused.returncode, refused.stdout) == (7, "")
    assert "error: no scenario 'nothing-*'" in refused.stderr


def test_quiet_prints_the_verdict_alone(perfkit: Run, project: Project) -> None:
    ended = perfkit("gate", "-q")
    fails(project)
    failed = perfkit("gate", "-q")

    assert (ended.stdout, ended.stderr) == ("verdict: pass\n", "")
    assert "ask-each: calls == 11" in failed.stdout
    assert last(failed) == "verdict: fail"


def test_the_report_fits_and_has_no_colour_without_a_terminal(
    perfkit: Run, project: Project
) -> None:
    long = "a-very-long-name-of-a-scenario-that-somebody-chose-for-a-page-of-orders"
    (project.folder / "scenarios/basket.toml").rename(project.folder / f"scenarios/{long}.toml")
    fails(project)

    plain = perfkit("gate", "--color", "auto", FORCE_COLOR="1", NO_COLOR="1")
    colored = perfkit("gate", "--color", "always")
    narrow = perfkit("gate", COLUMNS="62")

    assert "\x1b" not in plain.stdout + plain.stderr
    assert "\x1b" in colored.stdout
    assert colored.stdout.splitlines()[-1] == "verdict: fail", "for programs, never coloured"
    assert max(map(len, plain.stdout.splitlines())) <= 80
    assert max(map(len, narrow.stdout.splitlines())) <= 62


def test_github_gets_a_summary_an_output_and_an_annotation(
    perfkit: Run, project: Project, tmp_path: Path
) -> None:
    fails(project)
    summary, output = tmp_path / "summary.md", tmp_path / "output.txt"
    summary.write_text("# Before\n")

    ended = perfkit(
        *("gate", "--json"),
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(output),
    )
    perfkit("gate", "no-*", GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY="")

    errors = [line for line in ended.stderr.splitlines() if line.startswith("::error ")]
    assert len(errors) == 1
    assert "file=scenarios/basket.toml" in errors[0]
    assert json.loads(ended.stdout)["verdict"] == "fail"
    assert summary.read_text().startswith("# Before\n")
    assert "ask-each: calls == 11" in summary.read_text()
    assert output.read_text() == (
        "verdict=fail\nexit-code=1\nverdict=nothing matched\nexit-code=7\n"
    )


def test_nothing_is_annotated_elsewhere_and_a_bad_place_is_said(
    perfkit: Run, project: Project
) -> None:
    fails(project)

    ended = perfkit("gate", GITHUB_STEP_SUMMARY="/dev/full", GITHUB_OUTPUT="/nowhere/output")

    assert "::" not in ended.stderr
    assert "cannot write $GITHUB_STEP_SUMMARY: No space left on device" in ended.stderr
    assert "cannot write $GITHUB_OUTPUT: No such file or directory" in ended.stderr
    assert (ended.returncode, last(ended)) == (1, "verdict: fail")


def test_help_has_examples_and_fits(perfkit: Run) -> None:
    ended = perfkit("gate", "-h")

    examples = [line for line in ended.stdout.splitlines() if line.strip().startswith("$ ")]
    assert len(examples) >= 3
    assert max(map(len, ended.stdout.splitlines())) <= 80
    for option in ("--base", "--against", "--save", "--counted", "--self-test", "--on-inconclus"):
        assert option in ended.stdout
