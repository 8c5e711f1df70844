"""What a probe is. Nothing here measures, prints or connects to anything.

Every worker process imports this module, so it imports little, and plain records are named
tuples, which are quicker to define than dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar

from perfkit.errors import CannotRun, NotThere
from perfkit.units import Unit

if TYPE_CHECKING:
    from perfkit.result import Component


class Role(StrEnum):
    """What a variant is there to show."""

    NAIVE = "naive"
    WRONG_LEVER = "wrong lever"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Tally:
    """How much work of one kind was done, and who counted it.

    `witness` is the independent observer whose figure counts ("pg_stat_statements"); `others`
    are the figures of further observers of the same work, by name.
    """

    value: int
    witness: str
    others: Mapping[str, int] = field(default_factory=dict)


class Location(NamedTuple):
    """Where the user wants the component: `url` empty means the embedded one.

    `rtt` is the round-trip time to add, in seconds.
    """

    url: str = ""
    rtt: float = 0.0
    allow_remote: bool = False


class Service(Protocol):
    """A component that is up, as the orchestrator holds it."""

    @property
    def address(self) -> object:
        """What a worker needs to connect; crosses a process boundary, so it can be pickled."""
        ...

    @property
    def component(self) -> Component:
        """Product, version and measured distance, for the report."""
        ...

    def check(self) -> None:
        """Raise `ComponentLost` when the component is no longer there."""
        ...


class Backend(Protocol):
    """A real component as a variant sees it: connected, and able to count its work."""

    @classmethod
    def serve(cls, location: Location) -> AbstractContextManager[Service]:
        """Bring the component up (or reach the user's own), and leave nothing behind."""
        ...

    @classmethod
    def connect(cls, address: Any) -> AbstractContextManager[Self]:
        """Connect a worker to a service that is up."""
        ...

    def counting(self) -> AbstractContextManager[dict[str, Tally]]:
        """Count the work done inside the block; the dictionary is filled when it ends."""
        ...


class Bound(NamedTuple):
    """How many times faster than the naive code a variant can be at best, and from what it follows.

    `reason` is a clause with the figures: "1 + 1.3 ms of travel / 5.3 ms of service".
    """

    at_most: float
    reason: str


B = TypeVar("B", bound=Backend)
P = TypeVar("P")  # a frozen dataclass of parameters
Run: TypeAlias = Callable[[B, P], object]
Step: TypeAlias = Callable[[B, P], None]
Condition: TypeAlias = Callable[[P], str]
Prediction: TypeAlias = Callable[[B, P], Bound | None]


@dataclass(frozen=True, slots=True)
class Variant(Generic[B, P]):
    """One way to do the work: a plain function, and what it is there to show.

    `prepare` runs once in each worker, untimed, before the first value. A `partial` fix removes
    some of the cause, not all of it. `unless` returns why the variant cannot run with these
    parameters, or an empty text; workers do not call it. What only shows once the component is
    asked, `prepare` or `run` says: they raise `NotApplicable`. `bound` predicts, before anything is
    timed, how much faster the variant can be at best, or returns None.
    """

    role: Role
    label: str
    run: Run[B, P]
    why: str = ""
    prepare: Step[B, P] | None = None
    partial: bool = False
    unless: Condition[P] | None = None
    bound: Prediction[B, P] | None = None

    @property
    def name(self) -> str:
        """The function's name as commands and checks write it: `ask_once` is `ask-once`."""
        return self.run.__name__.replace("_", "-")


def itself(answer: object) -> object:
    """Compare answers as they are: the default answer key."""
    return answer


@dataclass(slots=True)
class Probe(Generic[B, P]):
    """One anti-pattern: the code that has it, the levers that do not help, and the fix.

    `work` maps the backend's counters to the words of the report, in order; `cause` names the
    counter that explains the time. `answer` turns a return value into what is compared between
    variants. `session` says that all values are measured inside one long-lived process (a JVM, a
    GPU context) instead of fresh ones; the report then says so. `source` builds the same probe in
    another process where no module holds it, and can be pickled.
    """

    name: str
    title: str
    backend: type[B]
    params: type[P]
    work: Mapping[str, str]
    cause: str
    answer: Callable[[Any], object] = itself
    session: bool = False
    source: Callable[[], Probe[Any, Any]] | None = None
    load: Step[B, P] | None = None
    restore: Step[B, P] | None = None
    variants: list[Variant[B, P]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse a cause that is not among the counters; the user's own code needs none."""
        if self.cause not in self.work and not (self.source and not self.cause):
            message = f"the cause '{self.cause}' of {self.name} is not among its counters"
            raise ValueError(message)

    def setup(self, step: Step[B, P]) -> Step[B, P]:
        """Decorate the function that loads the data, once a run."""
        self.load = step
        return step

    def reset(self, step: Step[B, P]) -> Step[B, P]:
        """Decorate the function that undoes a variant's writes, untimed, before each call."""
        self.restore = step
        return step

    def naive(
        self,
        label: str,
        *,
        prepare: Step[B, P] | None = None,
        unless: Condition[P] | None = None,
    ) -> Callable[[Run[B, P]], Run[B, P]]:
        """Decorate the code as people write it first.

        A probe has exactly one, or several of which exactly one applies, whatever the parameters.
        `unless`, for all roles, takes the parameters and returns why the variant cannot run with
        them ("it needs 16 GiB"), or an empty text.
        """
        return self._adder(Role.NAIVE, label, "", prepare, unless=unless)

    def wrong_lever(
        self,
        label: str,
        *,
        why: str,
        prepare: Step[B, P] | None = None,
        unless: Condition[P] | None = None,
        bound: Prediction[B, P] | None = None,
    ) -> Callable[[Run[B, P]], Run[B, P]]:
        """Decorate what people try first; `why` says in one sentence why it cannot help.

        `bound` takes the component and the parameters, untimed, and predicts how much faster than
        the naive code this can be at best; the report holds the measurement to it.
        """
        return self._adder(Role.WRONG_LEVER, label, why, prepare, unless=unless, bound=bound)

    def fixed(
        self,
        label: str,
        *,
        why: str = "",
        prepare: Step[B, P] | None = None,
        partial: bool = False,
        unless: Condition[P] | None = None,
        bound: Prediction[B, P] | None = None,
    ) -> Callable[[Run[B, P]], Run[B, P]]:
        """Decorate what helps. The first that is not partial is the fix others are held to."""
        return self._adder(
            Role.FIXED, label, why, prepare, partial=partial, unless=unless, bound=bound
        )

    def _adder(
        self,
        role: Role,
        label: str,
        why: str,
        prepare: Step[B, P] | None,
        *,
        partial: bool = False,
        unless: Condition[P] | None = None,
        bound: Prediction[B, P] | None = None,
    ) -> Callable[[Run[B, P]], Run[B, P]]:
        def add(run: Run[B, P]) -> Run[B, P]:
            variant = Variant(role, label, run, why, prepare, partial, unless, bound)
            if any(known.name == variant.name for known in self.variants):
                message = f"{self.name} has two variants called '{variant.name}'"
                raise ValueError(message)
            self.variants.append(variant)
            return run

        return add

    def variant(self, name: str) -> Variant[B, P]:
        """Return the variant of that name; raises NotThere."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise NotThere(f"{self.name} has no variant '{name}'")

    def obstacles(self, params: P) -> dict[str, str]:
        """Return why variants cannot run with these parameters, by their names.

        Raises CannotRun where a condition itself fails.
        """
        found = {}
        for variant in self.variants:
            try:
                why = variant.unless(params) if variant.unless is not None else ""
            except Exception as error:
                raise CannotRun(
                    f"the condition of '{variant.name}' of {self.name} raised "
                    f"{type(error).__name__}",
                    why=str(error),
                ) from error
            if why:
                found[variant.name] = why
        return found


class Plan(NamedTuple):
    """What to run and how long.

    `rounds` fixes the number of timed rounds (0: only answers and counts); None is adaptive
    within `budget` seconds.
    """

    probe: Probe[Any, Any]
    params: object
    location: Location = Location()
    budget: float = 20.0
    rounds: int | None = None
    seed: int = 0


class Quantity(NamedTuple):
    """What a parameter's number means: the annotation of a field of a parameter dataclass.

    Not `msgspec.Meta`: every worker process would pay for the import.
    """

    text: str
    unit: Unit
    lowest: float
    highest: float | None
    workers: bool = False
    """Whether it is how many work at once on the same amount of work."""


def count(text: str, *, at_least: int = 1, at_most: int | None = None) -> Quantity:
    """How many; given as `5000` or `5k` on the command line."""
    return Quantity(text, Unit.COUNT, at_least, at_most)


def workers(text: str, *, at_most: int) -> Quantity:
    """How many threads, processes or consumers share the same amount of work.

    `perfkit sweep` then fits how they scale, instead of how the work grows.
    """
    return Quantity(text, Unit.COUNT, 1, at_most, workers=True)


def seconds(text: str, *, at_least: float = 0, at_most: float | None = None) -> Quantity:
    """How long, in seconds; given as `2ms` or `1.5s` on the command line."""
    return Quantity(text, Unit.SECONDS, at_least, at_most)


def size(text: str, *, at_least: int = 0, at_most: int | None = None) -> Quantity:
    """How many bytes; given as `64KiB` or `1MB` on the command line."""
    return Quantity(text, Unit.BYTES, at_least, at_most)
