"""Threads under the GIL: what each variant calls, sends and predicts, with a GIL and without."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from perfkit import registry
from perfkit.backends.interpreter import Interpreter, cores
from perfkit.errors import UsageError
from perfkit.model import Plan
from perfkit.parameters import read
from perfkit.probes import py_gil
from perfkit.probes.py_gil import Morning, derive, derive_in_longer_turns, probe
from perfkit.result import Bound, Result
from perfkit.run.orchestrator import run

SMALL = Morning(logins=6, turns=50, threads=3)
UNDER_THE_LOCK = Bound(1, "one thread at a time holds the GIL")
AT_ONCE = Bound(min(3, cores()), f"3 at work, cores: {cores()}")


def calls(result: Result) -> dict[str, int]:
    assert all(variant.work["calls"].exact for variant in result.variants)
    return {variant.name: variant.work["calls"].value for variant in result.variants}


def bounds(result: Result) -> dict[str, Bound]:
    return {variant.name: variant.bound for variant in result.variants if variant.bound is not None}


def reasons(result: Result) -> dict[str, str]:
    return {variant.name: variant.why for variant in result.not_run}


def with_gil(monkeypatch: pytest.MonkeyPatch, place: Path, *, on: bool) -> None:
    """Let workers start in a Python that says so of its GIL."""
    (place / "sitecustomize.py").write_text(f"import sys\nsys._is_gil_enabled = lambda: {on}\n")
    monkeypatch.setenv("PYTHONPATH", str(place), prepend=os.pathsep)


def test_with_a_gil_threads_make_the_same_calls_and_are_said_to_gain_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_gil(monkeypatch, tmp_path, on=True)

    result = run(Plan(probe, SMALL, rounds=0))

    assert calls(result) == {
        "derive-in-turn": 300,
        "derive-in-threads": 300,
        "derive-in-longer-turns": 300,
        "derive-in-c": 0,
        "derive-in-c-in-threads": 0,
        "derive-in-processes": 0,
    }
    assert bounds(result) == {
        "derive-in-threads": UNDER_THE_LOCK,
        "derive-in-longer-turns": UNDER_THE_LOCK,
        "derive-in-processes": AT_ONCE,
    }
    assert reasons(result) == {"derive-in-free-threads": "this Python has a GIL"}
    sent = {variant.name: variant.work["sent"].value for variant in result.variants}
    assert sent.pop("derive-in-processes") > 0
    assert set(sent.values()) == {0}


def test_without_a_gil_threads_are_a_fix_that_makes_as_many_calls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_gil(monkeypatch, tmp_path, on=False)

    result = run(Plan(probe, SMALL, rounds=0))

    why = "this Python runs without a GIL"
    assert reasons(result) == {"derive-in-threads": why, "derive-in-longer-turns": why}
    assert calls(result)["derive-in-free-threads"] == 300
    assert bounds(result) == {"derive-in-processes": AT_ONCE, "derive-in-free-threads": AT_ONCE}
    assert probe.variant("derive-in-free-threads").partial


def test_fewer_logins_than_threads_are_no_error() -> None:
    result = run(Plan(probe, Morning(logins=1, turns=2, threads=3), rounds=0))

    assert calls(result)["derive-in-threads"] == 2
    assert bounds(result)["derive-in-processes"].at_most == 1


@pytest.mark.parametrize("turns", [1, 2, 1000])
@pytest.mark.parametrize("password", [b"", b"secret", bytes(64), b"x" * 65])
def test_the_key_is_the_one_of_the_standard(password: bytes, turns: int) -> None:
    expected = hashlib.pbkdf2_hmac("sha256", password, b"salt", turns)

    assert expected == derive((password, b"salt", turns))


def test_the_length_of_a_turn_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.getswitchinterval()
    seen = []

    def fail(_here: Interpreter, _morning: Morning) -> object:
        seen.append(sys.getswitchinterval())
        raise LookupError

    monkeypatch.setattr(py_gil, "derive_in_threads", fail)
    with pytest.raises(LookupError):
        derive_in_longer_turns(Interpreter(), SMALL)

    assert seen == [pytest.approx(py_gil.TURN)]
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize("threads", [0, 65, 10_000])
def test_no_threads_and_very_many_are_refused(threads: int) -> None:
    with pytest.raises(UsageError, match=f"threads={threads} is refused by py-gil"):
        read(Morning, {"threads": str(threads)}, "py-gil")


def test_recipe_derives_the_same_before_and_after_and_its_check_tells_them_apart() -> None:
    recipe = registry.recipe("py-gil")
    assert recipe is not None
    blocks = re.findall(r"^```python\n(.*?)^```$", recipe.read_text(), re.MULTILINE | re.DOTALL)
    before, after, check = blocks
    naive, fixed = run_code(before + check), run_code(after + check)

    logins = [(b"secret", b"salt", 3), (b"other", b"pepper", 2)]
    expected = [hashlib.pbkdf2_hmac("sha256", *login) for login in logins]
    assert expected == naive["keys"](logins) == fixed["keys"](logins)
    fixed["test_python_is_not_in_the_loop"]()
    with pytest.raises(AssertionError):
        naive["test_python_is_not_in_the_loop"]()


def run_code(block: str) -> dict[str, Any]:
    code: dict[str, Any] = {}
    exec(block, code)
    return code
