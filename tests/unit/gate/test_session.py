"""One run of a gate over a project's scenarios: what is judged, what is left out, what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from projects import EACH, ONCE, ONE_MORE, STORY, Project

from perfkit import decide, scenario
from perfkit.errors import Exit, NothingMatched, UnreadableFile, UsageError
from perfkit.gate import fitness, session
from perfkit.gate.session import Order
from perfkit.outcome import Gate, Gated, Judged, decode, encode
from perfkit.run.course import Counting, Progress, Timing
from perfkit.run.machine import describe
from perfkit.settings import Project as Given
from perfkit.settings import Settings
from perfkit.verdict import Policy, Word

COUNTED = 'naive = ["calls == 11"]'
CHANGED = '"naive@base" = ["calls <= 1x"]'
TIMED = 'ask-each = ["time < 1s"]'
UNLESS_TEN = '    if basket.items > 10: raise NotApplicable("20 are too many")\n'
CONDITION = '"one call", unless=lambda wanted: "20 are too many" * (wanted.items == 20)'


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine be fit to be judged by, whatever else it does."""
    monkeypatch.setattr(fitness, "unfit_before", lambda: "")
    monkeypatch.setattr(fitness, "unfit_after", lambda _: "")


def gated(order: Order | None = None, tell: session.Tell = lambda *_: None) -> Gate:
    """Run a gate over the project that this process stands in; it comes back from a file."""
    gate = session.run(scenario.inside(Path("scenarios")), order or Order(), tell)
    assert decode(encode(gate), "test") == gate
    return gate


def only(gate: Gate) -> Gated:
    (one,) = gate.scenarios
    return one


def checked(gate: Gate) -> Judged:
    (judged,) = only(gate).judged
    return judged


def shown(one: Gated) -> dict[str, Word]:
    return {f"{judged.target}: {judged.check}": judged.verdict for judged in one.judged}


def against_first(project: Project, old: str, new: str, checks: str = CHANGED) -> Gate:
    """Commit the project, change its story, and run a gate against what was committed."""
    project.scenario(checks)
    project.commit()
    project.edit(old, new)
    return gated(Order(base="HEAD"))


# One state of the code


