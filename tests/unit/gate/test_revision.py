"""Another revision is checked out beside the project, and nothing is written into the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import projects
import pytest
from leftovers import folders
from projects import Project

from perfkit.errors import CannotRun, Exit, PerfkitError, UsageError
from perfkit.gate.revision import LINES, Revision, checked_out
from perfkit.run.course import BASE, CHANGE, Side

STORY = "shop/story.py"


def sides(revision: Revision) -> tuple[Path, Path]:
    """Return the folders of the change and of the base."""
    change, base = revision.sides
    assert (change.name, base.name) == (CHANGE, BASE)
    assert change.folder is not None
    assert base.folder is not None
    return change.folder, base.folder


def refused(name: str, *build: str) -> PerfkitError:
    with pytest.raises(PerfkitError) as caught, checked_out(name, build):
        pass
    return caught.value


def imported(side: Side, module: str) -> str:
    """Return the file that a side's workers would import a module from."""
    code = "import sys, importlib; print(importlib.import_module(sys.argv[1]).__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {side.path!r}; {code}", module],
        cwd=side.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


# What is checked out


def test_the_base_has_what_was_committed_and_the_change_what_lies_there(project: Project) -> None:
    committed = (project.folder / STORY).read_text()
    project.commit()
    project.edit("return items", "return 0 + items")

    with checked_out("HEAD") as revision:
        change, base = sides(revision)
        assert change == project.folder
        assert (base / STORY).read_text() == committed
        assert [imported(side, "shop.story") for side in revision.sides] == [
            str(project.folder / STORY),
            str(base / STORY),
        ]

    assert not base.exists()


@pytest.mark.parametrize("name", ["main", "v1", "HEAD~1", "old branch's commit"])
def test_a_revision_may_be_named_in_any_way_that_git_knows(project: Project, name: str) -> None:
    first = project.commit()
    project.git("tag", "-a", "v1", "-m", "annotated")
    project.git("branch", "old")
    project.commit("second")
    project.git("checkout", "-q", "-b", "feature")
    project.git("branch", "-f", "main", first)
    asked = first[:9] if name == "old branch's commit" else name

    with checked_out(asked) as revision:
        assert revision.sha == first
        assert str(revision) == (asked if first.startswith(asked) else f"{name} ({first[:10]})")


def test_a_subfolder_is_compared_with_the_same_subfolder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = projects.make(project.folder / "services" / "shop")
    project.commit()
    inside.edit("return items", "return 0 + items")
    monkeypatch.chdir(inside.folder)

    with checked_out("HEAD") as revision:
        change, base = sides(revision)
        assert change == inside.folder
        assert base.parts[-2:] == ("services", "shop")
        assert "return items" in (base / STORY).read_text()
        assert imported(revision.sides[1], "shop.story") == str(base / STORY)


