"""A probe whose fix misbehaves as asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from perfkit.backends.python import Python
from perfkit.model import Probe
from sample_probes import notes
from sample_probes.notes import Notes, write

SECRET = "hunter2"

probe = Probe("faulty", "Faults", Python, Notes, work={"calls": "calls"}, cause="calls")
uncounted = Probe("uncounted", "Faults", Python, Notes, work={"leaves": "leaves"}, cause="leaves")


@probe.naive("the answer")
@uncounted.naive("the answer")
def steady(_python: Python, _wishes: Notes) -> object:
    return [1, 2, SECRET]


@probe.fixed("as asked")
@uncounted.fixed("as asked")
def wished(_python: Python, wishes: Notes) -> object:
    first = os.getpid() not in {noted["process"] for noted in notes.read(wishes.file)}
    if first:
        write(wishes, "wished")
    return WISHES[wishes.wish](wishes)


def processes(wishes: Notes) -> int:
    return len({noted["process"] for noted in notes.read(wishes.file)})


def steadily(_wishes: Notes) -> object:
    return [1, 2, SECRET]


def leave(_wishes: Notes) -> object:
    os.write(2, b"last words\n")
    os._exit(7)


def crash(_wishes: Notes) -> object:
    os.kill(os.getpid(), signal.SIGSEGV)
    return None


def leave_with_a_child(wishes: Notes) -> object:
    """Die while a forked child still holds every pipe open."""
    child = os.fork()
    if not child:
        signal.pause()
    write(wishes, "child", child=child)
    os._exit(7)


def raise_error(_wishes: Notes) -> object:
    message = "no such luck"
    raise ValueError(message)


def leave_by_exit(_wishes: Notes) -> object:
    sys.exit("enough")


def return_function(_wishes: Notes) -> object:
    return lambda: None


def return_much(_wishes: Notes) -> object:
    return bytes(3_000_000)


class Unloadable:
    """Cannot be read where it arrives."""

    def __reduce__(self) -> tuple[object, ...]:
        return int, ("no number",)


def return_unloadable(_wishes: Notes) -> object:
    return Unloadable()


def chatter(_wishes: Notes) -> object:
    """Use every stream that the worker's own talk might use."""
    sys.stdout.write("a line\n")
    sys.stderr.write("a line\n")
    os.write(1, b"\x80\x04\x95" * 40_000)
    os.write(2, b"x" * 200_000)
    subprocess.run(["/bin/sh", "-c", "cat; echo a line"], check=True)
    return [1, 2, SECRET] if sys.stdin.read() == "" else []


def differ(_wishes: Notes) -> object:
    return [1, 2, SECRET + SECRET]


def differ_in_length(_wishes: Notes) -> object:
    return [1, 2, SECRET, SECRET]


def differ_in_type(_wishes: Notes) -> object:
    return (1, 2, SECRET)


def differ_later(wishes: Notes) -> object:
    """Be right in both counting passes and in the first timed round."""
    return [1, 2, SECRET if processes(wishes) <= 3 else ""]


def stall_later(wishes: Notes) -> object:
    """Never come back in the second timed round."""
    if processes(wishes) > 3:
        signal.pause()
    return [1, 2, SECRET]


def call(times: int) -> None:
    for _ in range(times):
        raise_nothing()


def raise_nothing() -> None:
    pass


def count_differently(wishes: Notes) -> object:
    """Work more in every process."""
    call(processes(wishes))
    return [1, 2, SECRET]


def leave_a_child_behind(wishes: Notes) -> object:
    child = subprocess.Popen(["/bin/sleep", "1000"])
    # Popen would complain at exit that its child still runs.
    child.returncode = 0
    write(wishes, "child", child=child.pid)
    return [1, 2, SECRET]


WISHES: dict[str, Callable[[Notes], object]] = {
    function.__name__: function
    for function in (
        steadily,
        leave,
        crash,
        leave_with_a_child,
        raise_error,
        leave_by_exit,
        return_function,
        return_unloadable,
        return_much,
        chatter,
        differ,
        differ_in_length,
        differ_in_type,
        differ_later,
        stall_later,
        count_differently,
        leave_a_child_behind,
    )
}
