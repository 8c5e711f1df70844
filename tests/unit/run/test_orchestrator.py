from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from leftovers import alive, folders, processes, until
from sample_probes import choosy, faulty, finding, notes, rows, steady
from sample_probes.notes import Notes

from perfkit import reference, result
from perfkit.backends.postgres import Postgres
from perfkit.backends.postgres_service import PostgresService
from perfkit.backends.python import Python
from perfkit.errors import AnswersDiffer, CannotRun, ComponentLost, PerfkitError, VariantFailed
from perfkit.model import Location, Plan, Probe, Role, Variant
from perfkit.report.words import compose
from perfkit.result import Bound, NotRun, Result
from perfkit.run import trial
from perfkit.run.course import BASE, CHANGE, Counting, Course, Loading, Progress, Side, Timing
from perfkit.run.orchestrator import run, run_sides

pytestmark = pytest.mark.usefixtures("without_variables")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Name the file that workers write to."""
    return str(tmp_path / "notes")


def processes_of(file: str, what: str) -> list[int]:
    return [noted["process"] for noted in notes.read(file) if noted["what"] == what]


def ran(probe: Probe[Any, Any], file: str, rounds: int = 1, seed: int = 0) -> Result:
    return run(Plan(probe, Notes(file), rounds=rounds, seed=seed))


def failed(wish: str, file: str, rounds: int = 0) -> PerfkitError:
    with pytest.raises(PerfkitError) as caught:
        run(Plan(faulty.probe, Notes(file, wish), rounds=rounds))
    return caught.value


def shown(error: PerfkitError) -> str:
    return "\n".join((str(error), repr(error), error.what, error.why, error.fix))


def after_round(number: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Listen to a run, and act when that many rounds are complete."""

    def tell(progress: Progress) -> None:
        if isinstance(progress, Timing) and progress.round == number:
            act()

    return tell


def press_ctrl_c() -> None:
    raise KeyboardInterrupt


def interrupt_the_fourth(file: str) -> None:
    """Send ourselves SIGINT when the fourth worker of the fix, which stalls, is at work."""
    until(lambda: len(processes_of(file, "wished")) == 4, "the second timed round begins")
    os.kill(os.getpid(), signal.SIGINT)


