"""A user's own functions and commands: run, counted, held to their answers, ended in time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from leftovers import alive, until

from perfkit import scenario
from perfkit.errors import (
    AnswersDiffer,
    CannotRun,
    NotThere,
    PerfkitError,
    UnreadableFile,
    UsageError,
    VariantFailed,
)
from perfkit.result import Result, decode, encode
from perfkit.run.orchestrator import run

HEAD = 'title = "T"\nstory = "S"\n'

BENCH = """
    import json
    import os
    import sqlite3
    import time
    from dataclasses import dataclass
    from decimal import Decimal

    print("imported")


    @dataclass
    class Page:
        names: list
        total: Decimal


    def page(buyers=3):
        with open("calls", "a") as file:
            file.write("page ")
        names = []
        connection = sqlite3.connect("shop.db")
        for number in range(buyers):
            names += connection.execute("SELECT name FROM buyer WHERE id = ?", (number,)).fetchall()
        connection.close()
        return Page(names, Decimal("1.50"))


    def joined(buyers=3):
        connection = sqlite3.connect("shop.db")
        names = connection.execute("SELECT name FROM buyer WHERE id < ?", (buyers,)).fetchall()
        connection.close()
        return Page(names, Decimal("1.50"))


    def empty(buyers=3):
        return Page([], Decimal("1.50"))


    def setup(buyers=3):
        connection = sqlite3.connect("shop.db")
        connection.execute("CREATE TABLE buyer (id integer, name text)")
        rows = [(number, f"buyer {number}") for number in range(buyers)]
        connection.executemany("INSERT INTO buyer VALUES (?, ?)", rows)
        connection.commit()
        connection.close()


    def nothing():
        pass


    def ways(many=0):
        return os.environ["WAY"]


    def hang():
        time.sleep(1000)


    def compute():
        sum(range(10**12))


    def fail():
        raise ValueError("no such buyer")


    def clock():
        return time.perf_counter()


    def handle():
        return open(os.devnull)


    class Plain:
        def __init__(self):
            self.number = 7


    def plain():
        return Plain()


    def letters():
        return {"c", "a", "b"}


    async def later():
        pass


    def each():
        yield 1


    limit = 7
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a project with its code in src, and go there."""
    package = tmp_path / "src" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "bench.py").write_text(dedent(BENCH))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    # Only workers import a user's code.
    assert not {name for name in set(sys.modules) - before if name.startswith("shop")}


def measured(text: str, rounds: int = 0) -> Result:
    plan = scenario.decode(HEAD + text, "mine.toml").plan()
    return run(plan._replace(rounds=rounds))


def work(result: Result) -> dict[str, dict[str, int]]:
    return {
        variant.name: {name: counted.value for name, counted in variant.work.items()}
        for variant in result.variants
    }


def python(code: str) -> str:
    return f"run = {[sys.executable, '-c', code]!r}\n"


SHOP = 'setup = "shop.bench:setup"\n[params]\nbuyers = 5\n'


@pytest.mark.usefixtures("project")
def test_a_function_is_counted_exactly_and_its_answer_is_compared() -> None:
    result = measured('run = "shop.bench:page"\n' + SHOP)

    counted = work(result)["run"]
    assert counted["statements"] == 5
    assert counted["connections"] == 1
    assert "round_trips" not in counted
    assert all(one.exact for one in result.variants[0].work.values())
    assert result.probe == "shop.bench:page"
    assert (result.title, result.cause, result.answer) == ("T", "", "2 rows")
    assert {name: given.value for name, given in result.params.items()} == {"buyers": 5}
    assert result.component.place == "this interpreter"
    assert decode(encode(result), "x") == result


@pytest.mark.usefixtures("project")
def test_a_call_is_counted_without_anything_of_ours() -> None:
    counted = work(measured('run = "shop.bench:nothing"\n'))["run"]
    assert {name: value for name, value in counted.items() if value} == {"calls": 1}
    assert counted["statements"] == 0


@pytest.mark.usefixtures("project")
def test_memory_is_counted_on_request_and_counts_nothing_else_anew(project: Path) -> None:
    text = 'run = "shop.bench:page"\n' + SHOP
    plain = work(measured(text))["run"]
    (project / "shop.db").unlink()
    counted = work(measured("memory = true\n" + text))["run"]

    assert counted["peak_memory"] > 1_000
    assert {name: counted[name] for name in plain} == plain


@pytest.mark.usefixtures("project")
def test_variants_are_held_to_the_first_and_have_roles() -> None:
    result = measured(
        'setup = "shop.bench:setup"\n[run]\nold = "shop.bench:page"\n'
        'wrong_way = "shop.bench:page"\nnew = "shop.bench:joined"\n',
        rounds=1,
    )

    assert [(one.name, one.role) for one in result.variants] == [
        ("old", "naive"),
        ("wrong-way", "wrong lever"),
        ("new", "fixed"),
    ]
    assert [counted["statements"] for counted in work(result).values()] == [3, 3, 1]
    assert result.rounds == 1


@pytest.mark.usefixtures("project")
def test_another_answer_stops_the_run_unless_answers_are_ignored() -> None:
    text = '[run]\nold = "shop.bench:page"\nnew = "shop.bench:empty"\n'
    with pytest.raises(AnswersDiffer, match=r"'new' of .* returned another answer than 'old'"):
        measured('setup = "shop.bench:setup"\n' + text)

    # The data is still there.
    ignored = measured('answer = "ignore"\n' + text)
    assert ignored.answer == "nothing"


@pytest.mark.usefixtures("project")
def test_an_answer_that_changes_by_itself_is_named() -> None:
    with pytest.raises(AnswersDiffer, match="does not return the same answer twice") as caught:
        measured('run = "shop.bench:clock"\n')
    assert 'answer = "ignore"' in caught.value.fix


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("name", "answer"), [("nothing", "nothing"), ("plain", "2 rows"), ("letters", "3 rows")]
)
def test_answers_of_any_kind_are_compared_as_plain_values(name: str, answer: str) -> None:
    assert measured(f'run = "shop.bench:{name}"\n').answer == answer


@pytest.mark.usefixtures("project")
def test_an_answer_that_cannot_be_compared_says_what_to_do() -> None:
    with pytest.raises(VariantFailed, match="TextIOWrapper cannot be compared") as caught:
        measured('run = "shop.bench:handle"\n')
    assert "cannot pickle" in caught.value.why
    assert 'answer = "ignore"' in caught.value.fix
    measured('answer = "ignore"\nrun = "shop.bench:handle"\n')


@pytest.mark.usefixtures("project")
def test_variables_are_there_when_the_code_is_imported() -> None:
    text = '[run]\none = "shop.bench:ways"\n[environment]\nWAY = "far"\n'
    assert measured(text).answer == "text"
    assert "WAY" not in os.environ


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("shop.absent:page", NotThere, "No module named 'shop.absent'"),
        ("shop.bench:absent", NotThere, "no attribute 'absent'"),
        ("shop.bench:limit", VariantFailed, "is a int, not a function"),
        ("shop.bench:later", VariantFailed, "does nothing yet"),
        ("shop.bench:each", VariantFailed, "does nothing yet"),
        ("shop.bench:fail", VariantFailed, "ValueError"),
    ],
)
def test_functions_that_cannot_be_called_are_named(
    name: str, kind: type[PerfkitError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        measured(f'run = "{name}"\n')
    error = caught.value
    assert type(error) is kind
    assert said in f"{error.what} {error.why}"
    assert "perfkit explain" not in error.fix


@pytest.mark.usefixtures("project")
def test_a_module_that_imports_something_absent_is_broken_not_absent(project: Path) -> None:
    (project / "src" / "broken.py").write_text("import absent_of_all\n")
    with pytest.raises(VariantFailed, match="No module named 'absent_of_all'"):
        measured('run = "broken:page"\n')


def test_the_current_folder_goes_before_what_is_installed(project: Path) -> None:
    (project / "msgpack.py").write_text("def page(): return 1\n")
    (project / "json.py").unlink(missing_ok=True)
    assert measured('run = "msgpack:page"\n').answer == "number"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["hang", "compute"])
def test_a_function_that_does_not_come_back_is_ended_and_placed(name: str) -> None:
    with pytest.raises(VariantFailed, match="'run' did not come back in time") as caught:
        measured(f'timeout = "300ms"\nrun = "shop.bench:{name}"\n')
    assert 'bench.py", line' in caught.value.why
    assert f"in {name}" in caught.value.why
    assert "timeout =" in caught.value.fix


@pytest.mark.usefixtures("project")
def test_a_setup_that_fails_is_named() -> None:
    with pytest.raises(VariantFailed, match=r"the setup of .* raised ValueError") as caught:
        measured('run = "shop.bench:nothing"\nsetup = "shop.bench:fail"\n')
    assert "no such buyer" in caught.value.why


@pytest.mark.usefixtures("project")
def test_a_command_is_run_as_it_is_and_its_output_counted() -> None:
    result = measured(python("import sys; print('$HOME', *sys.argv[1:])") + "", rounds=1)

    assert work(result) == {"run": {"output_bytes": len("$HOME\n")}}
    assert result.answer == "row"
    assert result.component.place == "this machine"
    (sample,) = result.variants[0].samples
    assert min(sample.cpu) > 0


@pytest.mark.usefixtures("project")
def test_parameters_and_variables_reach_a_command() -> None:
    code = "import os, sys; print(sys.argv[1], os.environ['WAY'], '{other}')"
    text = f"run = {[sys.executable, '-c', code, '--buyers={buyers}']!r}\n"
    result = measured(text + '[params]\nbuyers = 5\n[environment]\nWAY = "far"\n')

    assert work(result)["run"]["output_bytes"] == len("--buyers=5 far {other}\n")


@pytest.mark.usefixtures("project")
def test_line_ends_make_no_other_answer_but_lines_do() -> None:
    one = [sys.executable, "-c", r"import os; os.write(1, b'a\nb\n')"]
    same = [sys.executable, "-c", r"import os; os.write(1, b'a\r\nb\r\n')"]
    other = [sys.executable, "-c", r"import os; os.write(1, b'a\nc\n')"]

    assert measured(f"[run]\none = {one!r}\nsame = {same!r}\n").answer == "2 rows"
    with pytest.raises(AnswersDiffer) as caught:
        measured(f"[run]\none = {one!r}\nother = {other!r}\n")
    assert caught.value.why == "1 of 2 items differ, the first at index 1"


@pytest.mark.usefixtures("project")
def test_a_command_that_fails_shows_its_last_words() -> None:
    code = "import sys; print(*range(50), sep=chr(10), file=sys.stderr); sys.exit(3)"
    with pytest.raises(VariantFailed, match="ended with exit code 3") as caught:
        measured(python(code))
    assert caught.value.why.splitlines() == [str(line) for line in range(42, 50)]
    assert "cd " in caught.value.fix


@pytest.mark.usefixtures("project")
def test_a_command_that_is_killed_says_by_what() -> None:
    with pytest.raises(VariantFailed, match="was ended by SIGKILL"):
        measured(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))


@pytest.mark.usefixtures("project")
def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(NotThere, match="is not there") as caught:
        measured('run = ["no-such-program", "x"]\n')
    assert "no program no-such-program" in caught.value.why
    with pytest.raises(NotThere) as caught:
        measured('run = ["python", "absent.py"]\n')
    assert "no file absent.py" in caught.value.why


# A child of its own session, which a process group does not reach.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"],
                         start_new_session={apart})
with open("family", "a") as file:
    print(os.getpid(), child.pid, file=file, flush=True)
{then}
"""


