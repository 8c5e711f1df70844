"""Several states of the code in the same rounds: each in its own folder, none favoured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from leftovers import alive

from perfkit import reference, stats
from perfkit.errors import AnswersDiffer, CannotRun, NotThere, VariantFailed
from perfkit.model import Plan
from perfkit.result import Result, Sample
from perfkit.run import trial
from perfkit.run.course import BASE, CHANGE, Course, Rounds, Side
from perfkit.run.orchestrator import run_sides

STORY = """
import json, os
from dataclasses import dataclass
from perfkit import Probe
from perfkit.backends.python import Python

@dataclass(frozen=True)
class Where:
    notes: str = ""

probe = Probe("tale", "Calls", Python, Where, work={"calls": "calls"}, cause="calls")

def note(where, what):
    line = {"what": what, "folder": os.getcwd(), "process": os.getpid()}
    line["given"] = os.environ.get("GIVEN")
    with open(where.notes, "a") as file:
        file.write(json.dumps(line) + "\\n")

@probe.setup
def load(_python, where):
    note(where, "load")

@probe.naive("naive", prepare=lambda _python, where: note(where, "naive"))
def many(_python, _where):
    return sum(map(len, ["x"] * 3))

@probe.wrong_lever("wrong", why="No.", prepare=lambda _python, where: note(where, "wrong"))
def still_many(_python, _where):
    return len("xxx")

@probe.fixed("fixed", prepare=lambda _python, where: note(where, "fixed"))
def few(_python, _where):
    return 3
"""


MANY = 'return sum(map(len, ["x"] * 3))'
NAIVE = frozenset({"many"})


class Tale:
    """The same story in two folders, of which this process imports the change."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for side in (CHANGE, BASE):
            self.write(side, STORY)

    def write(self, side: str, text: str) -> None:
        (self.place / side).mkdir(exist_ok=True)
        (self.place / side / "tale.py").write_text(text)

    def edit(self, side: str, old: str, new: str) -> None:
        assert old in STORY
        self.write(side, STORY.replace(old, new))

    def side(self, name: str, **variables: str) -> Side:
        others = [entry for entry in sys.path if entry != str(self.place / CHANGE)]
        return Side(name, self.place / name, (str(self.place / name), *others), variables)

    def plan(self, rounds: int | None = 0, seed: int = 0, budget: float = 20.0) -> Plan:
        probe = reference.resolve("tale:probe")
        params = probe.params(str(self.place / "notes"))
        return Plan(probe, params, rounds=rounds, seed=seed, budget=budget)

    def run(self, course: Course | None = None, rounds: int | None = 0, seed: int = 0) -> Results:
        both = Course(sides=(self.side(CHANGE), self.side(BASE)), counted=NAIVE)
        return run_sides(self.plan(rounds, seed), course or both)

    def noted(self, what: str) -> list[tuple[str, str | None]]:
        lines = map(json.loads, (self.place / "notes").read_text().splitlines())
        return [
            (Path(line["folder"]).name, line["given"]) for line in lines if line["what"] == what
        ]


Results = dict[str, Result]


@pytest.fixture
def tale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tale]:
    monkeypatch.syspath_prepend(tmp_path / CHANGE)
    yield Tale(tmp_path)
    sys.modules.pop("tale", None)


def samples(results: Results, name: str = "many") -> dict[str, tuple[Sample, ...]]:
    return {
        side: next(one.samples for one in result.variants if one.name == name)
        for side, result in results.items()
    }


# Where each side lives


def test_each_side_works_in_its_folder_and_the_first_loads_the_data_for_all(tale: Tale) -> None:
    found = tale.run()

    assert list(found) == [CHANGE, BASE]
    assert tale.noted("load") == [(CHANGE, None)]
    assert tale.noted("naive") == [(CHANGE, None)] * 2 + [(BASE, None)] * 2


def test_what_a_side_starts_finds_its_environment(tale: Tale) -> None:
    tale.run(Course(sides=(tale.side(CHANGE), tale.side(BASE, GIVEN="yes")), counted=NAIVE))

    assert set(tale.noted("naive")) == {(CHANGE, None), (BASE, "yes")}


def test_the_work_of_each_side_is_its_own(tale: Tale) -> None:
    tale.edit(BASE, MANY, "return len([len(x) for x in 'xyz'])")

    found = tale.run()

    assert [one.work["calls"].value for one in found[CHANGE].variants] == [1]
    assert [one.work["calls"].value for one in found[BASE].variants] == [2]
    assert found[CHANGE].started == found[BASE].started