class TestWhatIsRun:
    def test_the_data_is_loaded_once(self, file: str) -> None:
        ran(steady.probe, file)
        assert len(processes_of(file, "load")) == 1

    def test_progress_is_told_and_answers_and_work_are_reported(self) -> None:
        told: list[Progress] = []
        measured = run(Plan(steady.probe, Notes(), rounds=1), told.append)
        assert [type(progress) for progress in told[:3]] == [Loading, Loading, Counting]
        assert [type(progress) for progress in told[-2:]] == [Timing, Timing]
        assert [variant.name for variant in measured.variants] == ["many", "still-many", "few"]
        # A generator is entered once a value, and once more for its end; and each takes a note.
        assert [variant.work["calls"].value for variant in measured.variants] == [23, 23, 3]
        assert all(variant.work["calls"].exact for variant in measured.variants)
        assert measured.answer == "number"
        assert measured.isolation == "process"
        assert measured.rounds == 1
        assert measured.stopped == "rounds"
        assert result.decode(result.encode(measured), "test") == measured

    def test_every_sample_has_a_process_of_its_own(self, file: str) -> None:
        ran(steady.probe, file, rounds=2)
        for variant in ("many", "still_many", "few"):
            assert len(set(processes_of(file, variant))) == 2 + 2
        everyone = [noted["process"] for noted in notes.read(file)]
        assert len(set(everyone)) == 1 + 3 * (2 + 2)
        assert not any(map(alive, everyone))

    def test_a_session_has_one_process_for_all(self, file: str) -> None:
        measured = ran(steady.lasting, file, rounds=2)
        assert measured.isolation == "session"
        assert len({noted["process"] for noted in notes.read(file)}) == 1

    def test_preparing_comes_once_before_the_calls_of_each_process(self, file: str) -> None:
        ran(steady.probe, file)
        by_process: dict[int, list[str]] = {}
        for noted in notes.read(file):
            by_process.setdefault(noted["process"], []).append(noted["what"])
        for steps in by_process.values():
            if "many" in steps:
                assert steps.index("prepare") == 0
                assert steps.count("prepare") == 1

    def test_a_reset_comes_before_every_call(self, file: str) -> None:
        measured = ran(steady.restored, file)
        steps = [noted["what"] for noted in notes.read(file)]
        calls = [index for index, step in enumerate(steps) if step in {"many", "still_many", "few"}]
        assert len(calls) > 3 * (2 * 2 + 5)
        assert {steps[index - 1] for index in calls} == {"restore"}
        assert measured.naive.samples[0].loops >= 1

    def test_the_counted_pass_is_one_call_whatever_the_loops(self) -> None:
        measured = ran(steady.probe, "")
        assert all(variant.samples[0].loops > 1 for variant in measured.variants)
        assert measured.naive.work["calls"].value == 23

    def test_a_value_is_as_many_calls_as_it_says(self, file: str) -> None:
        measured = ran(steady.probe, file)
        timed = processes_of(file, "few")[-1]
        sample = next(v for v in measured.variants if v.name == "few").samples[0]
        values_and_warm_up = 4 + 1
        assert len(sample.wall) == 4
        assert processes_of(file, "few").count(timed) == values_and_warm_up * sample.loops

    def test_no_rounds_is_only_answers_and_counts(self) -> None:
        counted = ran(steady.probe, "", rounds=0)
        assert counted.stopped == "counted"
        assert counted.rounds == 0
        assert counted.verdicts == ()
        assert counted.naive.samples == ()
        assert counted.naive.work["calls"].value == 23
        assert result.decode(result.encode(counted), "test") == counted

    def test_what_is_not_timed_is_not_called_to_find_out_how_long_it_takes(self, file: str) -> None:
        ran(steady.probe, file, rounds=0)
        warm_up_and_counted, passes = 2, 2
        for what in ("many", "still_many", "few"):
            assert len(processes_of(file, what)) == passes * warm_up_and_counted

    def test_nor_is_what_is_only_counted_where_others_are_timed(self, file: str) -> None:
        run_sides(Plan(steady.probe, Notes(file), rounds=1), Course(timed=frozenset({"few"})))
        assert len(processes_of(file, "many")) == len(processes_of(file, "still_many")) == 4
        assert len(processes_of(file, "few")) > 4

    def test_the_order_is_drawn_from_the_seed(self, file: str) -> None:
        def order(seed: int) -> list[tuple[int, ...]]:
            measured = ran(steady.probe, file, rounds=3, seed=seed)
            return [
                tuple(sample.position for sample in variant.samples)
                for variant in measured.variants
            ]

        first = order(5)
        assert order(5) == first
        assert order(6) != first
        assert [sorted(positions) for positions in zip(*first, strict=True)] == [[0, 1, 2]] * 3


LEVER, FIXES = "'still-many' (wrong lever)", ["'once' (fixed)", "'twice' (fixed)"]


