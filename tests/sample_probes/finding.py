"""A probe whose variants find out for themselves that they cannot run, and predict, as asked."""

from __future__ import annotations

from perfkit import errors
from perfkit.backends.python import Python
from perfkit.model import Bound, Probe
from sample_probes import notes
from sample_probes.notes import Notes, write
from sample_probes.steady import WORK, step

probe = Probe("finding", "Calls", Python, Notes, work=WORK, cause="calls")


class NotApplicable(Exception):
    """An error of somebody else's."""


class NotHere(errors.NotApplicable):
    """A kind of ours."""


OBSTACLES: dict[str, Exception] = {
    "": errors.NotApplicable("it has no bulk order"),
    "kind": NotHere("it is not there"),
    "foreign": NotApplicable("somebody else's"),
}


def refuse(wishes: Notes, *those: str) -> None:
    """Find that it does not apply, where one of these is wished for."""
    wish, _, kind = wishes.wish.partition(":")
    if wish in those:
        raise OBSTACLES[kind]


def look(_python: Python, wishes: Notes) -> None:
    write(wishes, "look")
    refuse(wishes, "prepare", "two")


def predict(_python: Python, wishes: Notes) -> Bound | None:
    write(wishes, "predict")
    refuse(wishes, "unpredictable")
    sum(step() for _ in range(1000))
    if not wishes.wish.startswith("predict "):
        return None
    return Bound(float(wishes.wish.partition(" ")[2]), "100 calls / 1 call")


@probe.naive("many calls")
def many(_python: Python, wishes: Notes) -> object:
    write(wishes, "many")
    refuse(wishes, "nowhere")
    return sum(step() for _ in range(100))


@probe.wrong_lever("as many calls", why="They are as many.", prepare=look)
def still_many(_python: Python, wishes: Notes) -> object:
    write(wishes, "still_many")
    return sum(step() for _ in range(100))


@probe.wrong_lever("too many calls", why="They are more.", unless=lambda _: "it takes too long")
def too_many(_python: Python, wishes: Notes) -> object:
    write(wishes, "too_many")
    return sum(step() for _ in range(100))


@probe.fixed("one call", bound=predict)
def once(_python: Python, wishes: Notes) -> object:
    write(wishes, "once")
    refuse(wishes, "run", "two", "unfixable")
    if wishes.wish.startswith("process "):
        ran = {noted["process"] for noted in notes.read(wishes.file) if noted["what"] == "once"}
        refuse(wishes, f"process {len(ran)}")
    return 100 * step()


@probe.fixed("two calls")
def twice(_python: Python, wishes: Notes) -> object:
    write(wishes, "twice")
    refuse(wishes, "unfixable")
    return 50 * step() + 50 * step()
