"""SQL texts without what was in them: the shape of a statement, to group and to show.

What a statement says in literals may be a secret, and differs from one call to the next. Names of
tables and columns stay, quoted ones too; comments go, since frameworks put identifiers there.
"""

from __future__ import annotations

import re
from typing import Final

# What is unfinished ends with the text, so that no rest of a literal is taken for SQL.
_TOKEN: Final = re.compile(
    r"""
      (?P<gap>     (?: \s | --[^\n]* | /\*.*?(?:\*/|\Z) )+ )
    | (?P<literal> [eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)        # E'it\'s'
                 | (?:[bBnNxX]|[uU]&)?'(?:[^']|'')*(?:'|\Z)  # 'it''s', X'1f', U&'d'
                 | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)  # $tag$...$tag$
                 | \$\d+                                     # a parameter
                 | "(?:[^"]|"")*\Z | `[^`]*\Z               # a name that never ends
                 | (?:\d\w*(?:\.\w*)?|\.\d\w*)(?:(?<=[eE])[+-]\d+)?
      )
    | (?P<kept>    [^\W\d][\w$]*                             # a word, even one with a number in it
                 | "(?:[^"]|"")*" | `[^`]*`              # a quoted name
                 | ::? | .
      )
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNED: Final = re.compile(r"([=<>(,]\s?)[-+]\s?\?")
_LIST: Final = re.compile(r"\?(?:\s?,\s?\?)+")
_ROWS: Final = re.compile(r"(\(\?(?:, \.\.\.)?\))(?:\s?,\s?\1)+")


def normalise(text: str) -> str:
    """Return a statement without its literals and comments, on one line.

    `WHERE id IN (7, 8)` is `WHERE id IN (?, ...)`: how long a list was does not show either.
    """
    shape = _TOKEN.sub(_replacement, text).strip(" ;")
    shape = _SIGNED.sub(r"\1?", shape)
    shape = _LIST.sub("?, ...", shape)
    return _ROWS.sub(r"\1, ...", shape)


def _replacement(token: re.Match[str]) -> str:
    if token["kept"] is not None:
        return token["kept"]
    return "?" if token["literal"] is not None else " "