def family(project: Path) -> list[int]:
    return [int(word) for word in (project / "family").read_text().split()]


@pytest.mark.parametrize("apart", [False, True])
def test_a_command_that_hangs_is_killed_with_its_children(project: Path, apart: bool) -> None:  # noqa: FBT001
    code = FAMILY.format(apart=apart, then="time.sleep(1000)")
    (project / "app.py").write_text(code)
    with pytest.raises(VariantFailed, match="took longer than 1 s") as caught:
        measured('timeout = "1s"\nrun = ["python", "app.py"]\n')

    assert "timeout =" in caught.value.fix
    until(lambda: not any(map(alive, family(project))), "the command and its child are gone")


def test_a_child_that_a_command_leaves_behind_neither_holds_it_up_nor_stays(project: Path) -> None:
    (project / "app.py").write_text(FAMILY.format(apart=False, then="print('done')"))

    assert measured('timeout = "20s"\nrun = ["python", "app.py"]\n').answer == "row"
    until(lambda: not any(map(alive, family(project))), "the child is gone")


@pytest.mark.usefixtures("project")
def test_the_memory_of_a_command_is_its_own() -> None:
    result = measured(python("held = bytearray(200_000_000)"), rounds=1)

    (sample,) = result.variants[0].samples
    assert 200_000_000 < sample.peak_rss < 300_000_000


