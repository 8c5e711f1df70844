from __future__ import annotations

import inspect
import pickle

import pytest

from perfkit import errors
from perfkit.errors import (
    AnswersDiffer,
    BrokenPromise,
    CannotDecode,
    CannotRun,
    ComponentLost,
    Exit,
    MissingExtra,
    NoAnswer,
    NotApplicable,
    NothingMatched,
    NotThere,
    PerfkitError,
    Refused,
    UnreadableFile,
    UsageError,
    VariantFailed,
)

CODES = {
    PerfkitError: Exit.CANNOT_RUN,
    UsageError: Exit.USAGE,
    UnreadableFile: Exit.USAGE,
    BrokenPromise: Exit.USAGE,
    CannotDecode: Exit.CANNOT_RUN,
    CannotRun: Exit.CANNOT_RUN,
    MissingExtra: Exit.CANNOT_RUN,
    ComponentLost: Exit.CANNOT_RUN,
    NoAnswer: Exit.CANNOT_RUN,
    NothingMatched: Exit.NOTHING,
    NotThere: Exit.CANNOT_RUN,
    NotApplicable: Exit.CANNOT_RUN,
    Refused: Exit.CANNOT_RUN,
    VariantFailed: Exit.CANNOT_RUN,
    AnswersDiffer: Exit.ANSWERS_DIFFER,
}


def test_exit_codes_are_never_renumbered() -> None:
    expected = {
        "FINE": 0,
        "FOUND": 1,
        "USAGE": 2,
        "CANNOT_RUN": 3,
        "UNCLEAR": 4,
        "ANSWERS_DIFFER": 5,
        "UNFIT": 6,
        "NOTHING": 7,
        "BUG": 70,
        "INTERRUPTED": 130,
    }

    assert expected == {code.name: int(code) for code in Exit}


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_has_a_meaning_of_its_own(code: Exit) -> None:
    assert code.meaning.endswith(".")
    assert [code] == [other for other in Exit if other.meaning == code.meaning]


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_every_error_has_its_exit_code(kind: type[PerfkitError], code: Exit) -> None:
    assert code == kind.exit


def test_no_error_is_forgotten_here() -> None:
    kinds = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, PerfkitError)
    }

    assert set(CODES) == kinds


def test_the_tree_is_the_one_drawn_at_the_top() -> None:
    drawn = [line for line in (errors.__doc__ or "").splitlines() if "──" in line]
    depth = {line.partition("── ")[2].split()[0]: line.index("──") // 4 for line in drawn}
    real = {kind.__name__: len(kind.__mro__) for kind in CODES if kind is not PerfkitError}

    assert set(real) == set(depth)
    assert len({real[name] - depth[name] for name in real}) == 1


def test_an_error_says_what_why_and_how_to_put_it_right() -> None:
    error = PerfkitError("no server", why="it is off", fix="switch it on")

    assert (error.what, error.why, error.fix) == ("no server", "it is off", "switch it on")
    assert str(error) == "no server"


def test_why_and_fix_may_be_missing() -> None:
    error = UsageError("no")

    assert (error.why, error.fix) == ("", "")


def test_a_missing_package_comes_with_the_command_that_installs_it() -> None:
    error = MissingExtra("pyspark", "spark")

    assert error.what == "the package 'pyspark' is not installed"
    assert error.why == "it belongs to perfkit's optional part 'spark'"
    assert error.fix == "pip install 'perfkit[spark]'"


def test_a_refusal_survives_a_process_boundary() -> None:
    refused = pickle.loads(pickle.dumps(Refused("no", status="tooBig", index=2)))

    assert (refused.what, refused.status, refused.index) == ("no", "tooBig", 2)


def test_an_exit_code_survives_a_process_boundary() -> None:
    assert pickle.loads(pickle.dumps(Exit.UNCLEAR)) is Exit.UNCLEAR
