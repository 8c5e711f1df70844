"""The project that the gates of `gate_false_alarms` watch: a git repository with four commits.

All of them render a page with the same function and give the same answer; what differs is how much
there is to do. `same` differs from `base` in a comment, `ten` has 10 % more orders, `quarter` 25 %.
The page of `pages.py` asks its database once at `base`, and once more at `planted`.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ORDERS = {"base": 2_500, "same": 2_500, "ten": 2_750, "quarter": 3_125, "planted": 2_500}
"""On the page, by commit; 2,500 take two to three milliseconds."""
KINDS = ("same", "ten", "quarter")
"""The commits that are compared with `base` by time."""
CALLS = 100
"""Calls in the program for hyperfine, so that starting Python is a small part of it."""

WORK = '''"""The code under test, as of {commit}."""

import json

ORDERS = {orders}


def render_page() -> str:
    """Render a page of orders; the answer does not tell how many."""
    orders = [
        {{"id": number, "buyer": f"buyer {{number % 97}}", "cents": number * 7 % 1000}}
        for number in range(ORDERS)
    ]
    totals: dict[str, int] = {{}}
    for order in orders:
        totals[order["buyer"]] = totals.get(order["buyer"], 0) + order["cents"]
    page = json.loads(json.dumps({{"orders": orders, "totals": totals}}))
    return ", ".join(page)
'''

PAGES = '''"""A page that reads its database, as of {commit}."""

import sqlite3

ORDERS = 50


def load_page() -> list[tuple[int, str]]:
    """Return the orders with the names of their customers."""
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE orders AS SELECT 1 AS id, 'Ada' AS name")
        page = database.execute("SELECT id, name FROM orders").fetchall(){planted}
    database.close()
    return page
'''
PLANTED = """
        database.execute("SELECT count(*) FROM orders").fetchall()"""

FILES = {
    "test_work.py": """from work import render_page


def test_render_page(benchmark):
    benchmark(render_page)
""",
    "pytest.ini": "[pytest]\npythonpath = .\n",
    "pyperf_work.py": """import pyperf
from work import render_page

if __name__ == "__main__":
    pyperf.Runner().bench_func("render_page", render_page)
""",
    "program.py": f"""from work import render_page

for _ in range({CALLS}):
    render_page()
""",
    "asv_work/__init__.py": "",
    "asv_work/bench_work.py": """from work import render_page


def time_render_page():
    render_page()
""",
    "gate5.toml": """title = "The work takes no longer"
story = "Watched by the benchmark of false alarms."
run = "work:render_page"

[checks]
"run@base" = ["time < 5%"]
""",
}
FILES["gate10.toml"] = FILES["gate5.toml"].replace("5%", "10%")
FILES["statements.toml"] = """title = "The page asks no more often"
story = "Watched by the benchmark of false alarms."
run = "pages:load_page"

[checks]
"run@base" = ["statements <= 1x"]
"""


@dataclass(frozen=True)
class Project:
    """Where the checkout of each commit lies, and what each commit is called."""

    folder: Path
    commits: dict[str, str]

    def checkout(self, commit: str) -> Path:
        """Return the folder in which a commit is checked out."""
        return self.folder / commit


def build(folder: Path) -> Project:
    """Commit the project, and check every commit out as CI does: a clone of its own."""
    origin = folder / "origin"
    origin.mkdir(parents=True)
    git(origin, "init", "-q", "-b", "base")
    commits = {}
    for commit, orders in ORDERS.items():
        if commit != "base":
            git(origin, "checkout", "-q", "-b", commit, "base")
        planted = PLANTED if commit == "planted" else ""
        files = {
            "work.py": WORK.format(commit=commit, orders=orders),
            "pages.py": PAGES.format(commit=commit, planted=planted),
            **FILES,
        }
        for name, text in files.items():
            path = origin / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        git(origin, "add", "--all")
        git(origin, "commit", "-q", "-m", commit)
        commits[commit] = git(origin, "rev-parse", "HEAD")
    for commit in commits:
        git(folder, "clone", "-q", "--branch", commit, str(origin), commit)
    return Project(folder, commits)


def git(folder: Path, *words: str) -> str:
    """Run git as somebody, without the settings of whoever is at the keyboard."""
    somebody = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    done = subprocess.run(
        ["git", *somebody, *words],
        cwd=folder,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