@pytest.mark.usefixtures("project")
def test_python_is_the_active_environments_or_ours(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'run = ["python", "-c", "import sys; print(sys.prefix)"]\n'
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert measured(text).variants[0].label.startswith(f"{sys.executable} -c")

    (project / "bin").mkdir()
    (project / "bin" / "python").symlink_to("/bin/echo")
    monkeypatch.setenv("VIRTUAL_ENV", str(project))
    assert measured(text).variants[0].label.startswith(f"{project}/bin/python -c")


SQL = """
    import os
    import psycopg


    def require_confined(connection):
        (schema,) = connection.execute("SELECT current_schema()").fetchone()
        assert schema.startswith("perfkit_"), schema


    def setup():
        with psycopg.connect() as connection:
            require_confined(connection)
            connection.execute("CREATE TABLE buyer AS SELECT generate_series(1, 5) AS id")


    def page():
        with psycopg.connect(os.environ["PERFKIT_DSN"]) as connection:
            require_confined(connection)
            return connection.execute("SELECT id FROM buyer").fetchall()


    if __name__ == "__main__":
        print(len(page()))
"""


@pytest.mark.usefixtures("without_variables", "place")
def test_functions_find_the_server_that_the_scenario_asks_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "sql.py").write_text(dedent(SQL))
    # What the user has told libpq is of another server.
    monkeypatch.setenv("PGSERVICE", "of-another-server")

    result = measured('backend = "postgres"\nsetup = "sql:setup"\nrun = "sql:page"\n')

    counted = work(result)["run"]
    assert (counted["statements"], counted["rows"], counted["connections"]) == (4, 6, 1)
    assert result.component.product == "PostgreSQL"


