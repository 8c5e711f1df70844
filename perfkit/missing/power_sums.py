"""Sums of powers modulo a prime: as many words as numbers may be missing, and three to check."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from perfkit.errors import BrokenPromise, CannotRun
from perfkit.extras import require
from perfkit.missing import kernels
from perfkit.missing.invariants import Invariants
from perfkit.missing.kernels import EDGE, PRIME, Numbers
from perfkit.missing.promise import Promise, numbers
from perfkit.missing.solver import Missing

SPARE = 3
"""Sums beyond those that an answer needs: together with the count they expose every broken promise
that touches up to four numbers, and others but for an accident in PRIME ** 3."""
MOST = 4096
"""Finding the roots of a larger polynomial takes longer than another pass over most files."""


class PowerSums:
    """The sums of the first powers of what is there, modulo the prime 2**32 - 5.

    What they lack to those of the whole range are the power sums of the missing numbers. Newton's
    identities turn them into a polynomial, and its roots are the numbers. Source: Minsky,
    Trachtenberg and Zippel, Set Reconciliation with Nearly Optimal Communication Complexity, 2003.
    Offsets near 0 and near the prime are congruent in pairs, and are counted apart.
    """

    name: ClassVar[str] = "power-sums"
    proves: ClassVar[str] = (
        "no set of numbers of that size but this one has these sums; three more sums and the "
        "invariants check that nothing is there twice"
    )

    def __init__(self, promise: Promise) -> None:
        if promise.most is None or promise.most > MOST:
            raise CannotRun(
                f"power sums need to know that at most {MOST:,} numbers are missing",
                why="they keep a word for each",
                fix="--k=..64, or leave --solver out",
            )
        self.promise = promise
        self.checks = Invariants(promise)
        self.powers = np.zeros(promise.most + SPARE, np.uint64)
        self.edges = np.zeros(2 * EDGE, np.int64)

    @property
    def present(self) -> int:
        """How many numbers were added."""
        return self.checks.present

    @property
    def state(self) -> int:
        """A word a sum, ten counts, and the invariants."""
        return self.powers.nbytes + self.edges.nbytes + self.checks.state

    def update(self, values: Numbers) -> None:
        """Add a block of numbers; raises Stray for one outside the range."""
        self.checks.update(values)
        kernels.add_powers(values, np.uint32(self.promise.base), self.powers, self.edges)

    def fresh(self) -> Self:
        """Return empty sums of the same range."""
        return type(self)(self.promise)

    def merge(self, part: Self) -> None:
        """Add the sums of another part."""
        self.checks.merge(part.checks)
        self.powers = (self.powers + part.powers) % np.uint64(PRIME)
        self.edges += part.edges

    def again(self) -> bool:
        """One pass is enough."""
        return False

    def solve(self) -> Missing:
        """Name the missing numbers; raises BrokenPromise."""
        missing = self.promise.missing(self.checks.present)
        size = self.promise.size
        at_edges = []
        for edge, seen in zip(_edges(), self.edges.tolist(), strict=True):
            if edge < size and seen > 1:
                raise BrokenPromise(f"{edge + self.promise.lowest} is there twice")
            if edge < size and not seen:
                at_edges.append(edge)
        inside = missing - len(at_edges)
        lacking = [
            (whole - int(there)) % PRIME
            for whole, there in zip(range_sums(size, self.powers.size), self.powers, strict=True)
        ]
        found = roots(polynomial(lacking[: max(inside, 0)]))
        if len(found) != inside or power_sums(found, len(lacking)) != lacking:
            raise BrokenPromise(
                f"no {numbers(missing)} can be all that is missing: some are there twice",
                why="the power sums are not those of any set of numbers",
                fix="the bitmap names the first duplicate: --solver bitmap",
            )
        return self.checks.require(at_edges + found)


def _edges() -> list[int]:
    """Return the offsets that are counted apart, in the order of their counts."""
    return [*range(PRIME, PRIME + EDGE), *range(EDGE)]


def power_sums(offsets: list[int], count: int) -> list[int]:
    """Return the sums of the powers 1 to `count` of some offsets, modulo PRIME."""
    bases = np.array(offsets, np.uint64)
    terms, sums = np.ones_like(bases), []
    for _ in range(count):
        terms = terms * bases % np.uint64(PRIME)
        sums.append(int(terms.sum()) % PRIME)
    return sums


def range_sums(size: int, count: int) -> list[int]:
    """Return the sums of the powers 1 to `count` of the offsets below `size` but those at edges.

    Over a whole prime field each of these sums is zero. Below, they are j! times the coefficients
    of the series (e**(size z) - 1) / (e**z - 1), which is Faulhaber's formula.
    """
    at_edges = power_sums([edge for edge in range(EDGE) if edge < size], count)
    if size >= PRIME:
        return [-edge % PRIME for edge in at_edges]
    flint = require("flint", "solve")
    factorials = [1]
    for index in range(1, count + 2):
        factorials.append(factorials[-1] * index % PRIME)
    inverse = [pow(factorial, -1, PRIME) for factorial in factorials]
    above = [pow(size, index + 1, PRIME) * inverse[index + 1] % PRIME for index in range(count + 1)]
    below = flint.nmod_poly(inverse[1:], PRIME).inverse_series_trunc(count + 1)
    series = flint.nmod_poly(above, PRIME).mul_low(below, count + 1)
    return [
        (factorials[power] * int(series[power]) - at_edges[power - 1]) % PRIME
        for power in range(1, count + 1)
    ]


def polynomial(sums: list[int]) -> list[int]:
    """Return the monic polynomial whose roots have these power sums, constant term first.

    By Newton's identities: i e[i] = p[1] e[i-1] - p[2] e[i-2] + ..., for elementary symmetric e.
    """
    signed = np.array(
        [total if index % 2 == 0 else -total % PRIME for index, total in enumerate(sums)],
        np.uint64,
    )
    symmetric = np.ones(len(sums) + 1, np.uint64)
    for index in range(1, len(sums) + 1):
        products = symmetric[:index][::-1] * signed[:index]
        total = int((products % np.uint64(PRIME)).sum())
        symmetric[index] = total * pow(index, -1, PRIME) % PRIME
    return [
        int(value) if index % 2 == 0 else -int(value) % PRIME
        for index, value in enumerate(symmetric)
    ][::-1]


def roots(coefficients: list[int]) -> list[int]:
    """Return the distinct roots modulo PRIME of a polynomial, constant term first."""
    if len(coefficients) == 1:
        return []
    flint = require("flint", "solve")
    return [int(root) for root, _ in flint.nmod_poly(coefficients, PRIME).roots()]