class TestAlone:
    def test_counted_work_and_its_ratios_are_judged_without_a_clock(self, project: Project) -> None:
        project.scenario(f'{COUNTED}\n"fixed/naive" = ["calls <= 0.1x"]')

        gate = gated(Order(seed=7))
        one = only(gate)

        assert shown(one) == {
            "ask-each: calls == 11": Word.PASS,
            "ask-once/ask-each: calls <= 0.1x": Word.FAIL,
        }
        assert [judged.value for judged in one.judged] == [11, 2 / 11]
        assert "calls 2 against 11" in one.judged[1].said
        assert (gate.verdict, gate.exit, gate.base, gate.seed) == (Word.FAIL, Exit.FOUND, "", 7)
        assert (one.name, one.title) == ("basket", "The basket")
        assert one.file == "scenarios/basket.toml"
        assert one.result is not None
        assert one.result.stopped == "counted"
        assert one.base is None

    def test_only_what_the_checks_speak_of_is_run(self, project: Project) -> None:
        project.scenario(COUNTED)
        told: list[str] = []

        def tell(name: str, progress: Progress) -> None:
            assert name == "basket"
            if isinstance(progress, Counting):
                told.append(progress.label)

        result = only(gated(tell=tell)).result

        assert told == ["a call an item"]
        assert result is not None
        assert [variant.name for variant in result.variants] == ["ask-each"]

    def test_times_are_judged_at_the_looks_and_counts_need_no_rounds(
        self, project: Project
    ) -> None:
        project.scenario(f"{COUNTED}\n{TIMED}")

        gate = gated()
        counted, timed = only(gate).judged

        assert (counted.clock, counted.rounds) == ("", 0)
        assert timed.rounds in {8, 12, 18, 27, 40}
        assert timed.clock in {"cpu", "wall"}
        assert timed.verdict is Word.PASS

    def test_the_budget_of_the_settings_ends_the_rounds(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decide, "decided", lambda _: False)
        project.scenario(TIMED)

        result = only(gated(Order(settings=Settings(budget="0s")))).result

        assert result is not None
        assert (result.budget, result.stopped) == (0.0, "budget")

    def test_checks_against_a_base_are_left_out_without_one(self, project: Project) -> None:
        project.scenario(f"{COUNTED}\n{CHANGED}")

        assert shown(only(gated())) == {"ask-each: calls == 11": Word.PASS}

    def test_checks_of_time_are_left_out_where_only_counts_are_wanted(
        self, project: Project
    ) -> None:
        project.scenario(f"{COUNTED}\n{TIMED}")

        assert shown(only(gated(Order(counted=True)))) == {"ask-each: calls == 11": Word.PASS}

    @pytest.mark.parametrize(
        ("checks", "order", "why"),
        [
            ("", Order(), "it has no checks"),
            (CHANGED, Order(), "its checks need a base"),
            (TIMED, Order(counted=True), "its checks need a base, or time"),
        ],
    )
    def test_a_gate_that_judges_nothing_is_no_pass(
        self, project: Project, checks: str, order: Order, why: str
    ) -> None:
        project.scenario(checks)

        gate = gated(order)
        nothing = only(gate)

        assert (nothing.verdict, nothing.judged, nothing.result) == (Word.NOTHING, (), None)
        assert why in nothing.error
        assert (gate.verdict, gate.exit) == (Word.NOTHING, Exit.NOTHING)

    def test_a_scenario_without_checks_is_no_pass_beside_others(self, project: Project) -> None:
        project.scenario("")
        project.scenario(COUNTED, "other")

        gate = gated()

        assert [one.verdict for one in gate.scenarios] == [Word.NOTHING, Word.PASS]
        assert gate.exit is Exit.NOTHING

    def test_a_scenario_whose_checks_were_not_asked_for_is_left_out_by_name(
        self, project: Project
    ) -> None:
        project.scenario(CHANGED)
        project.scenario(COUNTED, "other")

        gate = gated()

        assert only(gate).name == "other"
        assert (gate.left_out, gate.exit) == (("basket",), Exit.FINE)

    def test_what_is_to_be_a_base_is_measured_though_nothing_of_it_is_judged(
        self, project: Project
    ) -> None:
        project.scenario(CHANGED)
        project.scenario(COUNTED, "other")
        base = project.write("base.json", encode(gated(Order(saved=True))).decode())
        project.edit(EACH, ONE_MORE)

        basket, _ = gated(Order(against=base)).scenarios

        assert decode(base.read_bytes(), "base").exit is Exit.FINE
        assert [judged.said for judged in basket.judged] == ["calls 12 against 11"]

    def test_what_is_to_be_a_base_and_does_not_run_is_an_error(self, project: Project) -> None:
        project.edit(EACH, "    price(1, 2)\n" + EACH)
        project.edit(ONCE, "    return 10\n")
        project.scenario(CHANGED)
        project.write("pages.py", "def load(): return 1\n")
        project.write(
            "scenarios/page.toml",
            'run = "pages:load"\ntitle = "T"\nstory = "S"\n[checks]\nrun = ["calls == 1"]\n',
        )

        gate = gated(Order(saved=True))

        assert [one.verdict for one in gate.scenarios] == [Word.ERROR, Word.PASS]
        assert gate.exit is Exit.CANNOT_RUN

    def test_the_settings_of_order_scenario_and_project_follow_each_other(
        self, project: Project
    ) -> None:
        project.scenario(f'{COUNTED}\n[gate]\nbudget = "2s"\non_inconclusive = "fail"')
        given = Given(budget="3s", on_inconclusive=Policy.PASS, on_unfit_runner=Policy.PASS)

        one = only(gated(Order(settings=Settings(budget="1s"), project=given)))
        unset = only(gated())

        assert one.result is not None
        assert one.result.budget == 1.0
        assert (one.on_inconclusive, one.on_unfit_runner) == (Policy.FAIL, Policy.PASS)
        assert unset.result is not None
        assert unset.result.budget == 2.0
        assert unset.on_unfit_runner is Policy.WARN