@pytest.mark.usefixtures("without_variables", "place")
def test_commands_find_it_too(project: Path) -> None:
    (project / "sql.py").write_text(dedent(SQL))
    setup = [sys.executable, "-c", "import sql; sql.setup()"]

    result = measured(f'backend = "postgres"\nsetup = {setup!r}\nrun = ["python", "sql.py"]\n')

    assert work(result) == {"run": {"output_bytes": len("5\n")}}


@pytest.mark.usefixtures("project")
def test_a_distance_without_a_server_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to be far away from"):
        measured('rtt = "2ms"\nrun = "shop.bench:nothing"\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither probe nor run"),
        ('probe = "db-fetch"\nrun = "a:b"\n', "both probe and run"),
        ("[run]\n", "[run] is empty"),
        ('run = "python app.py"\n', 'run = ["python", "app.py"]'),
        ('run = "bench"\n', "is no function"),
        ('run = "bench:"\n', "is no function"),
        ("run = []\n", "empty command"),
        ('run = [""]\n', "empty command"),
        ("run = 7\n", "Expected"),
        ('[run]\na = "a:b"\nc = ["x"]\n', "both functions and commands"),
        ('setup = "a:b"\nrun = ["x"]\n', "both functions and commands"),
        ('[run]\na-b = "a:b"\na_b = "a:b"\n', "'a-b' twice"),
        ('[run]\n"a b" = "a:b"\n', "called 'a b'"),
        ('[run]\nbase = "a:b"\n', "called 'base'"),
        ('[run]\nold = "a:b"\nnaive = "a:b"\n', "in checks 'naive' is the first"),
        ('[run]\nold = "a:b"\nnew = "a:b"\nfixed = "a:b"\n', "in checks 'naive' is the first"),
        ('timeout = "2"\nrun = "a:b"\n', "no duration"),
        ('timeout = "0s"\nrun = "a:b"\n', "leaves no time"),
        ('answer = "maybe"\nrun = "a:b"\n', "Invalid enum value"),
        ('run = ["x", "{orders}"]\n[params]\nordrs = 7\n', "no command has a place for"),
        ('timout = "2s"\nrun = "a:b"\n', "did you mean 'timeout'"),
        ('probe = "db-fetch"\ntimeout = "2s"\n', "a probe takes no timeout"),
        ('probe = "db-fetch"\nanswer = "ignore"\n', "a probe takes no answer"),
        ('probe = "db-fetch"\nsetup = "a:b"\n', "a probe takes no setup"),
        ('probe = "db-fetch"\nmemory = true\n', "a probe takes no memory"),
        ('run = ["x"]\nmemory = true\n', "memory = true is for functions"),
        ('probe = "db-fetch"\n[environment]\nA = "b"\n', "a probe takes no environment"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        scenario.decode(HEAD + text, "mine.toml")
    error = caught.value
    assert said in f"{error.what}\n{error.why}\n{error.fix}"
    assert error.what.startswith("mine.toml")


@pytest.mark.parametrize(
    ("target", "text", "said"),
    [
        ("run", "statments <= 3", "did you mean 'statements'"),
        ("new", "statements <= 3", "no variant 'new'"),
    ],
)
def test_checks_of_own_code_are_held_to_what_is_counted(target: str, text: str, said: str) -> None:
    read = scenario.decode(f'{HEAD}run = "a:b"\n[checks]\n{target} = ["{text}"]\n', "mine.toml")
    with pytest.raises(UnreadableFile, match=said):
        read.expected("mine.toml")


def test_roles_stand_for_the_variants_of_own_code() -> None:
    read = scenario.decode(
        HEAD + '[run]\nold = "a:b"\nwrong-way = "a:c"\nnew = "a:d"\n'
        '[checks]\n"fixed/naive" = ["time < 0.5x"]\nwrong = ["statements > 3"]\n',
        "mine.toml",
    )
    assert [str(check) for check in read.expected("mine.toml")] == [
        "new/old: time < 0.5x",
        "wrong-way: statements > 3",
    ]
    assert read.measures == "a:b, a:c, a:d"


def test_what_another_process_needs_can_be_pickled() -> None:
    import pickle

    probe: Any = scenario.decode(HEAD + 'run = "a:b"\n', "mine.toml").plan().probe
    assert pickle.loads(pickle.dumps(probe.source))().name == "a:b"
    with pytest.raises(ValueError, match="is not among its counters"):
        type(probe)(name="x", title="", backend=probe.backend, params=dict, work={}, cause="")


def test_an_error_of_ours_keeps_its_words_across_the_process(project: Path) -> None:
    with pytest.raises(CannotRun) as caught:
        measured('run = "shop.bench:later"\n')
    assert caught.value.what.startswith("'run': ")
    assert "asyncio.run" in caught.value.fix
    assert project.is_dir()
