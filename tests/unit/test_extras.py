from __future__ import annotations

import json
from importlib.metadata import metadata
from pathlib import Path

import pytest

from perfkit.errors import Exit, MissingExtra
from perfkit.extras import require

PROMISED = {
    *("snmp", "kafka", "plot", "spark", "gpu", "cassandra", "attach", "solve"),
    *("ci", "docs", "dev", "all"),
}


def test_installed_module_is_imported() -> None:
    assert require("json", "snmp") is json


@pytest.mark.parametrize("module", ["perfkit_absent", "perfkit_absent.inner", "json.absent"])
def test_missing_package_says_what_to_install(module: str) -> None:
    with pytest.raises(MissingExtra) as caught:
        require(module, "snmp")

    assert caught.value.fix == "pip install 'perfkit[snmp]'"
    assert caught.value.exit == Exit.CANNOT_RUN


def test_fault_inside_an_installed_package_is_not_taken_for_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "perfkit_faulty.py").write_text("import perfkit_absent\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="perfkit_absent"):
        require("perfkit_faulty", "snmp")


def test_every_optional_part_is_declared() -> None:
    assert set(metadata("perfkit").get_all("Provides-Extra") or []) == PROMISED