class TestChecksOfTheProject:
    def test_are_added_to_the_scenarios_they_match(self, project: Project) -> None:
        project.scenario(COUNTED)
        project.scenario(COUNTED, "cart")
        added = {"bas*": {"ask-each": ["calls == 12"], "naive": ["calls >= 1"]}}

        basket, cart = gated(Order(project=Given(checks=added))).scenarios

        assert shown(basket) == {
            "ask-each: calls == 11": Word.PASS,
            "ask-each: calls >= 1": Word.PASS,
            "ask-each: calls == 12": Word.FAIL,
        }
        assert shown(cart) == {"ask-each: calls == 11": Word.PASS}

    def test_that_match_nothing_are_no_pass(self, project: Project) -> None:
        project.scenario(COUNTED)

        with pytest.raises(NothingMatched, match=r"the checks for 'cart-\*' match no scenario"):
            gated(Order(project=Given(checks={"cart-*": {"naive": ["calls == 11"]}})))

    def test_may_be_about_a_scenario_that_is_not_judged_this_time(self, project: Project) -> None:
        project.scenario(COUNTED)
        project.scenario(COUNTED, "cart")
        added = Given(checks={"car*": {"naive": ["calls == 12"]}})

        basket = session.run(scenario.find(["basket"]), Order(project=added))

        assert shown(only(basket)) == {"ask-each: calls == 11": Word.PASS}

    def test_that_do_not_fit_are_refused(self, project: Project) -> None:
        project.scenario(COUNTED)

        with pytest.raises(UnreadableFile, match="did you mean 'calls'"):
            gated(Order(project=Given(checks={"*": {"naive": ["cals == 11"]}})))


class TestRefusedBeforeAnythingIsRun:
    @pytest.fixture(autouse=True)
    def nothing_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(*_arguments: object) -> None:
            raise AssertionError

        monkeypatch.setattr(session, "run_sides", never)

    def test_no_scenario_at_all(self, project: Project) -> None:
        assert not (project.folder / "scenarios").exists()
        with pytest.raises(NothingMatched, match="there is no scenario to judge"):
            gated()

    @pytest.mark.parametrize(
        ("checks", "more", "said"),
        [
            ('fixed = ["calls = 2"]', "", "cannot read 'calls = 2'"),
            ('fixd = ["calls == 2"]', "", "did you mean 'fixed'"),
            ('fixed = ["time < 5%"]', "", "the unit '%' does not fit"),
            (COUNTED, "[params]\nitms = 3", "did you mean 'items'"),
            (COUNTED, "[params]\nitems = 0", "items=0 is refused"),
            (f'{COUNTED}\n[gate]\nbudget = "soon"', "", "budget = 'soon' is no duration"),
            (f'{COUNTED}\n[gate]\nbudgte = "1s"', "", "did you mean 'budget'"),
            (COUNTED, 'prob = "shop"', "did you mean 'probe'"),
            (COUNTED, 'rtt = "near"', "rtt = 'near' is no duration"),
        ],
    )
    def test_a_scenario_that_cannot_be_read(
        self, project: Project, checks: str, more: str, said: str
    ) -> None:
        project.scenario(COUNTED, "first")
        project.scenario(checks, more=more)

        with pytest.raises(UsageError) as caught:
            gated()

        assert said in f"{caught.value.what} {caught.value.why}"

    @pytest.mark.parametrize("order", [Order(base="HEAD"), Order(base="HEAD", counted=True)])
    def test_a_base_that_no_check_compares_with(self, project: Project, order: Order) -> None:
        compared = '"fixed@base" = ["time < 5%"]' if order.counted else ""
        project.scenario(f"{COUNTED}\n{compared}")

        with pytest.raises(NothingMatched, match="no check compares with HEAD") as caught:
            gated(order)

        assert ("--counted" in caught.value.why) is order.counted

    def test_a_revision_that_is_not_there(self, project: Project) -> None:
        project.scenario(CHANGED)
        project.commit()

        with pytest.raises(UsageError, match="there is no revision 'mian' here"):
            gated(Order(base="mian"))


# What goes wrong


