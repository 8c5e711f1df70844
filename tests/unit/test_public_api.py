from __future__ import annotations

import subprocess
import sys

import pytest

import perfkit
from perfkit import errors, model


def test_the_front_door_is_small_and_sorted() -> None:
    expected = [
        "Backend",
        "Bound",
        "Location",
        "NotApplicable",
        "Probe",
        "Role",
        "Tally",
        "count",
        "seconds",
        "size",
        "workers",
    ]

    assert expected == perfkit.__all__


@pytest.mark.parametrize("name", perfkit.__all__)
def test_every_public_name_is_that_of_the_model_or_an_error(name: str) -> None:
    home = errors if name == "NotApplicable" else model

    assert getattr(perfkit, name) is getattr(home, name)


def test_everything_public_can_be_imported_at_once() -> None:
    names: dict[str, object] = {}
    exec("from perfkit import *", names)

    assert set(perfkit.__all__) <= set(names)


@pytest.mark.parametrize("name", ["Result", "Variant", "anything", "__path_to_nowhere__"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'perfkit' has no attribute '{name}'"):
        getattr(perfkit, name)


def test_an_unknown_name_cannot_be_imported() -> None:
    with pytest.raises(ImportError):
        exec("from perfkit import Result")


def test_importing_perfkit_loads_nothing_else() -> None:
    code = "import sys, perfkit; print(*[n for n in sys.modules if n.startswith('perfkit.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.split() == []
