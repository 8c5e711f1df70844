"""`perfkit sweep`: what it measures, what it writes, and what it refuses before it starts."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from perfkit.sweep import decode

from .conftest import Run

ORDERS = "orders=8,16,32"
LOGINS = ("sweep", "py-gil", "threads=1,2,4", "-s", "logins=1", "-s", "turns=2")
"""What needs no server, and little time."""
COUNTED = (*LOGINS, "--only", "derive-in-c", "--rounds", "0")


def test_a_sweep_counts_names_and_writes(
    perfkit: Run, tmp_path: Path, nothing_left: Callable[[], list[str]]
) -> None:
    ended = perfkit(
        *("sweep", "db-fetch", "orders=32,8,16", "--only", "ask-once", "--rounds", "1"),
        *("--json", "-o", "a.json", "-o", "a.md", "-o", "a.svg"),
    )

    sweep = decode(ended.stdout.encode(), "stdout")
    naive, fix = sweep.curves
    trips = [one.naive.work["round_trips"].value for one in sweep.results]
    assert ended.returncode == 0
    assert ended.stdout == (tmp_path / "a.json").read_text()
    assert (sweep.values, trips) == ((8, 16, 32), [9, 17, 33])
    assert (naive.cause and naive.cause.growth, fix.cause and fix.cause.growth) == (
        "linear",
        "constant",
    )
    assert sweep.timed
    assert "orders=8: counting 1/2: one SELECT per order" in ended.stderr
    assert "orders=32: counting 2/2: one JOIN for the page" in ended.stderr
    assert "\ntiming: every variant once a round" in ended.stderr
    assert (tmp_path / "a.md").read_text().startswith("<!-- perfkit.sweep/1 -->\n")
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert nothing_left() == []

    shown = perfkit("show", "a.json", "-o", "a.svg", "-o", "a.md", COLUMNS="80")
    checked = perfkit("recheck", "a.json")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "one SELECT per order" in shown.stdout
    assert perfkit("show", "a.json", "--json").stdout == ended.stdout
    assert checked.returncode == 0
    assert checked.stdout == "same     ask-per-row\nsame     ask-once\n"


def test_a_changed_curve_is_found(perfkit: Run, tmp_path: Path) -> None:
    ended = perfkit(*COUNTED, "--json")
    file = tmp_path / "a.json"
    changed = ended.stdout.replace('"growth": "constant"', '"growth": "linear"', 1)
    file.write_text(changed)

    checked = perfkit("recheck", "a.json")

    assert changed != ended.stdout
    assert checked.returncode == 1
    assert (
        "differs  derive-in-turn: its curve or verdicts are not those that its values give\n"
        in checked.stdout
    )


def test_a_changed_verdict_is_found(perfkit: Run, tmp_path: Path) -> None:
    perfkit(*LOGINS, "--only", "derive-in-c", "--rounds", "1", "-o", "a.json")
    file = tmp_path / "a.json"
    told = json.loads(file.read_text())
    told["results"][-1]["verdicts"][0]["typical"]["ratio"] = 1000
    file.write_text(json.dumps(told))

    checked = perfkit("recheck", "a.json")

    assert checked.returncode == 1
    assert "differs  derive-in-c: its curve or verdicts are not those" in checked.stdout


def test_a_full_disk_behind_stdout_does_not_lose_the_file(perfkit: Run, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "perfkit", *COUNTED, "--json", "-o", "a.json"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
            timeout=60,
        )

    assert ended.returncode == 3
    assert "error: cannot write to stdout\n  why  No space left on device\n" in ended.stderr
    assert perfkit("show", "a.json").returncode == 0


def test_the_way_to_the_component_is_swept(perfkit: Run) -> None:
    ended = perfkit(
        *("sweep", "db-fetch", "rtt=0,3ms", "-s", "orders=4"),
        *("--only", "ask-once", "--rounds", "0", "--json"),
    )

    sweep = decode(ended.stdout.encode(), "stdout")
    near, far = (one.component for one in sweep.results)
    assert (sweep.parameter, sweep.unit, sweep.values) == ("rtt", "seconds", (0.0, 0.003))
    assert (near.rtt_asked, far.rtt_asked) == (0, 0.003)
    assert far.rtt is not None
    assert far.rtt > 0.003


@pytest.mark.parametrize(
    ("arguments", "what", "help_"),
    [
        (("rows=1,2",), "db-fetch has no numbers called 'rows'", "orders (orders on the page"),
        (("order=1,2",), "did you mean 'orders'?", "orders (orders on the page, 1 to 50,000), rtt"),
        (("orders",), "'orders' is no sweep", "perfkit sweep db-fetch orders=50,100,200,400"),
        (("orders=5",), "'orders=5' is no sweep", "2 to 12 values, not 1"),
        (("orders=" + ",".join(map(str, range(1, 14))),), "is no sweep", "not 13"),
        (("orders=5,x",), "orders=x: not a count", "'x' is no number"),
        (("orders=0,5",), "orders=0 is refused by db-fetch", "1 to 50,000"),
        (("orders=0,5",), "orders=0", "fix  perfkit sweep db-fetch orders=50,100,200,400\n"),
        (
            ("rtt=0ms,1ms", "-s", "order=3"),
            "no parameter 'order' in db-fetch",
            "fix  perfkit sweep db-fetch rtt=0ms,1ms -s orders=200\n",
        ),
        (("orders=5,10M",), "orders=10000000 is refused by db-fetch", "1 to 50,000"),
        (("orders=5,1k,1000",), "orders=1000 is there twice", "every value has one place"),
        (("orders=1,2", "-s", "orders=3"), "orders is given twice", "leave out -s orders=3"),
        (("rtt=0ms,1ms", "--rtt", "1ms"), "rtt is given twice", "leave out --rtt"),
        (("rtt=0ms,1",), "rtt 1: not a duration", "'1' has no unit"),
        (("orders=1,2", "--only", "ask"), "db-fetch has no variant 'ask'", "ask-once"),
        (
            ("orders=1,2", "-o", "a.xml"),
            "no report format ends in '.xml' here",
            ".json, .md or .svg",
        ),
        (("orders=1,2", "-o", "no/a.svg"), "there is no folder no", "mkdir -p no"),
    ],
)
def test_what_cannot_be_swept_is_refused_at_once(
    arguments: tuple[str, ...], what: str, help_: str, perfkit: Run
) -> None:
    ended = perfkit("sweep", "db-fetch", *arguments)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert what in ended.stderr
    assert help_ in ended.stderr
    assert "starting" not in ended.stderr


@pytest.mark.parametrize("threads", ["0", "10000"])
def test_nobody_and_a_crowd_are_refused_before_anything_starts(threads: str, perfkit: Run) -> None:
    ended = perfkit("sweep", "py-gil", f"threads=1,{threads}")

    assert ended.returncode == 2
    assert f"threads={threads} is refused by py-gil" in ended.stderr
    assert "starting" not in ended.stderr


def test_a_probe_that_is_not_there_is_named(perfkit: Run) -> None:
    ended = perfkit("sweep", "db-fetsch", ORDERS)

    assert ended.returncode == 2
    assert "db-fetch" in ended.stderr


def test_a_picture_needs_its_library_before_anything_is_measured(
    perfkit: Run, tmp_path: Path
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(name='matplotlib')")

    ended = perfkit(*COUNTED, "-o", "a.svg", PYTHONPATH=str(tmp_path))

    assert ended.returncode == 3
    assert "pip install 'perfkit[plot]'" in ended.stderr
    assert "starting" not in ended.stderr


def test_ctrl_c_draws_the_rounds_that_there_are(
    environment: dict[str, str], nothing_left: Callable[[], list[str]], tmp_path: Path
) -> None:
    terminal = pexpect.spawn(
        sys.executable,
        [
            *("-m", "perfkit", *LOGINS, "--only", "derive-in-c"),
            *("--rounds", "40", "-o", "part.json"),
        ],
        cwd=str(tmp_path),
        env=environment,
        encoding="utf-8",
        dimensions=(60, 100),
        timeout=90,
    )
    terminal.expect("timing: 1 rounds")
    terminal.sendintr()
    terminal.expect("interrupted after")
    terminal.expect(pexpect.EOF)
    terminal.close()

    part = decode((tmp_path / "part.json").read_bytes(), "part.json")
    assert terminal.exitstatus == 130
    assert part.stopped == "interrupted"
    assert 1 <= part.rounds < 40
    assert nothing_left() == []


def test_a_signal_while_the_values_are_counted_cleans_up(
    environment: dict[str, str], nothing_left: Callable[[], list[str]]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "perfkit", "sweep", "db-fetch", ORDERS],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("orders=16: counting 1/"):
            break
    process.send_signal(signal.SIGTERM)
    printed, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert printed == ""
    assert "interrupted before anything was measured" in said
    assert nothing_left() == []


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("sweep db-fet", ["db-fetch"]),
        ("sweep db-fetch o", ["orders="]),
        ("sweep db-fetch r", ["rtt="]),
        ("sweep db-fetch orders=1,2 --only ask-o", ["ask-once"]),
        ("sweep no-such o", []),
    ],
)
def test_probes_parameters_and_variants_are_completed(
    words: str, completed: list[str], environment: dict[str, str]
) -> None:
    asked = {"_PERFKIT_COMPLETE": "complete_bash", "COMP_WORDS": f"perfkit {words}"}
    ended = subprocess.run(
        [Path(sys.executable).with_name("perfkit")],
        env=environment | asked | {"COMP_CWORD": str(len(words.split()))},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )

    assert ended.stdout.split() == completed
    assert ended.stderr == ""


def test_everything_a_json_holds_is_of_the_file_format(perfkit: Run) -> None:
    ended = perfkit(*COUNTED, "--json", "-q")

    told = json.loads(ended.stdout)
    assert (told["schema"], told["stopped"], ended.stderr) == ("perfkit.sweep/1", "counted", "")