class TestVariantsThatDoNotApply:
    def test_are_neither_counted_nor_timed_and_the_result_says_why(self, file: str) -> None:
        measured = run(Plan(choosy.probe, Notes(file, "two"), rounds=1))
        assert [variant.name for variant in measured.variants] == ["many", "twice"]
        assert measured.not_run == (
            NotRun("many-in-parts", "naive", "many calls in parts", "there is room for all"),
            NotRun("still-many", "wrong lever", "as many calls", "it has one hand"),
            NotRun("once", "fixed", "one call", "it names one, 2 are missing"),
        )
        assert {noted["what"] for noted in notes.read(file)} == {"asked", "many", "twice"}
        assert [verdict.variant for verdict in measured.verdicts] == ["twice"]
        assert result.decode(result.encode(measured), "test") == measured

    def test_leave_another_naive_variant_to_compare_with(self, file: str) -> None:
        whole = run(Plan(choosy.probe, Notes(file), rounds=0))
        crowded = run(Plan(choosy.probe, Notes(file, "crowded"), rounds=0))
        assert [whole.naive.name, crowded.naive.name] == ["many", "many-in-parts"]
        assert [variant.name for variant in crowded.not_run] == ["many"]

    def test_leave_the_next_fix_to_hold_others_to(self, file: str) -> None:
        fixes = [run(Plan(choosy.probe, Notes(file, wish), rounds=0)).fix for wish in ("", "two")]
        assert [fix and fix.name for fix in fixes] == ["once", "twice"]

    def test_are_chosen_once_and_not_by_a_worker(self, file: str) -> None:
        run(Plan(choosy.probe, Notes(file), rounds=1))
        assert processes_of(file, "asked") == [os.getpid()] * 4

    @pytest.mark.parametrize(
        ("wish", "has", "left"),
        [
            (
                "whole",
                ["'many' (naive)", "'many-in-parts' (naive)", LEVER, *FIXES],
                [],
            ),
            (
                "nowhere",
                [LEVER, *FIXES],
                [
                    "'many' (naive) is not run: it needs room for all",
                    "'many-in-parts' (naive) is not run: there is room for all",
                ],
            ),
            (
                "unfixable",
                ["'many' (naive)", LEVER],
                [
                    "'many-in-parts' (naive) is not run: there is room for all",
                    "'once' (fixed) is not run: it names one, 2 are missing",
                    "'twice' (fixed) is not run: it names two, 3 are missing",
                ],
            ),
        ],
    )
    def test_must_leave_one_naive_variant_and_a_fix(
        self, file: str, wish: str, has: list[str], left: list[str]
    ) -> None:
        with pytest.raises(CannotRun) as caught:
            run(Plan(choosy.probe, Notes(file, wish), rounds=0))
        assert caught.value.what.startswith("the probe 'choosy' is not complete")
        assert ("with these parameters" in caught.value.what) is bool(left)
        needs = f"it needs exactly one naive variant and a fixed one; it has: {', '.join(has)}"
        assert caught.value.why.splitlines() == [needs, *left]
        assert ("take other parameters" in caught.value.fix) is bool(left)
        assert {noted["what"] for noted in notes.read(file)} == {"asked"}

    def test_a_condition_that_raises_is_named_before_anything_is_started(self, file: str) -> None:
        with pytest.raises(CannotRun, match="the condition of 'many-in-parts' of choosy raised"):
            run(Plan(choosy.probe, Notes(file, "raise"), rounds=0))
        assert processes_of(file, "asked") == [os.getpid()]


ONCE = NotRun("once", "fixed", "one call", "it has no bulk order")
TOO_MANY = NotRun("too-many", "wrong lever", "too many calls", "it takes too long")


def found_out(wish: str, file: str, rounds: int = 0) -> Result:
    return run(Plan(finding.probe, Notes(file, wish), rounds=rounds))


