"""Probes of which some variants do not apply with some parameters; conditions note who asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perfkit.backends.python import Python
from perfkit.model import Probe
from sample_probes.notes import Notes, write
from sample_probes.steady import WORK, step


@dataclass(frozen=True)
class Two(Notes):
    """The same, with another default."""

    wish: str = "two"


probe = Probe("choosy", "Calls", Python, Notes, work=WORK, cause="calls")
undecided = Probe("undecided", "Calls", Python, Notes, work=WORK, cause="calls")
handless: Probe[Python, Notes] = Probe("handless", "Calls", Python, Two, work=WORK, cause="calls")


def wished(*wishes: str, why: str) -> Callable[[Notes], str]:
    """Return the condition that gives this reason where one of these is wished for."""

    def condition(notes: Notes) -> str:
        write(notes, "asked")
        return why if notes.wish in wishes else ""

    return condition


def on_demand(notes: Notes) -> str:
    if notes.wish == "raise":
        message = "no such luck"
        raise ValueError(message)
    return "" if notes.wish in {"crowded", "whole"} else "there is room for all"


@undecided.naive("many calls")
@handless.naive("many calls")
@probe.naive("many calls", unless=wished("crowded", "nowhere", why="it needs room for all"))
def many(_python: Python, notes: Notes) -> object:
    write(notes, "many")
    return sum(step() for _ in range(10))


@undecided.naive("many calls in parts")
@probe.naive("many calls in parts", unless=on_demand)
def many_in_parts(_python: Python, notes: Notes) -> object:
    write(notes, "many_in_parts")
    return sum(step() for _ in range(5)) + sum(step() for _ in range(5))


@probe.wrong_lever(
    "as many calls", why="They are as many.", unless=wished("two", why="it has one hand")
)
@handless.wrong_lever("as many calls", why="", unless=wished("two", why="it has one hand"))
def still_many(_python: Python, notes: Notes) -> object:
    write(notes, "still_many")
    return sum(step() for _ in range(10))


@undecided.fixed("one call")
@probe.fixed("one call", unless=wished("two", "unfixable", why="it names one, 2 are missing"))
def once(_python: Python, notes: Notes) -> object:
    write(notes, "once")
    return 10 * step()


@handless.fixed("two calls")
@probe.fixed("two calls", unless=wished("unfixable", why="it names two, 3 are missing"))
def twice(_python: Python, notes: Notes) -> object:
    write(notes, "twice")
    return 5 * step() + 5 * step()