@pytest.mark.parametrize("has_its_own", [True, False])
def test_code_that_is_not_of_the_side_is_refused(
    tale: Tale,
    has_its_own: bool,  # noqa: FBT001
) -> None:
    if not has_its_own:
        (tale.place / BASE / "tale.py").unlink()
    astray = Side(BASE, tale.place / BASE, (str(tale.place / CHANGE), *sys.path))

    with pytest.raises(CannotRun) as caught:
        tale.run(Course(sides=(tale.side(CHANGE), astray)))

    assert caught.value.what == "'many' at the base did not run the code of that revision"
    assert caught.value.why == f"tale was imported from {tale.place / CHANGE / 'tale.py'}"


@pytest.mark.parametrize("kept", [True, False])
def test_what_the_code_imports_must_be_of_the_side_where_the_side_has_it(
    tale: Tale,
    kept: bool,  # noqa: FBT001
) -> None:
    for side in (CHANGE, BASE) if kept else (CHANGE,):
        (tale.place / side / "engine.py").write_text("")
    astray = f"import sys; sys.path.insert(0, {str(tale.place / CHANGE)!r}); import engine"
    tale.edit(BASE, "import json, os", f"import json, os\n{astray}")

    if not kept:
        # Such as a virtual environment inside the project: no part of the revision.
        assert len(tale.run()) == 2
        return
    with pytest.raises(CannotRun) as caught:
        tale.run()

    assert caught.value.why == f"engine was imported from {tale.place / CHANGE / 'engine.py'}"


def test_a_copy_that_was_installed_is_the_code_of_no_side(tale: Tale, tmp_path: Path) -> None:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "engine.py").write_text("")
    tale.edit(BASE, "import json, os", "import json, os\nimport engine")
    base = tale.side(BASE)
    base = replace(base, path=(*base.path, str(tmp_path / "site-packages")))
    found = Course(sides=(tale.side(CHANGE), base), counted=NAIVE)
    copied = Course(sides=(tale.side(CHANGE), replace(base, installed=frozenset({"engine"}))))

    assert len(tale.run(found)) == 2
    with pytest.raises(CannotRun, match="'many' at the base did not run the code of that revision"):
        tale.run(copied)


def test_a_side_may_be_a_part_of_its_checkout(tale: Tale) -> None:
    """A project in a folder of a repository may import what lies beside it."""
    for side in (CHANGE, BASE):
        (tale.place / side / "part").mkdir()
    sides = tuple(
        replace(tale.side(side), folder=tale.place / side / "part", root=tale.place / side)
        for side in (CHANGE, BASE)
    )

    assert list(tale.run(Course(sides=sides, counted=NAIVE))) == [CHANGE, BASE]
    assert tale.noted("load") == [("part", None)]


def test_what_does_not_apply_is_run_at_no_side_whatever_the_base_says(tale: Tale) -> None:
    # The base does not know of the condition yet.
    tale.edit(CHANGE, 'why="No."', 'why="No.", unless=lambda _where: "not here"')

    found = tale.run(Course(sides=(tale.side(CHANGE), tale.side(BASE))), rounds=1)

    for result in found.values():
        assert [one.name for one in result.variants] == ["many", "few"]
        assert [(one.name, one.why) for one in result.not_run] == [("still-many", "not here")]
    assert tale.noted("wrong") == []
    assert {side for side, _ in tale.noted("fixed")} == {CHANGE, BASE}


@pytest.mark.parametrize(("side", "where"), [(CHANGE, ""), (BASE, "at the base: ")])
def test_what_one_side_finds_out_is_run_at_neither(tale: Tale, side: str, where: str) -> None:
    tale.edit(
        side,
        'return len("xxx")',
        'from perfkit import NotApplicable; raise NotApplicable("it is old")',
    )

    found = tale.run(Course(sides=(tale.side(CHANGE), tale.side(BASE))), rounds=1)

    for result in found.values():
        assert [one.name for one in result.variants] == ["many", "few"]
        assert [(one.name, one.why) for one in result.not_run] == [
            ("still-many", f"{where}it is old")
        ]
    assert len(tale.noted("wrong")) == (1 if side == CHANGE else 3)
    assert {len(one.samples) for one in found[BASE].variants} == {1}


# Which rounds there are


def test_all_variants_of_all_sides_share_each_round(tale: Tale) -> None:
    found, again, other = (tale.run(rounds=4, seed=seed) for seed in (5, 5, 6))

    def order(results: Results) -> list[tuple[int, int, str, str]]:
        return sorted(
            (sample.round, sample.position, side, variant.name)
            for side, result in results.items()
            for variant in result.variants
            for sample in variant.samples
        )

    places = [(number, position) for number in range(4) for position in range(2)]
    assert [found[:2] for found in order(found)] == places
    assert order(found) == order(again) != order(other)
    firsts = {side for number, position, side, _ in order(found) if position == 0}
    assert firsts == {CHANGE, BASE}, "no side always goes first"