class TestOneScenarioFails:
    def test_a_probe_that_does_not_load_is_an_error_of_its_scenario(self, project: Project) -> None:
        project.write(
            "shop-1.0.dist-info/entry_points.txt",
            "[perfkit.probes]\nshop = shop.story:probe\nbroken = shop.broken:probe\n",
        )
        project.write("shop/broken.py", "raise ImportError('no libshop')")
        project.scenario(COUNTED)
        file = project.scenario(COUNTED, "other")
        file.write_text(file.read_text().replace('"shop"', '"broken"'))

        gate = gated()
        basket, other = gate.scenarios

        assert basket.verdict is Word.PASS
        assert (other.verdict, other.judged) == (Word.ERROR, ())
        assert other.error == "the probe 'broken' of shop cannot be loaded: ImportError: no libshop"
        assert (gate.verdict, gate.exit) == (Word.ERROR, Exit.CANNOT_RUN)

    def test_a_check_of_a_variant_that_does_not_apply_is_an_error_that_says_why(
        self, project: Project
    ) -> None:
        project.edit('"one call"', CONDITION)
        project.scenario('ask-once = ["calls == 2"]', "a", more="[params]\nitems = 20")
        project.scenario('ask-once = ["calls == 2"]', "b")

        failed, passed = gated().scenarios

        assert failed.verdict is Word.ERROR
        assert "'ask-once' is not run with these parameters: 20 are too many" in failed.error
        assert passed.verdict is Word.PASS

    @pytest.mark.parametrize(
        "check", ['ask-once = ["calls == 2"]', '"naive/fixed" = ["time > 0.1x"]']
    )
    def test_a_check_of_a_variant_that_finds_out_is_an_error_that_says_why(
        self, project: Project, check: str
    ) -> None:
        project.edit(ONCE, f"    from perfkit import NotApplicable\n{UNLESS_TEN}{ONCE}")
        project.scenario(check, "a", more="[params]\nitems = 20")
        project.scenario(COUNTED, "b", more="[params]\nitems = 10")

        failed, passed = gated().scenarios

        assert (failed.verdict, failed.judged) == (Word.ERROR, ())
        assert failed.error == "'ask-once' is not run with this component: 20 are too many"
        assert passed.verdict is Word.PASS

    def test_code_that_raises_is_an_error_and_the_next_scenario_is_judged(
        self, project: Project
    ) -> None:
        project.edit("    return items\n", "    return {1: 1}[items]\n")
        project.scenario('fixed = ["calls == 2"]', "a")
        project.scenario(COUNTED, "b")

        failed, passed = gated().scenarios

        assert failed.verdict is Word.ERROR
        assert "'ask-once' of shop raised KeyError" in failed.error
        assert "story.py" in failed.error
        assert passed.verdict is Word.PASS

    def test_answers_that_differ_are_neither_pass_nor_fail(self, project: Project) -> None:
        project.edit(ONCE, "    return price(basket.items) + 1\n")
        project.scenario('fixed = ["calls == 2"]')

        gate = gated()

        assert (gate.verdict, gate.exit) == (Word.DIFFERS, Exit.ANSWERS_DIFFER)
        assert only(gate).error.startswith("'ask-once' of shop returned another answer than")

    def test_a_count_that_varies_is_judged_by_both_passes(self, project: Project) -> None:
        tossed = "    import random\n    for _ in range(random.randrange(10**6)): price()\n"
        project.edit(EACH, tossed + EACH)
        project.scenario('naive = ["calls > 11", "calls < 10M", "calls == 11"]')

        above, below, equal = only(gated()).judged

        assert (above.verdict, below.verdict, equal.verdict) == (Word.PASS, Word.PASS, Word.FAIL)
        assert "the count varies from run to run" in below.said


class TestInterrupted:
    def press(self, when: Callable[[str, Progress], bool]) -> session.Tell:
        def tell(name: str, progress: Progress) -> None:
            if when(name, progress):
                raise KeyboardInterrupt

        return tell

    def test_what_was_measured_is_judged_and_the_rest_is_named(self, project: Project) -> None:
        for name in ("a", "b", "c"):
            project.scenario(COUNTED, name)

        gate = gated(
            tell=self.press(lambda name, found: name == "b" and isinstance(found, Counting))
        )
        a, b, c = gate.scenarios

        assert gate.interrupted
        assert gate.exit is Exit.INTERRUPTED
        assert a.verdict is Word.PASS
        assert [one.verdict for one in b.judged] == [Word.INCONCLUSIVE]
        assert "before anything was measured" in b.judged[0].said
        assert (c.verdict, c.judged) == (Word.INCONCLUSIVE, ())
        assert c.error == "interrupted before it began"
        assert gate.verdict is Word.INCONCLUSIVE

    def test_counts_are_judged_and_too_few_rounds_are_not(self, project: Project) -> None:
        project.scenario(f"{COUNTED}\n{TIMED}")
        project.scenario(COUNTED, "other")

        gate = gated(
            tell=self.press(lambda _, found: isinstance(found, Timing) and found.round == 2)
        )
        basket, other = gate.scenarios

        assert gate.exit is Exit.INTERRUPTED
        assert [one.verdict for one in basket.judged] == [Word.PASS, Word.INCONCLUSIVE]
        assert basket.judged[1].rounds == 2
        assert other.error == "interrupted before it began"

    def test_before_the_first_scenario_nothing_is_judged(self, project: Project) -> None:
        project.scenario(CHANGED)
        project.commit()

        gate = gated(Order(base="HEAD"), self.press(lambda *_: True))

        assert only(gate).error == "interrupted before it began"
        assert (gate.verdict, gate.exit) == (Word.INCONCLUSIVE, Exit.INTERRUPTED)


