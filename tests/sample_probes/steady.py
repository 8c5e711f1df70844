"""Probes that do what they should, and note each step."""

from __future__ import annotations

from perfkit.backends.python import Python
from perfkit.model import Probe
from sample_probes.notes import Notes, write

WORK = {"calls": "calls"}

probe = Probe("steady", "Calls", Python, Notes, work=WORK, cause="calls")
lasting = Probe("lasting", "Calls", Python, Notes, work=WORK, cause="calls", session=True)
restored = Probe("restored", "Calls", Python, Notes, work=WORK, cause="calls")
unfinished = Probe("unfinished", "Calls", Python, Notes, work=WORK, cause="calls")


def step() -> int:
    return 1


def load(_python: Python, notes: Notes) -> None:
    write(notes, "load")


def prepare(_python: Python, notes: Notes) -> None:
    write(notes, "prepare")


def restore(_python: Python, notes: Notes) -> None:
    write(notes, "restore")


def many(_python: Python, notes: Notes) -> object:
    write(notes, "many")
    return sum(step() for _ in range(10))


def still_many(_python: Python, notes: Notes) -> object:
    write(notes, "still_many")
    return sum(step() for _ in range(10))


def few(_python: Python, notes: Notes) -> object:
    write(notes, "few")
    return 10 * step()


for known in (probe, lasting, restored):
    known.setup(load)
    known.naive("many calls", prepare=prepare)(many)
    known.wrong_lever("as many calls", why="They are as many.")(still_many)
    known.fixed("one call")(few)

restored.reset(restore)
unfinished.naive("many calls")(many)
