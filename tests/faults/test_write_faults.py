"""Writing to a disk that is full, or to a server that goes away in the middle of a batch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import psutil
import pytest
from leftovers import descendants, folders, processes, until
from servers import OwnServer

from perfkit.errors import ComponentLost, VariantFailed
from perfkit.model import Location, Plan
from perfkit.probes.db_write import Batch, probe
from perfkit.run.course import Counting, Progress
from perfkit.run.orchestrator import run

pytestmark = pytest.mark.usefixtures("without_variables")

LONG = Plan(probe, Batch(100_000), rounds=0)
MOUNT = 'mount -t tmpfs -o size=512m,mode=755 tmpfs "$TMPDIR"'
FILL_THE_DISK = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
from leftovers import folders, processes
from perfkit.errors import PerfkitError
from perfkit.model import Plan
from perfkit.probes.db_write import Batch, probe
from perfkit.run.orchestrator import run

place = Path(os.environ["TMPDIR"])

def fill(progress):
    disk = os.statvfs(place)
    if disk.f_bavail and getattr(progress, "step", 0) == 1:
        with (place / "film").open("wb") as film:
            os.posix_fallocate(film.fileno(), 0, disk.f_bavail * disk.f_frsize)

try:
    run(Plan(probe, Batch(), rounds=0), fill)
except PerfkitError as error:
    os.unlink(place / "film")
    others = [line for line in processes(place) if int(line.split()[0]) != os.getpid()]
    print(json.dumps([error.what, error.why, others, len(folders(place))]))
"""


def unshared(*command: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a command for which this folder is a small disk of its own."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{MOUNT} && exec "$0" "$@"', *command],
        env=os.environ | {"TMPDIR": str(place)},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_full_disk_is_named_in_the_servers_words(place: Path) -> None:
    if shutil.which("unshare") is None or unshared("true", place=place).returncode:
        pytest.skip("nothing may be mounted here")

    ended = unshared(sys.executable, "-c", FILL_THE_DISK, json.dumps(sys.path), place=place)

    assert (ended.returncode, ended.stderr) == (0, "")
    what, why, left, folders_left = json.loads(ended.stdout)
    assert what == "'write-each' of db-write raised DiskFull"
    assert "No space left on device" in why
    assert (left, folders_left) == ([], 0)


def once_it_counts(act: Callable[[], None]) -> Callable[[Progress], None]:
    """Listen to a run, and act beside it when the first variant is being counted."""

    def tell(progress: Progress) -> None:
        if isinstance(progress, Counting) and progress.step == 1:
            Thread(target=act).start()

    return tell


def writing() -> list[psutil.Process]:
    """Return the servers' processes below us that are in the middle of an INSERT."""
    return [
        process for process, command in descendants().items() if command.rstrip().endswith("INSERT")
    ]


def test_a_server_that_is_killed_in_the_middle_of_a_batch_ends_the_run(place: Path) -> None:
    def kill() -> None:
        until(writing, "the naive code writes")
        # The tests may have a server of their own.
        (server,) = [
            process
            for process, command in descendants().items()
            if str(place) in command and process.name() == "postgres"
        ]
        server.kill()

    with pytest.raises(ComponentLost, match="went away in the middle of the run"):
        run(LONG, once_it_counts(kill))

    assert processes(place) == []
    assert folders(place) == []


def test_a_server_of_yours_that_crashes_and_starts_again_is_left_as_it_was(
    own_server: OwnServer,
) -> None:
    before = own_server.everything()

    def crash() -> None:
        working = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT INTO sale%'"
        with own_server.admin() as admin:
            until(lambda: admin.execute(working).fetchone(), "the naive code writes")
            row = admin.execute(working).fetchone()
        assert row is not None
        # The server then ends all connections, and starts again.
        os.kill(row[0], signal.SIGKILL)

    yours = LONG._replace(location=Location(own_server.url()))
    # Whether it is back when we look is up to the server.
    with pytest.raises((ComponentLost, VariantFailed)) as caught:
        run(yours, once_it_counts(crash))

    said = f"{caught.value.what} {caught.value.why}"
    assert "went away" in said or "closed the connection in the middle of the work" in said
    assert own_server.everything() == before
