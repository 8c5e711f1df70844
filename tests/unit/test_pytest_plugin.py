"""The plug-in in pytest runs of their own: in a user's project, whose probe is installed."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import projects
import pytest
from leftovers import folders, processes
from projects import ONCE, Project

from perfkit import registry

# Else every pytest run in here would load them anew: pytester forgets what a run imported.
from perfkit.gate import fitness
from perfkit.gate import session as _session  # noqa: F401
from perfkit.work import Work as _Work  # noqa: F401

pytest_plugins = ["pytester"]

ONCE_MORE = f"    price()\n{ONCE}"
QUIETLY = ("-p", "no:cacheprovider", "-p", "no:benchmark")

COUNTED = 'naive = ["calls == 11"]\nfixed = ["calls == 2"]'
ITEMS = ["ask-each: calls == 11", "ask-once: calls == 2"]
TIMED = '"fixed/naive" = ["time < 0.001x"]'
RED = 'fixed = ["calls == 1"]'


class Shop:
    """A project with a probe, and what pytest says there."""

    def __init__(self, pytester: pytest.Pytester, project: Project) -> None:
        self.pytester, self.project = pytester, project

    def scenario(self, checks: str, name: str = "basket", more: str = "") -> Path:
        return self.project.scenario(checks, name, more)

    def test(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in here, which is quick; without arguments, on the folder of scenarios."""
        _forget()
        return self.pytester.runpytest_inprocess(*(arguments or ("scenarios", "-rs")), *QUIETLY)

    def test_apart(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own, as users do."""
        return self.pytester.runpytest_subprocess(*arguments, *QUIETLY)

    def collected(self, *arguments: str) -> list[str]:
        result = self.test("--collect-only", "-q", *arguments)
        assert result.ret in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
        return [line for line in result.outlines if "::" in line]


def _forget() -> None:
    """Forget which probes are installed; pytester itself forgets modules."""
    registry._offered.cache_clear()
    registry.entries.cache_clear()


@pytest.fixture
def shop(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    project = projects.make(pytester.path)
    place = pytester.mkdir("tmp")
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("PYTHONPATH", str(project.folder), prepend=os.pathsep)
    pytester.syspathinsert(project.folder)
    yield Shop(pytester, project)
    _forget()
    assert folders(place) == []
    assert processes(place) == []


def note_workers(shop: Shop) -> Path:
    """Have the fix note in a file which process runs it."""
    file = shop.project.folder / "tmp" / "workers"
    note = f'    print(__import__("os").getpid(), file=open({str(file)!r}, "a"))\n'
    shop.project.edit(ONCE, f"{note}{ONCE}")
    return file


def vary(shop: Shop) -> None:
    """Have the fix call once more in the first process that runs it, and in no other."""
    file = shop.project.folder / "tmp" / "first"
    more = textwrap.indent(
        textwrap.dedent(f"""
            import os
            try:
                written = os.open({str(file)!r}, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                os.write(written, b"%d" % os.getpid())
                os.close(written)
            except FileExistsError:
                pass
            read = os.open({str(file)!r}, os.O_RDONLY)
            if int(os.read(read, 20)) == os.getpid():
                price()
            os.close(read)
        """),
        "    ",
    )
    shop.project.edit(ONCE, more + ONCE)


def workers(file: Path) -> int:
    return len(set(file.read_text().split()))


# Collection


def test_every_check_of_a_scenario_is_an_item_and_collecting_runs_nothing(shop: Shop) -> None:
    shop.scenario(f"{COUNTED}\n{TIMED}")
    noted = note_workers(shop)
    expected = [*ITEMS, "ask-once/ask-each: time < 0.001x"]

    assert [f"scenarios/basket.toml::{name}" for name in expected] == shop.collected("scenarios")
    assert not noted.exists()


def test_a_role_with_several_variants_is_an_item_for_each(shop: Shop) -> None:
    shop.project.edit(
        "@probe.fixed",
        '@probe.wrong_lever("again", why="It is more.")\n'
        "def ask_twice(_python, basket):\n"
        "    return price(basket.items)\n\n"
        "@probe.fixed",
    )
    shop.scenario('wrong = ["calls >= 1"]')

    assert shop.collected("scenarios") == [
        "scenarios/basket.toml::ask-each-backwards: calls >= 1",
        "scenarios/basket.toml::ask-twice: calls >= 1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        'title = "Nothing of ours"\nstory = "None"\n',
        '[package]\nname = "x"\n\n[run]\nlevel = 3\n',
        'story = """\nprobe it, run it\n"""\n',
        "no TOML at all: [[[",
    ],
)
def test_a_file_of_others_in_such_a_folder_is_left_alone(shop: Shop, text: str) -> None:
    shop.scenario(COUNTED)
    shop.project.write("scenarios/theirs.toml", text)

    assert len(shop.collected("scenarios")) == len(ITEMS)


def test_scenarios_elsewhere_are_only_collected_when_named(shop: Shop) -> None:
    text = shop.scenario(COUNTED).read_text()
    deeper = shop.project.write("scenarios/more/deeper.toml", text)
    outside = shop.project.write("stories/outside.toml", text)
    shop.project.write("scenarios/pyproject.toml", text)
    settings = shop.test("--collect-only", "scenarios/pyproject.toml")

    assert {line.partition("::")[0] for line in shop.collected()} == {"scenarios/basket.toml"}
    assert len(shop.collected(str(deeper), str(outside))) == 2 * len(ITEMS)
    assert settings.ret == pytest.ExitCode.USAGE_ERROR


def test_a_named_file_that_is_no_scenario_is_an_error(shop: Shop) -> None:
    shop.project.write("other/theirs.toml", 'title = "T"\n')
    result = shop.test("other/theirs.toml")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*theirs.toml is no scenario", "why: *`story`*", "fix: *probe*"])


@pytest.mark.parametrize(
    ("checks", "more", "said"),
    [
        ("fixed = [", "", ["*basket.toml is no scenario", "why: *", "fix: its keys are:*"]),
        (COUNTED, "rrt = '1ms'", ["*basket.toml is no scenario", "why: *did you mean 'rtt'?"]),
        ('fixd = ["calls == 1"]', "", ["*no variant 'fixd'; did you mean 'fixed'?", "why: *"]),
        ('fixed = ["cals == 1"]', "", ["*did you mean 'calls'?", "why: *"]),
        ('fixed = ["calls = 1"]', "", ["*cannot read 'calls = 1'", "why: *", "fix: such as*"]),
    ],
)
def test_a_malformed_file_is_an_error_that_says_how_to_mend_it(
    shop: Shop, checks: str, more: str, said: list[str]
) -> None:
    shop.scenario(checks, more=more)
    result = shop.test()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(said)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "Traceback" not in str(result.stdout)


def test_a_probe_that_does_not_load_fails_its_own_file_only(shop: Shop) -> None:
    shop.scenario(COUNTED)
    shop.project.edit("from dataclasses", "import absent\nfrom dataclasses")
    shop.project.write("test_other.py", "def test_other():\n    pass\n")
    result = shop.test("scenarios", "test_other.py")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the probe 'shop' of shop cannot be loaded", "why: *absent*"])


def test_a_check_of_a_variant_that_does_not_apply_fails_its_own_file_only(shop: Shop) -> None:
    shop.project.edit(
        '"one call"', '"one call", unless=lambda basket: "20 are too many" * (basket.items == 20)'
    )
    shop.scenario('ask-once = ["calls == 2"]', "big", more="[params]\nitems = 20")
    shop.scenario('ask-once = ["calls == 2"]', "small")

    result = shop.test()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*'ask-once' is not run with these parameters", "why: 20 are too many"]
    )


def test_a_check_of_a_variant_that_finds_out_fails_its_own_file_only(shop: Shop) -> None:
    refuse = 'if basket.items == 20: raise NotApplicable("20 are too many")'
    shop.project.edit("from perfkit import Probe, count", "from perfkit import *")
    shop.project.edit(ONCE, f"    {refuse}\n{ONCE}")
    shop.scenario('ask-once = ["calls == 2"]', "big", more="[params]\nitems = 20")
    shop.scenario('ask-once = ["calls == 2"]', "small")

    result = shop.test()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["error: 'ask-once' is not run with this component: 20 are too many"]
    )


def test_a_scenario_without_checks_is_no_pass(shop: Shop) -> None:
    shop.scenario("")
    result = shop.test()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["nothing matched: it has no checks"])


# What becomes of a check


def test_a_check_that_holds_is_green_and_one_that_does_not_is_red(shop: Shop) -> None:
    shop.scenario(f'naive = ["calls == 11"]\n{RED}')
    result = shop.test()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["fail: ask-once: calls == 1: calls 2", "The basket", "perfkit gate scenarios/basket.toml"]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_fix_that_is_broken_turns_it_red(shop: Shop) -> None:
    shop.scenario(COUNTED)
    shop.test().assert_outcomes(passed=2)
    shop.project.edit(ONCE, ONCE_MORE)

    shop.test().assert_outcomes(passed=1, failed=1)


def test_a_file_is_run_once_for_all_of_its_checks(shop: Shop) -> None:
    shop.scenario('fixed = ["calls >= 1"]')
    noted = note_workers(shop)
    shop.test().assert_outcomes(passed=1)
    once = workers(noted)
    noted.unlink()
    shop.scenario('fixed = ["calls >= 1", "calls >= 2", "calls >= 3"]')
    shop.test().assert_outcomes(passed=3)

    assert once == workers(noted)


def test_what_is_not_selected_is_not_timed(shop: Shop) -> None:
    shop.scenario(f'fixed = ["calls >= 1"]\n{TIMED}')
    noted = note_workers(shop)
    shop.test("scenarios", "-k", "calls").assert_outcomes(passed=1, deselected=1)

    # Two passes count; every round would take another process.
    assert workers(noted) == 2


def test_a_check_can_be_named(shop: Shop) -> None:
    shop.scenario(COUNTED)

    shop.test(f"scenarios/basket.toml::{ITEMS[1]}").assert_outcomes(passed=1)


def test_the_first_failure_can_end_the_run(shop: Shop) -> None:
    shop.scenario('fixed = ["calls == 1", "calls == 2"]', "first")
    shop.scenario(COUNTED, "second")

    shop.test("scenarios", "-x").assert_outcomes(failed=1)


def test_answers_that_differ_are_errors(shop: Shop) -> None:
    shop.scenario(COUNTED)
    shop.project.edit(ONCE, "    return price(basket.items) + 1\n")
    result = shop.test()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["answers differ: *"])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("", "skipped"), ("pass", "passed"), ("fail", "failed")],
)
def test_what_is_inconclusive_is_skipped_unless_the_policy_says_otherwise(
    shop: Shop, policy: str, expected: str
) -> None:
    shop.scenario('fixed = ["calls <= 2"]')
    vary(shop)
    if policy:
        shop.project.write("pyproject.toml", f'[tool.perfkit.gate]\non_inconclusive = "{policy}"\n')
    result = shop.test()
    said = "inconclusive: ask-once: calls <= 2: calls 2 or 3; the count varies from run to run"

    assert result.parseoutcomes() == {expected: 1}
    assert (said in str(result.stdout)) == (expected != "passed")


@pytest.mark.parametrize(("policy", "expected"), [("warn", "skipped"), ("fail", "failed")])
def test_times_on_a_machine_that_is_unfit_are_skipped_unless_the_policy_says_otherwise(
    shop: Shop, policy: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitness, "unfit_before", lambda: "too many others")
    shop.scenario(f"{COUNTED}\n{TIMED}", more=f'gate = {{ on_unfit_runner = "{policy}" }}')
    result = shop.test()

    assert result.parseoutcomes() == {"passed": 2, expected: 1}
    assert "unfit: ask-once/ask-each: time < 0.001x: too many others" in str(result.stdout)


def test_a_budget_that_is_none_is_an_error(shop: Shop) -> None:
    shop.scenario(COUNTED)
    result = shop.test("scenarios", "--perfkit-budget=soon")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*'soon' is no duration", "why: *"])


def test_checks_of_the_project_are_items_too(shop: Shop) -> None:
    shop.scenario(COUNTED)
    shop.project.write(
        "pyproject.toml",
        textwrap.dedent("""
            [tool.perfkit.gate.checks."bask*"]
            fixed = ["calls == 1"]
            [tool.perfkit.gate.checks.other]
            fixed = ["calls == 0"]
        """),
    )

    shop.test().assert_outcomes(passed=2, failed=1)


def test_a_base_is_compared_with_when_it_is_given(shop: Shop) -> None:
    shop.scenario('naive = ["calls == 11"]\n"fixed@base" = ["calls <= 1x"]')
    shop.project.commit()
    shop.project.edit(ONCE, ONCE_MORE)
    without = shop.test()

    without.assert_outcomes(passed=1, skipped=1)
    without.stdout.fnmatch_lines(
        ["SKIPPED * needs a base: perfkit gate scenarios/basket.toml --base REV"]
    )
    given = shop.test("scenarios", "--perfkit-base=HEAD")
    given.assert_outcomes(passed=1, failed=1)
    given.stdout.fnmatch_lines(["fail: ask-once@base: calls <= 1x: calls 3 against 2"])


def test_a_base_that_does_not_build_is_an_error_of_what_needs_it(shop: Shop) -> None:
    shop.scenario('naive = ["calls == 11"]\n"fixed@base" = ["calls <= 1x"]')
    shop.project.write("pyproject.toml", '[tool.perfkit.gate]\nbuild = ["false"]\n')
    shop.project.commit()
    result = shop.test("scenarios", "--perfkit-base=HEAD")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["error: HEAD does not build: false*"])


def test_a_base_that_is_not_there_is_an_error_of_what_needs_it(shop: Shop) -> None:
    shop.scenario(COUNTED, "alone")
    shop.scenario('"fixed@base" = ["calls <= 1x"]', "compared")
    shop.project.commit()

    shop.test("scenarios", "--perfkit-base=absent").assert_outcomes(passed=2, errors=1)


def test_the_verdict_is_in_the_junit_file(shop: Shop) -> None:
    shop.scenario(RED)
    shop.test("scenarios", "--junitxml=out.xml")
    written = (shop.project.folder / "out.xml").read_text()

    assert '<property name="verdict" value="fail"' in written
    assert '<property name="said" value="fail: calls 2"' in written


def test_timed_checks_of_all_files_share_one_error_budget(shop: Shop) -> None:
    shop.scenario(f'{COUNTED}\n{TIMED}\n"fixed@base" = ["time < 5%"]', "one")
    shop.scenario('"fixed/naive" = ["time < 0.5x", "cpu < 0.5x"]', "two")
    shop.project.write(
        "conftest.py",
        textwrap.dedent("""
            from perfkit.errors import CannotRun
            from perfkit.gate import session

            def run(files, order):
                raise CannotRun(f"{order.timed} share it")

            session.run = run
        """),
    )
    result = shop.test_apart("scenarios")

    result.assert_outcomes(errors=5, skipped=1)
    assert str(result.stdout).count("\n3 share it\n") == 5


def test_an_interrupted_scenario_interrupts_pytest(shop: Shop) -> None:
    shop.scenario(COUNTED)
    shop.project.write(
        "conftest.py",
        textwrap.dedent("""
            from msgspec.structs import replace
            from perfkit.gate import session

            def run(files, order):
                return replace(real(files, order), interrupted=True)

            real, session.run = session.run, run
        """),
    )

    assert shop.test_apart("scenarios").ret == pytest.ExitCode.INTERRUPTED


def test_the_checks_of_a_file_stay_together_where_tests_are_spread(shop: Shop) -> None:
    shop.scenario(COUNTED)
    shop.project.write(
        "conftest.py",
        textwrap.dedent("""
            def pytest_collection_modifyitems(items):
                groups = {item.get_closest_marker("xdist_group").args for item in items}
                print("groups", len(groups))
        """),
    )
    result = shop.test("scenarios", "--strict-markers", "-s")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["groups 1"])


# The fixture


def test_a_test_can_hold_its_own_code_to_counted_work(shop: Shop) -> None:
    file = shop.project.write(
        "test_page.py",
        textwrap.dedent("""
            import sqlite3

            def load_page(database, buyers=200):
                for buyer in range(buyers):
                    database.execute("SELECT ?", (buyer,)).fetchone()

            def test_quiet(perfkit_work):
                database = sqlite3.connect(":memory:")
                with perfkit_work() as work:
                    load_page(database, 2)
                work.exactly(statements=2, calls=1)
                database.close()

            def test_loud(perfkit_work):
                database = sqlite3.connect(":memory:")
                with perfkit_work() as work:
                    load_page(database)
                database.close()
                work.at_most(statements=2)

            def test_uncounted(perfkit_work):
                database = sqlite3.connect(":memory:")
                with perfkit_work() as work:
                    load_page(database)
                database.close()
                work.at_most(rows=2)
        """),
    )
    result = shop.test(str(file))

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            ">       work.at_most(statements=2)",
            "E       AssertionError: 200 statements, not at most 2",
            "E       200 x SELECT ?",
            "*test_page.py:*: AssertionError",
            ">       work.at_most(rows=2)",
            "E       perfkit.errors.UsageError: nobody counted rows in this block",
            "E       why: *",
            "E       fix: *",
        ]
    )


def test_the_fixture_and_the_options_are_explained(shop: Shop) -> None:
    shop.test("--help").stdout.fnmatch_lines(["*--perfkit-base=REV*", "*--perfkit-budget=*"])
    shop.test("--fixtures", "-v").stdout.fnmatch_lines(
        ["perfkit_work*", "*with perfkit_work() as work*work.at_most(statements=2*"]
    )


# Manners


def test_nothing_of_perfkit_is_loaded_until_it_is_asked_for(shop: Shop) -> None:
    shop.project.write("test_own.py", "def test_own(request):\n    pass\n")
    shop.project.write("other/settings.toml", "probe = 1\n")
    shop.project.write(
        "conftest.py",
        textwrap.dedent("""
            import sys

            def pytest_sessionfinish():
                ours = ("perfkit", "msgspec", "psutil", "psycopg", "rich", "typer")
                print("loaded", sorted(n for n in sys.modules if n.partition(".")[0] in ours))
        """),
    )
    result = shop.test_apart("-s")

    result.assert_outcomes(passed=1)
    assert "loaded ['perfkit', 'perfkit.pytest_plugin']" in str(result.stdout)
