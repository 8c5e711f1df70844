"""The verdicts of a gate, and the exit code of each; without msgspec, for the command line."""

from __future__ import annotations

from enum import StrEnum

from perfkit.errors import Exit


class Word(StrEnum):
    """A verdict, of one check or of a whole gate."""

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    INCONCLUSIVE = "inconclusive"
    UNFIT = "unfit"
    ERROR = "error"
    DIFFERS = "answers differ"
    FAIL = "fail"
    NOTHING = "nothing matched"


EXITS = {
    Word.PASS: Exit.FINE,
    Word.INCONCLUSIVE: Exit.UNCLEAR,
    Word.UNFIT: Exit.UNFIT,
    Word.ERROR: Exit.CANNOT_RUN,
    Word.DIFFERS: Exit.ANSWERS_DIFFER,
    Word.FAIL: Exit.FOUND,
    Word.NOTHING: Exit.NOTHING,
}
"""The exit code of every verdict."""


class Policy(StrEnum):
    """What a gate makes of a verdict that says nothing about the code."""

    WARN = "warn"
    PASS = "pass"  # noqa: S105 (a policy, not a password)
    FAIL = "fail"


def worst(words: list[Word]) -> Word:
    """Return the verdict of a whole: what is proven bad, then what could not be judged.

    Nothing judged at all is no pass.
    """
    order = (Word.FAIL, Word.DIFFERS, Word.ERROR, Word.NOTHING, Word.UNFIT, Word.INCONCLUSIVE)
    if not words:
        return Word.NOTHING
    return next((word for word in order if word in words), Word.PASS)