def test_both_sides_of_a_variant_are_called_equally_often(tale: Tale) -> None:
    tale.edit(BASE, MANY, MANY + " + sum([])")

    found = samples(tale.run(rounds=1))

    assert found[CHANGE][0].loops == found[BASE][0].loops


def test_a_side_that_is_much_slower_is_called_less_often_than_the_other(tale: Tale) -> None:
    # As much slower as a test can wait for; a fix may gain more than that.
    tale.edit(BASE, MANY, "return sum(range(9000)) and 3")

    found = samples(tale.run(rounds=1))

    assert found[BASE][0].loops < found[CHANGE][0].loops


def test_only_what_is_asked_for_is_counted_and_timed(tale: Tale) -> None:
    course = Course(
        sides=(tale.side(CHANGE), tale.side(BASE)),
        counted=frozenset({"few"}),
        timed=frozenset({"few"}),
    )

    found = tale.run(course, rounds=1)

    assert [one.name for one in found[BASE].variants] == ["many", "few"]
    assert [len(one.samples) for one in found[BASE].variants] == [0, 1]
    assert tale.noted("wrong") == []


def test_nothing_to_time_ends_after_the_counts(tale: Tale) -> None:
    found = tale.run(Course(counted=NAIVE, timed=frozenset()), rounds=None)

    assert found[CHANGE].stopped == "counted"


def test_whoever_asked_is_asked_at_every_look_until_it_is_settled(
    tale: Tale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "LOOKS", (2, 3, 5))
    looked: list[int] = []

    def settled(rounds: Rounds) -> bool:
        counts = {side: {len(one.samples) for one in found} for side, found in rounds.items()}
        assert counts[CHANGE] == counts[BASE]
        looked.extend(counts[CHANGE])
        return looked[-1] == 3

    course = Course(
        sides=(tale.side(CHANGE), tale.side(BASE)),
        counted=NAIVE,
        settled=settled,
        hurried=True,
    )
    found = tale.run(course, rounds=None)

    assert looked == [2, 3]
    assert found[BASE].stopped == "precise"
    assert found[BASE].rounds == 3


def test_short_values_are_timed_where_it_must_be_quick(tale: Tale) -> None:
    course = Course(counted=NAIVE)

    slow, quick = (
        samples(tale.run(replace(course, hurried=hurried), rounds=1))[CHANGE][0]
        for hurried in (False, True)
    )

    assert quick.loops < slow.loops
    assert len(quick.wall) > len(slow.wall) == trial.VALUES


# What goes wrong at one side


def test_what_a_side_does_not_have_is_told_from_what_is_broken(tale: Tale) -> None:
    tale.edit(BASE, "def many(", "def more(")
    with pytest.raises(NotThere, match="'many' at the base of tale is not there"):
        tale.run()

    (tale.place / BASE / "tale.py").unlink()
    with pytest.raises(NotThere, match="'many' at the base of tale is not there"):
        tale.run()

    tale.write(BASE, "import absent_library")
    with pytest.raises(VariantFailed, match="'many' at the base of tale raised CannotRun"):
        tale.run()


def test_a_side_that_raises_is_named(tale: Tale) -> None:
    tale.edit(BASE, MANY, "return 3 / 0")

    with pytest.raises(VariantFailed, match="'many' at the base of tale raised ZeroDivisionError"):
        tale.run()


def test_an_answer_that_one_side_alone_gives_is_refused(tale: Tale) -> None:
    tale.edit(BASE, MANY, "return 4")

    with pytest.raises(AnswersDiffer) as caught:
        tale.run()

    assert caught.value.what.startswith("'many' at the base of tale returned another answer")


def test_an_answer_that_differs_in_the_rounds_alone_is_refused_too(tale: Tale) -> None:
    # One worker loads the data and four count; what comes later measures.
    late = "import pathlib; notes = pathlib.Path(os.environ['NOTES']).read_text();"
    late += " return 3 + (len(notes.splitlines()) > 5)"
    tale.edit(BASE, MANY, late)
    side = tale.side(BASE, NOTES=str(tale.place / "notes"))

    with pytest.raises(AnswersDiffer, match="'many' at the base"):
        tale.run(Course(sides=(tale.side(CHANGE), side), counted=NAIVE), rounds=9)

    assert len(tale.noted("naive")) > 4, "both passes gave the same"


def test_no_process_of_either_side_stays(tale: Tale) -> None:
    tale.run(rounds=1)

    lines = map(json.loads, (tale.place / "notes").read_text().splitlines())
    assert not any(alive(line["process"]) for line in lines)
