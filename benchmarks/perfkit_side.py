"""The function under perfkit: a run with fixed rounds, its result file written to argv[2]."""

import sys
from pathlib import Path

from same_work import Nothing, probe

from perfkit.model import Plan
from perfkit.result import encode
from perfkit.run.orchestrator import run

if __name__ == "__main__":
    result = run(Plan(probe, Nothing(), rounds=int(sys.argv[1])))
    Path(sys.argv[2]).write_bytes(encode(result))
