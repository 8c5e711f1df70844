"""A probe whose processes tell who they are, hang, or are ended in the middle of their work."""

from __future__ import annotations

import os
import signal

from perfkit.backends.interpreter import Interpreter
from perfkit.model import Probe
from sample_probes.notes import Notes, write

MANY = 3
probe = Probe("pooled", "Processes", Interpreter, Notes, work={"calls": "calls"}, cause="calls")


def fork(here: Interpreter, _notes: Notes) -> None:
    here.open_processes(MANY)


def do(notes: Notes) -> int:
    """Do in one of the processes what is wished for."""
    write(notes, "do")
    if notes.wish == "be killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if notes.wish == "hang":
        signal.pause()
    if notes.wish == "raise":
        message = "as wished"
        raise LookupError(message)
    return os.getpid()


@probe.naive("alone")
def alone(_here: Interpreter, _notes: Notes) -> object:
    return None


@probe.fixed("processes", prepare=fork)
def together(here: Interpreter, notes: Notes) -> object:
    here.in_processes(do, [notes] * MANY)
    return None