class TestVariantsThatFindOut:
    def test_are_left_out_of_all_that_follows_and_the_result_says_why(self, file: str) -> None:
        measured = found_out("run", file, rounds=1)
        assert [variant.name for variant in measured.variants] == ["many", "still-many", "twice"]
        assert measured.not_run == (TOO_MANY, ONCE)
        assert [verdict.variant for verdict in measured.verdicts] == ["still-many", "twice"]
        assert measured.fix is not None
        assert measured.fix.name == "twice"
        assert len(processes_of(file, "once")) == 1
        assert result.decode(result.encode(measured), "test") == measured

    @pytest.mark.parametrize("wish", ["process 2", "unpredictable"])
    def test_may_find_out_after_work_has_been_counted(self, file: str, wish: str) -> None:
        measured = found_out(wish, file)
        assert measured.not_run == (TOO_MANY, ONCE)
        assert [variant.name for variant in measured.variants] == ["many", "still-many", "twice"]

    def test_may_find_out_while_they_prepare(self, file: str) -> None:
        measured = found_out("prepare", file)
        lever = NotRun("still-many", "wrong lever", "as many calls", "it has no bulk order")
        assert measured.not_run == (lever, TOO_MANY)
        assert processes_of(file, "still_many") == []

    def test_are_listed_in_the_order_of_the_probe(self, file: str) -> None:
        measured = found_out("two", file)
        assert [one.name for one in measured.not_run] == ["still-many", "too-many", "once"]

    def test_may_raise_a_kind_of_their_own(self, file: str) -> None:
        assert found_out("run:kind", file).not_run[-1].why == "it is not there"

    def test_do_not_raise_an_error_of_the_same_name(self, file: str) -> None:
        with pytest.raises(VariantFailed, match="'once' of finding raised NotApplicable"):
            found_out("run:foreign", file)

    def test_find_out_before_anything_is_timed(self, file: str) -> None:
        with pytest.raises(VariantFailed, match="'once' of finding raised NotApplicable"):
            found_out("process 3", file, rounds=1)

    @pytest.mark.parametrize(
        ("wish", "has", "left"),
        [
            (
                "nowhere",
                "'still-many' (wrong lever), 'once' (fixed), 'twice' (fixed)",
                ["many' (naive) is not run: it has no bulk order", TOO_MANY],
            ),
            (
                "unfixable",
                "'many' (naive), 'still-many' (wrong lever)",
                [TOO_MANY, ONCE, "twice' (fixed) is not run: it has no bulk order"],
            ),
        ],
    )
    def test_must_leave_the_naive_one_and_a_fix(
        self, file: str, wish: str, has: str, left: list[str | NotRun]
    ) -> None:
        with pytest.raises(CannotRun) as caught:
            found_out(wish, file)
        assert caught.value.what == "the probe 'finding' is not complete with this component"
        needs = f"it needs exactly one naive variant and a fixed one; it has: {has}"
        lines = [
            f"'{one}"
            if isinstance(one, str)
            else f"'{one.name}' ({one.role}) is not run: {one.why}"
            for one in left
        ]
        assert caught.value.why.splitlines() == [needs, *lines]
        assert caught.value.fix.startswith("take another component, or see ")

    def test_are_an_error_where_they_are_needed(self, file: str) -> None:
        plan = Plan(finding.probe, Notes(file, "run"), rounds=1)
        with pytest.raises(CannotRun) as caught:
            run_sides(plan, Course(needed=frozenset({"once"})))
        assert caught.value.what == "'once' is not run with this component"
        assert caught.value.why == "it has no bulk order"
        assert "a role means it too" in caught.value.fix
        assert processes_of(file, "twice") == []
        assert run_sides(plan, Course(needed=frozenset({"twice"})))[CHANGE].rounds == 1


class TestPredictions:
    def test_are_in_the_result_and_their_work_is_not_counted(self, file: str) -> None:
        quiet, measured = found_out("", file), found_out("predict 2.5", file, rounds=1)
        bounds = {variant.name: variant.bound for variant in measured.variants}
        assert bounds["once"] == Bound(2.5, "100 calls / 1 call")
        assert [bounds["many"], bounds["still-many"], bounds["twice"]] == [None] * 3
        assert quiet.fix is not None
        assert measured.fix is not None
        assert quiet.fix.bound is None
        assert measured.fix.work["calls"] == quiet.fix.work["calls"]
        assert result.decode(result.encode(measured), "test") == measured

    def test_are_asked_for_where_work_is_counted_and_not_where_it_is_timed(self, file: str) -> None:
        found_out("predict 2.5", file, rounds=1)
        assert processes_of(file, "predict") == list(dict.fromkeys(processes_of(file, "once")))[:2]

    @pytest.mark.parametrize("at_most", ["nan", "inf", "0", "-1"])
    def test_that_nothing_can_be_held_to_are_an_error(self, file: str, at_most: str) -> None:
        with pytest.raises(VariantFailed, match="'once' of finding predicts to be"):
            found_out(f"predict {at_most}", file)


def basis(run: Callable[..., object], seconds: float, side: str = CHANGE) -> trial.Basis:
    variant: Variant[Any, Any] = Variant(Role.NAIVE, "code", run)
    return trial.Basis(Side(side), variant, None, {}, seconds)


