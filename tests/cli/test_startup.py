from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = {
    "annotated_doc",
    "click",
    "linkify_it",
    "markdown_it",
    "mdurl",
    "perfkit",
    "pygments",
    "rich",
    "shellingham",
    "typer",
    "typing_extensions",
}
"""Packages that a help text may load; every other one belongs inside the function using it."""

RUN = """
import atexit, sys

before = set(sys.modules)

@atexit.register
def tell():
    print(*(set(sys.modules) - before), file=sys.stderr)

sys.argv[0] = "perfkit"
from perfkit.cli import main
main()
"""


def loaded(arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments.split()],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    ["--help", "-h", "list", "--version", "probe --help", "missing --help", "snmp plan --help"],
)
def test_nothing_heavy_is_loaded_to_say_what_there_is(arguments: str) -> None:
    packages = {module.partition(".")[0] for module in loaded(arguments)}

    assert packages - set(sys.stdlib_module_names) - LIGHT == set()


def test_a_package_that_is_not_light_would_be_seen() -> None:
    assert "msgspec" in loaded("list --json")


@pytest.mark.parametrize("arguments", ["--help", "list"])
def test_neither_probes_nor_backends_are_loaded_to_list_them(arguments: str) -> None:
    found = {
        module
        for module in loaded(arguments)
        if module.startswith(("perfkit.probes", "perfkit.backends", "perfkit.run"))
    }

    assert found == set()