class TestUnfitRunner:
    @pytest.fixture
    def crowded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fitness, "unfit_before", lambda: "about 9 programs compete")

    @pytest.mark.usefixtures("crowded")
    def test_counts_are_judged_and_nothing_is_timed(self, project: Project) -> None:
        project.scenario(f"{COUNTED}\n{TIMED}")

        gate = gated()
        one = only(gate)

        assert [judged.verdict for judged in one.judged] == [Word.PASS, Word.UNFIT]
        assert one.judged[1].said == one.unfit == "about 9 programs compete"
        assert one.result is not None
        assert one.result.rounds == 0
        assert (gate.verdict, gate.exit) == (Word.UNFIT, Exit.UNFIT)

    @pytest.mark.usefixtures("crowded")
    def test_it_does_not_matter_to_counts_alone(self, project: Project) -> None:
        project.scenario(COUNTED)

        assert gated().exit is Exit.FINE

    def test_what_the_rounds_say_of_the_runner_comes_afterwards(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fitness, "unfit_after", lambda _: "the hypervisor gave 40%")
        project.scenario(f"{COUNTED}\n{TIMED}")

        counted, timed = only(gated(Order(settings=Settings(budget="0s")))).judged

        assert counted.verdict is Word.PASS
        assert (timed.verdict, timed.said) == (Word.UNFIT, "the hypervisor gave 40%")


# Two states of the code


