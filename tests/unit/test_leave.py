from __future__ import annotations

import os
import subprocess
import sys

import pytest

LEAVE = """
import atexit, sys
from perfkit.leave import leave
atexit.register(lambda: print("registered"))
sys.stdout.reconfigure(line_buffering=False)
print("written")
sys.stderr.write("said")
leave(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 5, 130])
def test_leaving_does_what_was_registered_and_loses_nothing(code: int) -> None:
    # An unbuffered stream has nothing to lose.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        [sys.executable, "-c", LEAVE, str(code)],
        env=buffered,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == code
    assert ended.stdout == "written\nregistered\n"
    assert ended.stderr == "said"


def test_a_closed_stream_does_not_change_the_code() -> None:
    code = "import sys; from perfkit.leave import leave; sys.stdout.close(); leave(4)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 4
