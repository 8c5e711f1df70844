"""Mistakes on the command line: what, why, how to fix, and exit code 2."""

import re
from pathlib import Path

import pytest

from .conftest import GOLDEN, Run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prob",), "did you mean 'probe'"),
        (("probe", "db-fetc"), "no probe 'db-fetc'; did you mean 'db-fetch'?"),
        (("explain", "db-fetc"), "did you mean 'db-fetch'?"),
        (("check", "db-fetc"), "did you mean 'db-fetch'?"),
        (("probe", "db-fetch", "-s", "ordrs=5"), "no parameter 'ordrs' in db-fetch; did you mean"),
        (("probe", "db-fetch", "-s", "orders"), "'-s orders' is no parameter"),
        (("probe", "db-fetch", "-s", "orders=0"), "orders=0 is refused by db-fetch"),
        (("probe", "db-fetch", "-s", "orders=50001"), "1 to 50,000"),
        (("probe", "db-fetch", "-s", "orders=2ms"), "'ms' is no unit of count"),
        (("probe", "db-fetch", "--rtt", "2"), "'2' has no unit"),
        (("probe", "db-fetch", "--rtt", "11s"), "--rtt 11s is out of bounds"),
        (("probe", "db-fetch", "--budget", "5KiB"), "'KiB' is no unit of seconds"),
        (("probe", "db-fetch", "--rounds", "-1"), "--rounds"),
        (("probe", "db-fetch", "--bugdet", "5s"), "--budget"),
        (("probe", "db-fetch", "-o", "x.html"), "no report format ends in '.html'"),
        (("probe", "db-fetch", "-o", "nowhere/x.json"), "there is no folder nowhere"),
        (("new", "probe", "Bad Name"), "'Bad Name' is no name for a probe"),
        (("new", "probe", "db-fetch"), "there is a probe 'db-fetch' already"),
        (("show", "absent.json"), "cannot read absent.json"),
        (("recheck", "absent.json"), "cannot read absent.json"),
    ],
)
def test_mistake_is_named_with_a_way_out(
    perfkit: Run, arguments: tuple[str, ...], said: str
) -> None:
    ended = perfkit(*arguments)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert said.lower() in ended.stderr.lower()
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


def test_probe_without_name_lists_the_probes_where_there_is_no_terminal(perfkit: Run) -> None:
    ended = perfkit("probe")

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "db-fetch" in ended.stderr
    assert "which probe?" in ended.stderr


def test_foreign_file_is_not_overwritten(perfkit: Run, tmp_path: Path) -> None:
    precious = tmp_path / "notes.md"
    precious.write_text("# My notes\n")

    refused = perfkit("show", str(GOLDEN / "db-fetch.json"), "-o", str(precious))
    forced = perfkit("show", str(GOLDEN / "db-fetch.json"), "-o", str(precious), "--force")
    again = perfkit("show", str(GOLDEN / "db-fetch.json"), "-o", str(precious))

    assert refused.returncode == 2
    assert "perfkit did not write it" in refused.stderr
    assert (forced.returncode, again.returncode) == (0, 0)
    assert precious.read_text().startswith("<!-- perfkit.result/1 -->")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "is no JSON"),
        (lambda text: text.replace("perfkit.result/1", "perfkit.result/9"), "perfkit.result/9"),
        (lambda text: text.replace('"seed":', '"sead":'), "sead"),
        (lambda text: "[" * len(text), "is no JSON"),
        (lambda text: text[:0], "is no JSON"),
    ],
)
@pytest.mark.parametrize("command", ["show", "recheck"])
def test_damaged_result_file_is_refused(
    perfkit: Run, tmp_path: Path, damage: object, said: str, command: str
) -> None:
    assert callable(damage)
    file = tmp_path / "damaged.json"
    file.write_text(damage((GOLDEN / "db-fetch.json").read_text()))

    ended = perfkit(command, str(file))

    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_recheck_agrees_with_a_file_as_it_was_written(perfkit: Run) -> None:
    ended = perfkit("recheck", str(GOLDEN / "db-fetch.json"))

    assert ended.returncode == 0
    assert set(re.findall(r"^\w+", ended.stdout, re.MULTILINE)) == {"same"}


def test_recheck_finds_a_verdict_that_its_values_do_not_bear(perfkit: Run, tmp_path: Path) -> None:
    text = (GOLDEN / "db-fetch.json").read_text()
    file = tmp_path / "edited.json"
    file.write_text(text.replace('"word": "faster"', '"word": "slower"', 1))

    ended = perfkit("recheck", str(file))

    assert ended.returncode == 1
    assert "differs" in ended.stdout
    assert "its values say faster" in ended.stdout


def test_every_help_page_has_three_examples_and_both_flags(perfkit: Run) -> None:
    commands = ["list", "probe", "explain", "show", "recheck", "missing", "check", "doctor"]
    groups = [["new", "probe"], ["snmp", "plan"], ["snmp", "agent"]]
    for command in [[], *([name] for name in commands), *groups]:
        ended = perfkit(*command, "-h")

        assert ended.returncode == 0
        examples = [line for line in ended.stdout.splitlines() if line.strip().startswith("$ ")]
        assert len(examples) == 3, command
        assert max(map(len, ended.stdout.splitlines())) <= 80
        assert perfkit(*command, "--help").stdout == ended.stdout


def test_help_names_every_exit_code(perfkit: Run) -> None:
    text = " ".join(perfkit("--help").stdout.split())

    for code in ("0 fine", "1 found", "2 usage", "3 cannot run", "4 unclear", "5 answers differ"):
        assert code in text