def test_a_folder_that_came_later_cannot_be_compared(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit()
    later = project.folder / "later"
    later.mkdir()
    monkeypatch.chdir(later)

    error = refused("HEAD")

    assert (error.what, error.exit) == ("HEAD has no folder later", Exit.CANNOT_RUN)


def test_a_worktree_will_do(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.commit()
    project.git("worktree", "add", "-q", str(tmp_path / "tree"))
    monkeypatch.chdir(tmp_path / "tree")

    with checked_out(first) as revision:
        assert (sides(revision)[1] / STORY).is_file()


def test_a_shallow_checkout_will_do_where_it_has_the_revision(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit()
    project.edit("return items", "return 0 + items")
    second = project.commit("second")
    project.commit("third")
    shallow = tmp_path / "shallow"
    project.git("clone", "-q", "--depth", "2", f"file://{project.folder}", str(shallow))
    monkeypatch.chdir(shallow)

    with checked_out("HEAD~1") as revision:
        assert revision.sha == second
        assert "return 0 + items" in (sides(revision)[1] / STORY).read_text()
    error = refused("HEAD~2")

    assert error.exit is Exit.USAGE
    assert "shallow" in error.why
    assert "fetch-depth: 0" in error.fix
    assert "GIT_DEPTH: 0" in error.fix


def test_a_checkout_without_all_files_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.commit()
    project.edit("return items", "return 0 + items")
    project.commit("second")
    project.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    project.git("clone", "-q", "--filter=blob:none", f"file://{project.folder}", str(partial))
    monkeypatch.chdir(partial)

    with checked_out("HEAD"):
        pass
    error = refused(first)

    # git itself ends with 0 here.
    assert error.exit is Exit.CANNOT_RUN
    assert STORY in error.why
    assert "filter" in error.fix


# What each side imports


def test_sources_in_src_and_entries_below_the_project_are_those_of_the_side(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("src/till/__init__.py", "")
    project.write("tools/scales.py", "")
    project.commit()
    monkeypatch.syspath_prepend(project.folder / "tools")

    with checked_out("HEAD") as revision:
        for side in revision.sides:
            assert side.folder is not None
            assert imported(side, "till") == str(side.folder / "src/till/__init__.py")
            assert imported(side, "scales") == str(side.folder / "tools/scales.py")


def test_what_is_no_part_of_the_revision_stays_on_the_path(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(".gitignore", "/.venv\n")
    packages = project.write(".venv/lib/site-packages/dependency.py", "").parent
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    project.commit()
    monkeypatch.syspath_prepend(packages)
    monkeypatch.syspath_prepend(elsewhere)

    with checked_out("HEAD") as revision:
        for side in revision.sides:
            assert {str(packages), str(elsewhere)} <= set(side.path)
            assert imported(side, "dependency") == str(packages / "dependency.py")


def test_folders_beside_the_project_are_those_of_the_side(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = project.write("common/engine.py", "").parent
    (project.folder / "service").mkdir()
    project.write("service/app.py", "")
    project.commit()
    monkeypatch.syspath_prepend(beside)
    monkeypatch.setenv("PYTHONPATH", f"{beside}{os.pathsep}/usr/lib/nowhere")
    monkeypatch.chdir(project.folder / "service")

    with checked_out("HEAD") as revision:
        for side in revision.sides:
            assert side.folder is not None
            assert side.root == side.folder.parent
            assert imported(side, "engine") == str(side.root / "common" / "engine.py")
            assert side.environment["PYTHONPATH"].split(os.pathsep) == [
                str(side.folder),
                str(side.root / "common"),
                "/usr/lib/nowhere",
            ]


@pytest.mark.parametrize(
    ("origin", "names"),
    [
        ('{"url": "file://FOLDER", "dir_info": {}}', {"engine", "single"}),
        ('{"url": "file://FOLDER/part", "dir_info": {"editable": true}}', {"engine", "single"}),
        ('{"url": "file:///elsewhere", "dir_info": {}}', set()),
        ('{"url": "https://example.org/engine.whl"}', set()),
        ("[]", set()),
        ("{", set()),
        ("", set()),
    ],
)
def test_packages_that_were_installed_from_the_repository_are_known(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    origin: str,
    names: set[str],
) -> None:
    project.commit()
    about = tmp_path / "site-packages" / "engine-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: engine\nVersion: 1\n")
    (about / "RECORD").write_text("engine/__init__.py,,\nengine/core.so,,\nsingle.py,,\nx.pth,,\n")
    (about / "direct_url.json").write_text(
        origin.replace("FOLDER", str(project.folder).replace(" ", "%20"))
    )
    monkeypatch.syspath_prepend(about.parent)

    with checked_out("HEAD") as revision:
        assert {"engine", "single", "x"} & revision.sides[1].installed == names


def test_the_change_is_not_on_the_path_of_the_base(project: Project) -> None:
    project.commit()
    (project.folder / "shop" / "later.py").write_text("")

    with checked_out("HEAD") as revision:
        assert str(project.folder) not in revision.sides[1].path


# What stays as it was


def test_nothing_is_written_into_the_repository(project: Project) -> None:
    project.commit()

    with projects.untouched(project.folder), checked_out("HEAD", ["true"]) as revision:
        assert (sides(revision)[1] / STORY).is_file()


def test_variables_of_a_hook_do_not_lead_to_another_repository(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.commit()
    other = projects.make(tmp_path / "other")
    other.write("shop/story.py", "other = 1\n")
    other.commit()
    index = tmp_path / "other-index"
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    monkeypatch.setenv("GIT_INDEX_FILE", str(index))

    with projects.untouched(other.folder), checked_out("HEAD") as revision:
        assert revision.sha == first
        assert (sides(revision)[1] / STORY).read_text() == projects.STORY

    assert not index.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_when_the_block_is_left_by_an_error(
    project: Project, error: type[BaseException]
) -> None:
    project.commit()
    with pytest.raises(error), checked_out("HEAD") as revision:
        raise error

    assert not sides(revision)[1].exists()
    assert folders(Path(os.environ["TMPDIR"])) == []


# What cannot be had


@pytest.mark.parametrize("name", ["mian", "HEAD:shop", "HEAD~9", "0" * 40, "a b", "main;ls", "\n"])
def test_an_unknown_revision_is_refused(project: Project, name: str) -> None:
    project.commit()

    error = refused(name)

    assert isinstance(error, UsageError)
    assert error.what == f"there is no revision '{name}' here"
    assert error.why == "git does not know it"
    assert "fetch-depth" not in error.fix


@pytest.mark.parametrize("name", ["-x", "--help", "--upload-pack=touch pwned", ""])
def test_a_revision_is_never_taken_for_an_option(project: Project, name: str) -> None:
    project.commit()

    error = refused(name)

    assert isinstance(error, UsageError)
    assert error.what == f"{name!r} is no revision"


def test_a_folder_without_a_repository_is_refused(project: Project) -> None:
    error = refused("HEAD")

    assert error.exit is Exit.USAGE
    assert error.what == f"{project.folder} is in no git repository"


def test_a_repository_without_a_commit_is_refused(project: Project) -> None:
    project.git("init", "-q")

    assert refused("HEAD").exit is Exit.USAGE


def test_a_machine_without_git_says_so(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit()
    monkeypatch.setenv("PATH", str(tmp_path))

    error = refused("HEAD")

    assert (error.what, error.exit) == ("there is no git here", Exit.CANNOT_RUN)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_somebody_else_is_refused_in_the_words_of_git(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit()
    for path in (project.folder, *project.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    error = refused("HEAD")

    assert error.exit is Exit.CANNOT_RUN
    assert "safe.directory" in error.why


# Building


def test_what_a_build_makes_is_there_for_the_base_alone(project: Project) -> None:
    project.write("build.py", "import pathlib; pathlib.Path('shop/built.py').write_text('')")
    project.commit()

    with checked_out("HEAD", [sys.executable, "build.py"]) as revision:
        _, base = sides(revision)
        assert imported(revision.sides[1], "shop.built") == str(base / "shop" / "built.py")
        assert not (project.folder / "shop" / "built.py").exists()


def test_a_build_runs_in_the_folder_of_the_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = projects.make(project.folder / "services" / "shop")
    project.commit()
    monkeypatch.chdir(inside.folder)

    with checked_out("HEAD", ["touch", "built"]) as revision:
        assert (sides(revision)[1] / "built").is_file()


def test_a_build_that_fails_shows_its_last_lines(project: Project) -> None:
    lines = "\n".join(f"line {number}" for number in range(40))
    project.write("build.py", f"import sys; print({lines!r}); sys.exit('no compiler')")
    project.commit()

    error = refused("HEAD", sys.executable, "build.py")

    assert isinstance(error, CannotRun)
    assert error.what == f"HEAD does not build: {sys.executable} build.py ended with 1"
    shown = error.why.splitlines()
    assert len(shown) == LINES
    assert shown[-1] == "line 39" or shown[-1] == "no compiler"
    assert "line 0" not in shown
    assert "no compiler" in shown


def test_a_build_program_that_is_not_there_is_named(project: Project) -> None:
    project.commit()

    error = refused("HEAD", "no-such-builder", "all")

    assert error.what.startswith("HEAD does not build: no-such-builder all")
    assert "no-such-builder" in error.why


def test_what_happens_is_told(project: Project) -> None:
    project.commit()
    told: list[str] = []

    with checked_out("HEAD", tell=told.append):
        pass
    with checked_out("HEAD", ["true"], tell=told.append):
        pass

    assert told == ["checking out HEAD", "building HEAD"]
