"""A probe whose naive code never comes back: to be killed while it is at work."""

from __future__ import annotations

import ctypes
import itertools
import signal
import subprocess
from collections.abc import Callable

from perfkit.backends.python import Python
from perfkit.model import Probe
from sample_probes.notes import Notes, write

probe = Probe("busy", "Never ends", Python, Notes, work={"calls": "calls"}, cause="calls")


def in_c_code() -> object:
    """Loop in C, where no signal handler of Python would run."""
    return sum(itertools.repeat(1))


def holding_the_lock() -> object:
    """Wait in C without letting other threads of this interpreter run."""
    return ctypes.PyDLL(None).pause()


def for_a_child() -> object:
    return subprocess.run(["/bin/sleep", "1000"], check=True)


def for_a_stubborn_child() -> object:
    """Wait for a child that takes no polite signal."""
    order = "trap '' TERM INT HUP QUIT; sleep 1000 & wait; wait"
    return subprocess.run(["/bin/sh", "-c", order], check=True)


def in_python() -> object:
    while True:
        pass


def asleep() -> object:
    signal.pause()
    return None


WISHES: dict[str, Callable[[], object]] = {
    function.__name__: function
    for function in (
        in_c_code,
        holding_the_lock,
        for_a_child,
        for_a_stubborn_child,
        in_python,
        asleep,
    )
}


@probe.naive("never")
def never(_python: Python, notes: Notes) -> object:
    write(notes, "busy")
    return WISHES[notes.wish]()


@probe.fixed("at once")
def at_once(_python: Python, _notes: Notes) -> object:
    return None
