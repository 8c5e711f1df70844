"""A probe whose variants are the same code, so that every difference found is a wrong one."""

from __future__ import annotations

from dataclasses import dataclass

from spin import spin

from perfkit import Probe
from perfkit.backends.python import Python


@dataclass(frozen=True)
class Nothing:
    """There is nothing to choose."""


probe = Probe(
    name="same-work",
    title="The same work twice",
    backend=Python,
    params=Nothing,
    work={"calls": "calls"},
    cause="calls",
)


@probe.naive("the work")
def work(_python: Python, _nothing: Nothing) -> object:
    """Do the work."""
    return spin()


@probe.fixed("the same work")
def same_work(_python: Python, _nothing: Nothing) -> object:
    """Do it in the same way."""
    return spin()