class TestValues:
    @pytest.mark.parametrize(
        ("seconds", "values"),
        [(0.001, 4), (0.05, 4), (0.2499, 4), (0.35, 3), (0.5, 2), (0.9, 1), (2.0, 1), (60.0, 1)],
    )
    @pytest.mark.parametrize("hurried", [False, True])
    def test_are_fewer_the_longer_a_call_lasts(
        self,
        seconds: float,
        values: int,
        hurried: bool,  # noqa: FBT001
    ) -> None:
        bases = [basis(steady.many, seconds), basis(steady.few, 0.1)]
        shares = trial._shares(bases, hurried=hurried)
        assert shares[CHANGE, "many"].values == values
        assert shares[CHANGE, "few"].values == 4

    @pytest.mark.parametrize("seconds", [(0.1, 0.5), (0.5, 0.1)])
    def test_are_as_many_at_both_sides(self, seconds: tuple[float, float]) -> None:
        bases = [basis(steady.many, seconds[0]), basis(steady.many, seconds[1], BASE)]
        shares = trial._shares(bases, hurried=True)
        assert [share.values for share in shares.values()] == [2, 2]

    def test_that_are_short_are_as_many_as_before(self) -> None:
        shares = trial._shares([basis(steady.many, 0.001)], hurried=True)
        assert shares == {(CHANGE, "many"): trial._Share(3, 17)}

    def test_are_as_many_as_was_decided_for_each_variant(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def decided(bases: list[trial.Basis], **_: object) -> dict[tuple[str, str], trial._Share]:
            return {basis.key: trial._Share(5, 1 + i) for i, basis in enumerate(bases)}

        monkeypatch.setattr(trial, "_shares", decided)
        measured = ran(steady.probe, "", rounds=6)
        for number, variant in enumerate(measured.variants):
            assert {len(one.wall) for one in variant.samples} == {1 + number}
            assert {one.loops for one in variant.samples} == {5}
        assert result.decode(result.encode(measured), "test") == measured
        assert compose(measured).times is not None


class TestBadProbes:
    def test_two_naive_variants_without_a_condition_are_refused(self, file: str) -> None:
        with pytest.raises(CannotRun, match=r"the probe 'undecided' is not complete$") as caught:
            ran(choosy.undecided, file)
        assert caught.value.why.endswith(
            "it has: 'many' (naive), 'many-in-parts' (naive), 'once' (fixed)"
        )

    def test_a_probe_without_a_fix_is_refused(self, file: str) -> None:
        with pytest.raises(CannotRun, match="the probe 'unfinished' is not complete"):
            ran(steady.unfinished, file)
        assert notes.read(file) == []

    def test_a_probe_that_no_worker_can_import_is_refused(self, file: str) -> None:
        hidden: Probe[Python, Notes] = Probe(
            "hidden", "Hidden", Python, Notes, work={"calls": "calls"}, cause="calls"
        )
        hidden.naive("many")(steady.many)
        hidden.fixed("few")(steady.few)
        with pytest.raises(CannotRun, match="no worker process can import the probe 'hidden'"):
            ran(hidden, file)

    def test_a_probe_of_the_main_script_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(steady.many, "__module__", "__main__")
        monkeypatch.setattr("__main__.probe", steady.probe, raising=False)
        with pytest.raises(CannotRun) as caught:
            reference.name(steady.probe)
        assert caught.value.why == "it is defined in the script that runs it"

    def test_a_cause_that_nobody_counts_is_refused(self, file: str) -> None:
        with pytest.raises(CannotRun, match="nobody here can count the cause") as caught:
            run(Plan(faulty.uncounted, Notes(file, "steadily"), rounds=0))
        assert caught.value.why == "counted were: builtin_calls, calls"


class TestBadVariants:
    def test_a_worker_that_leaves_is_reported_with_its_last_words(self, file: str) -> None:
        error = failed("leave", file)
        assert isinstance(error, VariantFailed)
        assert error.what == "the worker process of 'wished' ended with exit code 7"
        assert error.why == "last words"

    def test_a_worker_that_crashes_is_reported_with_the_signal(self, file: str) -> None:
        error = failed("crash", file)
        assert isinstance(error, VariantFailed)
        assert error.what == "the worker process of 'wished' ended by SIGSEGV"

    def test_a_worker_that_leaves_while_its_child_lives_is_noticed(self, file: str) -> None:
        error = failed("leave_with_a_child", file)
        assert error.what == "the worker process of 'wished' ended with exit code 7"
        (child,) = [noted["child"] for noted in notes.read(file) if noted["what"] == "child"]
        until(lambda: not alive(child), "the child is killed")

    def test_sys_exit_is_a_crash(self, file: str) -> None:
        error = failed("leave_by_exit", file)
        assert error.what == "the worker process of 'wished' ended with exit code 1"
        assert error.why == "enough"

    def test_an_exception_is_reported_with_its_place(self, file: str) -> None:
        error = failed("raise_error", file)
        assert isinstance(error, VariantFailed)
        assert error.what == "'wished' of faulty raised ValueError"
        assert error.why.startswith("no such luck\nFile ")
        assert error.why.endswith("in raise_error")

    def test_an_answer_that_cannot_be_pickled_is_an_error_of_the_variant(self, file: str) -> None:
        error = failed("return_function", file)
        assert isinstance(error, VariantFailed)
        assert error.why.startswith("its answer cannot be pickled: Can't")

    def test_an_answer_that_cannot_be_read_is_an_error_of_the_variant(self, file: str) -> None:
        error = failed("return_unloadable", file)
        assert isinstance(error, VariantFailed)
        assert error.what == "the answer of 'wished' did not survive the way out of its process"
        assert error.why.startswith("ValueError: invalid literal")

    def test_what_a_variant_prints_and_reads_disturbs_nothing(
        self, file: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        measured = run(Plan(faulty.probe, Notes(file, "chatter"), rounds=1))
        assert measured.rounds == 1
        assert capfd.readouterr() == ("", "")

    def test_children_that_a_variant_leaves_end_with_its_worker(self, file: str) -> None:
        run(Plan(faulty.probe, Notes(file, "leave_a_child_behind"), rounds=0))
        children = [noted["child"] for noted in notes.read(file) if noted["what"] == "child"]
        assert len(children) > 2
        until(lambda: not any(map(alive, children)), "the children are killed")

    def test_work_that_differs_between_passes_is_not_called_exact(self, file: str) -> None:
        counted = run(Plan(faulty.probe, Notes(file, "count_differently"), rounds=0))
        naive, wished = counted.variants
        assert naive.work["calls"].exact
        assert not wished.work["calls"].exact


class TestAnswers:
    @pytest.mark.parametrize(
        ("wish", "why"),
        [
            ("differ", "1 of 3 items differ, the first at index 2"),
            ("differ_in_length", "4 items instead of 3"),
            ("differ_in_type", "a tuple instead of a list"),
        ],
    )
    def test_another_answer_ends_the_run_and_is_not_shown(
        self, file: str, wish: str, why: str
    ) -> None:
        error = failed(wish, file)
        assert isinstance(error, AnswersDiffer)
        assert error.what == "'wished' of faulty returned another answer than 'steady'"
        assert error.why == why
        assert faulty.SECRET not in shown(error)

    def test_another_answer_in_a_later_round_ends_the_run(self, file: str) -> None:
        rounds: list[int] = []

        def tell(progress: Progress) -> None:
            if isinstance(progress, Timing):
                rounds.append(progress.round)

        with pytest.raises(AnswersDiffer) as caught:
            run(Plan(faulty.probe, Notes(file, "differ_later"), rounds=3), tell)
        assert rounds == [0, 1]
        assert faulty.SECRET not in shown(caught.value)


class TestCtrlC:
    def test_after_a_round_the_result_has_whole_rounds(self, file: str, place: Path) -> None:
        stopped = run(Plan(steady.probe, Notes(file), rounds=9), after_round(2, press_ctrl_c))
        assert stopped.stopped == "interrupted"
        assert [len(variant.samples) for variant in stopped.variants] == [2, 2, 2]
        assert result.decode(result.encode(stopped), "test") == stopped
        assert processes(place) == []

    def test_in_the_middle_of_a_round_the_result_has_whole_rounds(self, file: str) -> None:
        watcher = threading.Thread(target=interrupt_the_fourth, args=(file,))
        watcher.start()
        stopped = run(Plan(faulty.probe, Notes(file, "stall_later"), rounds=9))
        watcher.join()
        assert stopped.stopped == "interrupted"
        assert [len(variant.samples) for variant in stopped.variants] == [1, 1]
        assert not any(map(alive, processes_of(file, "wished")))

    def test_in_a_session_the_result_has_whole_rounds(self, file: str) -> None:
        stopped = run(Plan(steady.lasting, Notes(file), rounds=9), after_round(1, press_ctrl_c))
        assert stopped.stopped == "interrupted"
        assert stopped.rounds == 1
        assert not any(alive(noted["process"]) for noted in notes.read(file))

    def test_before_the_first_round_there_is_no_result_and_nothing_left(
        self, file: str, place: Path
    ) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(Plan(steady.probe, Notes(file), rounds=9), after_round(0, press_ctrl_c))
        assert processes(place) == []

    @pytest.mark.parametrize("phase", [Loading, Counting, Timing])
    def test_with_a_server_nothing_is_left(
        self, place: Path, phase: type[Loading | Counting | Timing]
    ) -> None:
        def tell(progress: Progress) -> None:
            if isinstance(progress, phase):
                assert phase is Loading or processes(place) != []
                press_ctrl_c()

        with pytest.raises(KeyboardInterrupt):
            run(Plan(rows.probe, rows.Rows(), rounds=1), tell)
        assert processes(place) == []
        assert folders(place) == []


class TestServers:
    def test_a_run_on_the_embedded_server_leaves_nothing(self, place: Path) -> None:
        measured = run(Plan(rows.probe, rows.Rows(), Location(rtt=0.001), rounds=1))
        work = {variant.name: variant.work for variant in measured.variants}
        assert work["one-by-one"]["round_trips"].value == 3
        assert work["at-once"]["round_trips"].value == 1
        assert measured.component.place == "embedded"
        assert measured.component.rtt_asked == 0.001
        assert processes(place) == []
        assert folders(place) == []

    def test_a_server_that_is_killed_is_reported_as_lost(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[PostgresService] = []
        serve = Postgres.serve

        @contextmanager
        def noted(location: Location) -> Iterator[PostgresService]:
            with serve(location) as service:
                started.append(service)
                yield service

        monkeypatch.setattr(Postgres, "serve", noted)

        def kill() -> None:
            (service,) = started
            assert service.server is not None
            psutil.Process(service.server.process).kill()

        with pytest.raises(ComponentLost, match="PostgreSQL went away in the middle of the run"):
            run(Plan(rows.probe, rows.Rows(), rounds=3), after_round(1, kill))
        until(lambda: processes(place) == [], "the server's processes notice")
        assert folders(place) == []

    def test_a_worker_that_dies_with_its_server_is_blamed_on_the_server(self, place: Path) -> None:
        with pytest.raises(ComponentLost, match="PostgreSQL went away in the middle of the run"):
            run(Plan(rows.fatal, rows.Rows(), rounds=0))
        until(lambda: processes(place) == [], "the server's processes notice")
        assert folders(place) == []

    def test_two_runs_at_once_do_not_disturb_each_other(self, place: Path) -> None:
        measured: list[Result] = []

        def once() -> None:
            measured.append(run(Plan(rows.probe, rows.Rows(), rounds=1)))

        threads = [threading.Thread(target=once) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.naive.work["round_trips"].value for one in measured] == [3, 3]
        assert [one.naive.work["round_trips"].exact for one in measured] == [True, True]
        assert processes(place) == []
        assert folders(place) == []
