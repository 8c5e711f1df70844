"""What perfkit says when it cannot go on, and the exit code that goes with it.

    PerfkitError
    ├── UsageError          the command line, a parameter or a file is not what it should be
    │   ├── UnreadableFile  a file that is cut short, foreign or malformed
    │   └── BrokenPromise   numbers are not what was promised: twice, foreign, too few or many
    ├── CannotRun           something the run needs is missing here
    │   ├── MissingExtra    an optional package of perfkit is not installed
    │   ├── ComponentLost   the server went away in the middle of the run
    │   ├── CannotDecode    a solver's state is too small to name what is missing
    │   ├── NotThere        a module, function or variant does not exist there
    │   ├── NoAnswer        a device does not answer, not even after the retries
    │   ├── Refused         a device answers with an error, or with no answer to the question
    │   ├── NotApplicable   a variant finds that it cannot run with this component
    │   └── VariantFailed   a probe's own code raised, or its worker process died
    ├── NothingMatched      no scenario or check is meant, so nothing would be judged
    └── AnswersDiffer       two variants of a probe returned different answers

Library code raises these; only `perfkit.cli` prints them and exits.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """Every exit code of the command line. Part of the public interface: never renumbered."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Exit:
        """Attach the sentence that the documentation and `perfkit --help` print."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    FINE = 0, "All went well."
    FOUND = 1, "What was looked for is there: a check failed, a verdict is not reproduced."
    USAGE = 2, "The command line, a parameter or a file is not what it should be."
    CANNOT_RUN = 3, "It cannot run here: the code fails, or a server or a package is missing."
    UNCLEAR = 4, "Measured, but too noisy to tell the fix from the naive code, or pass from fail."
    ANSWERS_DIFFER = 5, "Two variants, or the base of a comparison, returned different answers."
    UNFIT = 6, "This machine is too busy, or not the one of the baseline, to judge times at all."
    NOTHING = 7, "No check matched: nothing was judged, which is not a pass."
    BUG = 70, "A bug in perfkit itself; `perfkit doctor --bug` prints what to report."
    INTERRUPTED = 130, "Stopped with Ctrl-C or SIGTERM; what had been measured was reported."


class PerfkitError(Exception):
    """An error that says what is wrong, why, and how to put it right.

    `what` is one line without a full stop. `why` and `fix` may have several lines, or be empty.
    """

    exit: ClassVar[Exit] = Exit.CANNOT_RUN

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix


class UsageError(PerfkitError):
    """The command line, a parameter or a file is not what it should be."""

    exit = Exit.USAGE


class UnreadableFile(UsageError):
    """A file that is cut short, foreign or malformed."""


class BrokenPromise(UsageError):
    """A file of numbers is not what was promised: some are twice, foreign, too few or too many."""


class CannotRun(PerfkitError):
    """Something that the run needs is missing here."""


class MissingExtra(CannotRun):
    """An optional package of perfkit is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"the package '{module}' is not installed",
            why=f"it belongs to perfkit's optional part '{extra}'",
            fix=f"pip install 'perfkit[{extra}]'",
        )


class ComponentLost(CannotRun):
    """The server went away in the middle of the run."""


class CannotDecode(CannotRun):
    """A solver's state is too small to name what is missing; another solver may."""


class NotThere(CannotRun):
    """A module, function or variant does not exist there: it is not broken, but absent."""


class NotApplicable(CannotRun):
    """A variant finds that it cannot run with this component, and says why in a clause.

    The report then says "not run" and the reason, as it does for a condition (`unless=`).
    """


class NoAnswer(CannotRun):
    """A device does not answer, not even after the retries."""


class Refused(CannotRun):
    """A device answers with an error, or with what is no answer to the question.

    `status` is the error's name, such as "tooBig"; `index` the variable it is about, from 1 on, or
    0 where it names none.
    """

    def __init__(
        self, what: str, *, why: str = "", fix: str = "", status: str = "", index: int = 0
    ) -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status
        self.index = index


class VariantFailed(CannotRun):
    """A probe's own code raised, or its worker process died."""


class NothingMatched(PerfkitError):
    """No scenario or check is meant, so nothing would be judged."""

    exit = Exit.NOTHING


class AnswersDiffer(PerfkitError):
    """Two variants of a probe returned different answers."""

    exit = Exit.ANSWERS_DIFFER