class TestAgainstARevision:
    def test_equal_work_passes_and_both_results_are_kept(self, project: Project) -> None:
        first = project.scenario(CHANGED)
        sha = project.commit()

        gate = gated(Order(base="main"))
        one = only(gate)

        assert first.is_file()
        assert gate.base == f"main ({sha[:10]})"
        assert (gate.verdict, checked(gate).value) == (Word.PASS, 1.0)
        assert one.result is not None
        assert one.base is not None
        assert one.base.started == one.result.started

    def test_a_call_more_is_found(self, project: Project) -> None:
        gate = against_first(project, EACH, ONE_MORE)

        assert gate.exit is Exit.FOUND
        assert checked(gate).said == "calls 12 against 11"
        assert checked(gate).value == 12 / 11

    def test_the_naive_code_and_the_wrong_lever_may_be_compared_too(self, project: Project) -> None:
        checks = '"naive@base" = ["calls <= 1x"]\n"wrong@base" = ["calls <= 1x"]'

        one = only(
            against_first(project, "items, 0, -1):\n", "items, 0, -1):\n        price()\n", checks)
        )

        assert [judged.said for judged in one.judged] == [
            "calls 11 against 11",
            "calls 21 against 11",
        ]
        assert [judged.verdict for judged in one.judged] == [Word.PASS, Word.FAIL]

    def test_a_role_stands_at_both_sides_for_what_runs_with_the_parameters(
        self, project: Project
    ) -> None:
        project.write(
            "shop/story.py",
            f'{STORY}\n@probe.fixed("no call")\ndef ask_nobody(_python, basket):\n'
            "    return basket.items\n",
        )
        project.scenario('"fixed@base" = ["calls <= 1x"]', more="[params]\nitems = 20")
        project.commit()
        project.edit('"one call"', CONDITION)

        one = only(gated(Order(base="HEAD")))

        assert shown(one) == {"ask-nobody@base: calls <= 1x": Word.PASS}
        for result in (one.result, one.base):
            assert result is not None
            assert [variant.name for variant in result.variants] == ["ask-each", "ask-nobody"]
            assert [variant.name for variant in result.not_run] == ["ask-once"]

    def test_both_sides_are_timed_in_the_same_rounds(self, project: Project) -> None:
        project.scenario('"naive@base" = ["time < 900%"]')
        project.commit()

        one = only(gated(Order(base="HEAD", seed=3)))

        assert one.result is not None
        assert one.base is not None
        mine, others = (
            next(variant.samples for variant in result.variants if variant.name == "ask-each")
            for result in (one.result, one.base)
        )
        assert [sample.round for sample in mine] == [sample.round for sample in others]
        assert all(a.position != b.position for a, b in zip(mine, others, strict=True))
        assert {sample.position for sample in (*mine, *others)} == {0, 1}
        assert one.judged[0].rounds == len(mine) >= 8

    def test_an_answer_that_differs_from_the_base_is_told_from_a_slow_down(
        self, project: Project
    ) -> None:
        gate = against_first(project, "    return items\n", "    return 2 * items\n")

        assert gate.exit is Exit.ANSWERS_DIFFER
        assert (
            only(gate)
            .error.splitlines()[0]
            .startswith("'ask-each' at the base of shop returned another answer than 'ask-each' at")
        )

    def test_code_that_the_base_lacks_is_new_and_the_rest_is_judged(self, project: Project) -> None:
        project.scenario(f"{COUNTED}\n{CHANGED}")
        (project.folder / "shop" / "story.py").write_text(STORY.replace("ask_each(", "ask_all("))
        project.commit()
        (project.folder / "shop" / "story.py").write_text(STORY)

        gate = gated(Order(base="HEAD"))
        counted, changed = only(gate).judged

        assert counted.verdict is Word.PASS
        assert changed.verdict is Word.INCONCLUSIVE
        assert changed.said.startswith("new: the base does not have it")
        assert only(gate).base is None
        assert gate.exit is Exit.UNCLEAR

    def test_a_module_that_the_base_lacks_is_new(self, project: Project) -> None:
        (project.folder / "shop" / "story.py").unlink()
        project.scenario(CHANGED)
        project.commit()
        project.write("shop/story.py", STORY)

        judged = checked(gated(Order(base="HEAD")))

        assert judged.verdict is Word.INCONCLUSIVE
        assert judged.said.startswith("new: the base does not have it")

    def test_a_module_that_misses_another_is_broken_not_new(self, project: Project) -> None:
        project.scenario(CHANGED)
        project.edit(
            "from perfkit import Probe", "import absent_library\nfrom perfkit import Probe"
        )
        project.commit()
        project.edit("import absent_library\n", "")

        gate = gated(Order(base="HEAD"))

        assert gate.verdict is Word.ERROR
        assert "absent_library" in only(gate).error

    def test_a_base_that_raises_is_an_error_and_says_so(self, project: Project) -> None:
        project.edit(EACH, "    price(1, 2)\n" + EACH)

        gate = against_first(project, "    price(1, 2)\n", "")

        assert gate.exit is Exit.CANNOT_RUN
        assert "'ask-each' at the base of shop raised TypeError" in only(gate).error

    def test_a_base_that_imports_the_code_of_the_change_is_an_error(
        self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed = tmp_path / "site-packages"
        (project.folder / "shop").rename(project.folder / "not-at-the-base")
        project.scenario(CHANGED)
        project.commit()
        installed.mkdir()
        (installed / "shop").symlink_to(project.folder / "shop")
        (project.folder / "not-at-the-base").rename(project.folder / "shop")
        monkeypatch.syspath_prepend(installed)

        gate = gated(Order(base="HEAD"))

        assert gate.verdict is Word.ERROR
        assert "'ask-each' at the base did not run the code of that revision" in only(gate).error

    def test_a_base_that_uses_an_installed_copy_of_the_change_is_an_error(
        self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The function is the base's own, but what it calls is not."""
        copied = tmp_path / "site-packages" / "engine.py"
        about = tmp_path / "site-packages" / "engine-1.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: engine\nVersion: 1\n")
        (about / "RECORD").write_text("engine.py,,\n")
        origin = project.folder.as_uri()
        (about / "direct_url.json").write_text(f'{{"url": "{origin}", "dir_info": {{}}}}')
        monkeypatch.syspath_prepend(copied.parent)
        copied.write_text("def start(): pass\n")
        project.write("python/engine.py", copied.read_text())
        project.edit(EACH, "    import engine; engine.start()\n" + EACH)
        project.scenario(CHANGED)
        project.commit()

        gate = gated(Order(base="HEAD"))

        assert gate.verdict is Word.ERROR
        assert f"engine was imported from {copied}" in only(gate).error

    def test_a_base_that_does_not_build_is_an_error_of_what_compares_with_it(
        self, project: Project
    ) -> None:
        project.scenario(f"{COUNTED}\n{CHANGED}")
        project.commit()

        gate = gated(Order(base="HEAD", project=Given(build=["sh", "-c", "echo no cc; exit 4"])))
        counted, changed = only(gate).judged

        assert counted.verdict is Word.PASS
        assert changed.verdict is Word.ERROR
        assert changed.said.splitlines()[0].startswith("HEAD does not build: sh -c echo no cc")
        assert "ended with 4" in changed.said
        assert changed.said.endswith("no cc")
        assert gate.exit is Exit.CANNOT_RUN

    def test_what_is_built_is_what_the_base_runs(self, project: Project) -> None:
        project.edit(
            "price(items=1)", "price(items=1, generated=__import__('shop.rate').rate.RATE)"
        )
        project.write(".gitignore", "shop/rate.py\n__pycache__\n")
        project.write("build.sh", "echo 'RATE = 1' > shop/rate.py\n")
        project.scenario(CHANGED)
        project.commit()
        project.write("shop/rate.py", "RATE = 1\n")

        without = gated(Order(base="HEAD"))
        built = gated(Order(base="HEAD", project=Given(build=["sh", "build.sh"])))

        assert without.verdict is not Word.PASS
        assert built.verdict is Word.PASS

    def test_sides_work_in_their_own_folders(self, project: Project) -> None:
        project.edit(
            "def price(",
            "import pathlib\nRATE = int(pathlib.Path('rate').read_text())\n\ndef twice(): pass\n\n"
            "def price(",
        )
        project.edit(EACH, "    for _ in range(RATE): twice()\n" + EACH)
        project.write("rate", "1")
        project.scenario(CHANGED)
        project.commit()
        project.write("rate", "3")

        assert checked(gated(Order(base="HEAD"))).said == "calls 14 against 12"


class TestFunctionsOfTheProject:
    """The user's own code, without a probe around it."""

    @pytest.fixture
    def pages(self, project: Project) -> Project:
        project.write("pages.py", "def row(): return 1\n\ndef load(): return row() + row()\n")
        project.write(
            "scenarios/page.toml",
            'run = "pages:load"\ntitle = "The page"\nstory = "Two rows."\n'
            '[checks]\nrun = ["calls <= 3"]\n"run@base" = ["calls <= 1x"]\n',
        )
        project.commit()
        return project

    def test_equal_work_passes_and_a_call_more_is_found(self, pages: Project) -> None:
        equal = gated(Order(base="HEAD"))
        pages.edit("row() + row()", "row() and row() + row()", "pages.py")
        more = gated(Order(base="HEAD"))

        assert [one.verdict for one in only(equal).judged] == [Word.PASS, Word.PASS]
        assert [one.verdict for one in only(more).judged] == [Word.FAIL, Word.FAIL]
        assert only(more).judged[1].said == "calls 4 against 3"

    def test_an_answer_that_differs_from_the_base_is_no_verdict_on_speed(
        self, pages: Project
    ) -> None:
        pages.edit("row() + row()", "row()", "pages.py")

        gate = gated(Order(base="HEAD"))

        assert gate.exit is Exit.ANSWERS_DIFFER
        assert "'run' at the base" in only(gate).error

    @pytest.mark.parametrize(
        ("before", "verdict", "said"),
        [
            ("def other(): pass\n", Word.INCONCLUSIVE, "new: the base does not have it"),
            (None, Word.INCONCLUSIVE, "new: the base does not have it"),
            ("def load(): return 1 / 0\n", Word.ERROR, "'run' at the base"),
            ("import absent_library\n", Word.ERROR, "absent_library"),
            ("def load(: pass\n", Word.ERROR, "SyntaxError"),
        ],
    )
    def test_what_the_base_lacks_is_new_and_what_is_broken_there_is_an_error(
        self, pages: Project, before: str | None, verdict: Word, said: str
    ) -> None:
        file = pages.folder / "pages.py"
        now = file.read_text()
        file.unlink() if before is None else file.write_text(before)
        pages.commit()
        file.write_text(now)

        one = only(gated(Order(base="HEAD")))

        assert one.verdict is verdict
        assert said in one.error + "".join(judged.said for judged in one.judged)

    def test_a_function_that_the_change_lacks_is_an_error(self, pages: Project) -> None:
        pages.edit("def load", "def unload", "pages.py")

        gate = gated(Order(base="HEAD"))

        assert gate.exit is Exit.CANNOT_RUN
        assert "'run' of pages:load is not there" in only(gate).error


class TestAgainstAFile:
    @pytest.fixture
    def base(self, project: Project) -> Path:
        project.scenario(f"{COUNTED}\n{CHANGED}")
        return project.write("base.json", encode(gated()).decode())

    def test_work_is_compared_with_what_was_saved(self, project: Project, base: Path) -> None:
        project.edit(EACH, ONE_MORE)

        gate = gated(Order(against=base))
        counted, changed = only(gate).judged

        assert (counted.verdict, changed.verdict) == (Word.FAIL, Word.FAIL)
        assert changed.said == "calls 12 against 11"
        assert gate.base == str(base)

    def test_a_scenario_that_was_not_saved_is_inconclusive(
        self, project: Project, base: Path
    ) -> None:
        project.scenario(CHANGED, "later")

        later = gated(Order(against=base)).scenarios[1]

        assert later.verdict is Word.INCONCLUSIVE
        assert later.judged[0].said == "base.json does not have this scenario: save it again"

    def test_a_variant_that_was_not_saved_is_inconclusive(
        self, project: Project, base: Path
    ) -> None:
        project.scenario('"wrong@base" = ["calls <= 1x"]')

        judged = checked(gated(Order(against=base)))

        assert judged.verdict is Word.INCONCLUSIVE
        assert "does not have 'ask-each-backwards'" in judged.said

    def test_a_variant_that_did_not_apply_when_it_was_saved_is_inconclusive_and_says_why(
        self, project: Project
    ) -> None:
        lever = '"a call an item, backwards"'
        missing = '"" if Path("mirror").exists() else "no mirror is installed"'
        project.edit(lever, f"{lever}, unless=lambda _: {missing}")
        project.edit("from typing", "from pathlib import Path\nfrom typing")
        project.scenario(COUNTED)
        base = project.write("base.json", encode(gated()).decode())
        project.write("mirror", "")
        project.scenario('"wrong@base" = ["calls <= 1x"]')

        judged = checked(gated(Order(against=base)))

        assert judged.verdict is Word.INCONCLUSIVE
        assert judged.said == (
            "base.json does not have 'ask-each-backwards': it was not run: no mirror is installed"
        )

    def test_other_parameters_do_not_compare(self, project: Project, base: Path) -> None:
        project.scenario(CHANGED, more="[params]\nitems = 7")

        gate = gated(Order(against=base))

        assert gate.exit is Exit.CANNOT_RUN
        assert checked(gate).said == "base.json measured another items: 10, not 7"

    def test_times_of_another_machine_are_unfit_and_counts_are_judged(
        self, project: Project
    ) -> None:
        project.scenario(f'{COUNTED}\n"naive@base" = ["calls <= 1x", "time < 5%"]')
        quick = Order(settings=Settings(budget="0s"))
        mine = describe().fingerprint
        saved = encode(gated(quick)).decode()
        base = project.write("base.json", saved.replace(mine, "0" * len(mine)))

        gate = gated(replace(quick, against=base))
        _, counted, timed = only(gate).judged

        assert counted.verdict is Word.PASS
        assert timed.verdict is Word.UNFIT
        assert timed.said == "the base is of another machine: its fingerprint differs"
        assert gate.exit is Exit.UNFIT

    def test_times_of_this_machine_are_compared_unpaired(self, project: Project) -> None:
        project.scenario('naive = ["time < 1s"]\n"naive@base" = ["time < 900%"]')
        base = project.write("base.json", encode(gated()).decode())

        judged = only(gated(Order(against=base))).judged[1]

        assert judged.verdict in {Word.PASS, Word.INCONCLUSIVE}
        assert judged.rounds >= 8
