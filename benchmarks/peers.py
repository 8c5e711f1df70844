"""The tools that people gate with today, run for real, and what became red.

Every function measures the base once and then each change, as such a job would: it returns the
verdicts by rule and limit, and the figures that the tool itself saved. Settings are the tool's
own defaults. `false_alarm_table` says what was taken for red where the exit code does not tell.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from gated_project import Project

LIMITS = (5, 10)
"""In percent."""
TIMEOUT = 600
GRACE = 5
"""Seconds that a tool has to clean up when it is stopped."""


@dataclass(frozen=True)
class Comparison:
    """One change against the base: verdicts by rule and limit, as text, and the figures."""

    verdicts: dict[str, dict[str, str]]
    seconds: float
    figures: Any


OPEN = {
    "asv continuous": "skipped: needs a package index to build its environments from, do"
    " `asv continuous --factor 1.05 BASE CHANGE` in a project that has one",
    "benchstat": "skipped: needs Go and a Go benchmark, do `benchstat OLD NEW` there; its rule is"
    " re-implemented above",
    "github-action-benchmark": "skipped: needs a workflow run of GitHub, do"
    " `alert-threshold: '105%'` there; it compares pytest-benchmark's means, and so says the same"
    " as `mean:5%`",
}
"""What cannot run here."""


OURS = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
"""The environment of every tool: what it would tell GitHub is not worth a report there."""


def call(
    words: Sequence[str | Path], *, at: Path, fine: Sequence[int] = (0,), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raises RuntimeError unless its exit code is a `fine` one.

    Whatever ends the wait, the command and its children end too.
    """
    with subprocess.Popen(
        [str(word) for word in words],
        cwd=at,
        env={**OURS, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # In a session of its own, so that Ctrl-C reaches the benchmark alone.
        start_new_session=True,
    ) as process:
        try:
            out, error = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired as late:
            raise RuntimeError(f"{words} took longer than {TIMEOUT} s") from late
        finally:
            end(process)
    if process.returncode not in fine:
        raise RuntimeError(f"{words} ended with {process.returncode}\n{out}\n{error}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def end(process: subprocess.Popen[str]) -> None:
    """End a command that leads its own session, if it still runs, and what it started."""
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        os.killpg(process.pid, signal.SIGKILL)


def colour(*, red: bool) -> str:
    """Name a verdict."""
    return "red" if red else "green"


def by_ratio(ratio: float) -> dict[str, str]:
    """Hold a ratio to every limit."""
    return {str(limit): colour(red=ratio > 1 + limit / 100) for limit in LIMITS}


def run_pytest_benchmark(
    project: Project, changes: Sequence[str], folder: Path
) -> dict[str, Comparison]:
    """Save the base, then compare each change with it and let it fail.

    Both limits are given to one run, which says of each whether it failed.
    """
    words = [sys.executable, "-m", "pytest", "-q", f"--benchmark-storage=file://{folder}"]
    begun = time.perf_counter()
    call([*words, "--benchmark-save=base"], at=project.checkout("base"))
    base_seconds = time.perf_counter() - begun
    base = pytest_stats(folder, "base")
    found = {}
    for change in changes:
        begun = time.perf_counter()
        gate = ["--benchmark-compare=0001", "--benchmark-compare-fail", "mean:5%", "min:5%"]
        done = call(
            [*words, f"--benchmark-save={change}", *gate],
            at=project.checkout(change),
            fine=(0, 1),
        )
        seconds = base_seconds + time.perf_counter() - begun
        failed = re.findall(r"Field '(\w+)' has failed", done.stderr)
        if bool(failed) != bool(done.returncode):
            raise RuntimeError(f"pytest failed for another reason:\n{done.stdout}\n{done.stderr}")
        stats = pytest_stats(folder, change)
        found[change] = Comparison(
            {
                name: by_ratio(stats[name] / base[name]) | {"5": colour(red=name in failed)}
                for name in ("mean", "min")
            },
            seconds,
            {"base": base, "change": stats},
        )
    return found


def pytest_stats(folder: Path, name: str) -> dict[str, float]:
    """Read what pytest-benchmark saved of its one test."""
    (path,) = folder.glob(f"*/*_{name}.json")
    (benchmark,) = json.loads(path.read_bytes())["benchmarks"]
    return {key: benchmark["stats"][key] for key in ("mean", "min", "median", "stddev", "rounds")}


def run_pyperf(
    project: Project, changes: Sequence[str], folder: Path, options: Sequence[str] = ()
) -> dict[str, Comparison]:
    """Time the base, then each change, and compare; its exit code is always 0."""

    def measure(commit: str) -> float:
        begun = time.perf_counter()
        script: list[str | Path] = [
            sys.executable,
            "pyperf_work.py",
            "-q",
            *options,
            "-o",
            folder / commit,
        ]
        call(script, at=project.checkout(commit))
        return time.perf_counter() - begun

    base_seconds = measure("base")
    base = pyperf_values(folder / "base")
    found = {}
    for change in changes:
        seconds = base_seconds + measure(change)
        said = {}
        for limit in LIMITS:
            compare: list[str | Path] = [
                "compare_to",
                f"--min-speed={limit}",
                folder / "base",
                folder / change,
            ]
            out = call([sys.executable, "-m", "pyperf", *compare], at=folder).stdout
            said[str(limit)] = colour(red="slower" in out)
        values = pyperf_values(folder / change)
        means = [[fmean(process) for process in side] for side in (base, values)]
        found[change] = Comparison(
            {"compare_to": said, "benchstat": benchstat(*means)},
            seconds,
            {"base": base, "change": values},
        )
    return found


def pyperf_values(path: Path) -> list[list[float]]:
    """Read pyperf's values, process by process; calibrating ones have none."""
    (benchmark,) = json.loads(path.read_bytes())["benchmarks"]
    return [run["values"] for run in benchmark["runs"] if "values" in run]


def benchstat(base: Sequence[float], change: Sequence[float]) -> dict[str, str]:
    """Apply benchstat's rule: the medians differ by more, and Mann-Whitney finds p < 0.05."""
    from asv._stats import mann_whitney_u

    _, chance = mann_whitney_u(list(base), list(change))
    verdicts = by_ratio(median(change) / median(base))
    return verdicts if chance < 0.05 else dict.fromkeys(verdicts, colour(red=False))


def run_hyperfine(project: Project, changes: Sequence[str], folder: Path) -> dict[str, Comparison]:
    """Time all programs in one call; it has no gate, so the rules are ours."""
    commits = ["base", *changes]
    saved = folder / "hyperfine.json"
    begun = time.perf_counter()
    commands = [f"'{sys.executable}' {commit}/program.py" for commit in commits]
    call(["hyperfine", "--export-json", saved, *commands], at=project.folder)
    seconds = (time.perf_counter() - begun) * 2 / len(commits)
    base, *others = [each["times"] for each in json.loads(saved.read_bytes())["results"]]
    found = {}
    for change, times in zip(changes, others, strict=True):
        ratio = fmean(times) / fmean(base)
        deviation = ratio * math.hypot(stdev(base) / fmean(base), stdev(times) / fmean(times))
        found[change] = Comparison(
            {"ratio": by_ratio(ratio), "ratio - sd": by_ratio(ratio - deviation)},
            seconds,
            {"base": base, "change": times},
        )
    return found


def run_asv(project: Project, changes: Sequence[str], folder: Path) -> dict[str, Comparison]:
    """Run the base, then each change, in this Python, and compare; its exit code is always 0."""

    def asv(command: str, commit: str, *words: str) -> str:
        checkout = project.checkout(commit)
        settings = folder / f"{commit}.json"
        settings.write_text(
            json.dumps(
                {
                    "version": 1,
                    "project": "work",
                    "repo": str(checkout),
                    "branches": ["HEAD"],
                    "environment_type": "existing",
                    "benchmark_dir": str(checkout / "asv_work"),
                    "results_dir": str(folder / "results"),
                }
            )
        )
        return call(
            [sys.executable, "-m", "asv", command, "--config", settings, *words],
            at=checkout,
            # It keeps what it knows of the machine at home.
            HOME=str(folder),
            ASV_PYTHONPATH=str(checkout),
        ).stdout

    def measure(commit: str) -> float:
        begun = time.perf_counter()
        words = ["--python=same", "--record-samples", "--set-commit-hash", project.commits[commit]]
        asv("run", commit, *words)
        return time.perf_counter() - begun

    asv("machine", "base", "--yes")
    base_seconds = measure("base")
    base = asv_samples(folder, project.commits["base"])
    found = {}
    for change in changes:
        seconds = base_seconds + measure(change)
        commits = [project.commits["base"], project.commits[change]]
        said = {}
        for limit in LIMITS:
            out = asv("compare", change, "--factor", str(1 + limit / 100), *commits)
            marks = re.findall(r"^\| *(\S?) *\|.*\.time_render_page", out, re.MULTILINE)
            if marks not in (["+"], ["-"], [""]):
                raise RuntimeError(f"asv did not compare:\n{out}")
            said[str(limit)] = colour(red=marks == ["+"])
        samples = asv_samples(folder, project.commits[change])
        found[change] = Comparison({"compare": said}, seconds, {"base": base, "change": samples})
    return found


def asv_samples(folder: Path, commit: str) -> list[float]:
    """Read the samples that asv recorded of its one benchmark."""
    (path,) = folder.glob(f"results/*/{commit[:8]}-*.json")
    saved = json.loads(path.read_bytes())
    (row,) = saved["results"].values()
    (samples,) = row[saved["result_columns"].index("samples")]
    return list(samples)


@dataclass(frozen=True)
class Peer:
    """A tool: how it is run, and what to do where it is missing."""

    run: Callable[[Project, Sequence[str], Path], dict[str, Comparison]]
    install: str
    settings: str = "default settings"
    seldom: int = 1
    """A slow tool has its turn only in every so many of the trials that have peers."""


def peers(*, fast: bool) -> dict[str, Peer]:
    """Return all of them; `fast` has pyperf start half as many processes."""
    options = ("--fast",) if fast else ()
    return {
        "pytest-benchmark": Peer(run_pytest_benchmark, "pip install pytest-benchmark"),
        "hyperfine": Peer(run_hyperfine, "apt install hyperfine"),
        "asv": Peer(run_asv, "pip install asv", "--python=same"),
        "pyperf": Peer(
            partial(run_pyperf, options=options),
            "pip install pyperf",
            "--fast" if fast else "default settings",
            seldom=2,
        ),
    }


def installed(tool: str) -> str:
    """Return the version of a tool, or nothing where it is missing."""
    with suppress(PackageNotFoundError):
        return version(tool)
    if shutil.which(tool) is None:
        return ""
    return call([tool, "--version"], at=Path.cwd()).stdout.split()[-1]
