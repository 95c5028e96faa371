"""The language of filters: words, and `key=value`, `key!=value`, `key<value`, `key>value`.

`digits lr<1e-3 test/accuracy>0.9 name=night*`: everything that is said must hold. Quotes keep spaces
together.
"""

from __future__ import annotations

import math
import operator
import re
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

_TERM = re.compile(r"([^=<>!]*)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_WITH_UNIT = re.compile(r"(.*?[0-9.])(s|min|h|d)")
_NOTHING = ("none", "null", "")


class QueryError(ValueError):
    """A filter that can't be understood; the text says why."""


@dataclass(frozen=True)
class Since:
    """A value that grows: the seconds since a unix time."""

    then: float


@dataclass(frozen=True)
class Record:
    """What a filter is held against.

    Attributes:
        text: all that words are looked for in, in small letters.
        values: numbers and texts by key; keys in small letters.
    """

    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Term:
    """One condition on a key."""

    key: str
    sign: str
    value: str

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true. A key that is missing differs from everything, and is neither more nor less."""
        if self.key not in values:
            return self.sign == "!="
        found = values[self.key]
        if self.sign in _ORDER:
            number, wanted = as_number(found), as_number(self.value)
            return number is not None and wanted is not None and _ORDER[self.sign](number, wanted)
        return _same(found, self.value) == (self.sign == "=")


@dataclass(frozen=True)
class Query:
    """A filter: all words and all terms must hold."""

    words: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.terms)

    def matches(self, record: Record) -> bool:
        """Whether a record passes."""
        said = all(word in record.text for word in self.words)
        return said and all(term.holds(record.values) for term in self.terms)


def parse_query(text: str) -> Query:
    """The filter that somebody typed.

    Raises:
        QueryError: a term without a key, `<` or `>` with something that is no number, or a quote that is left
            open.
    """
    words: list[str] = []
    terms: list[Term] = []
    for part in _split(text):
        match = _TERM.fullmatch(part)
        if match is None:
            words.append(part.lower())
            continue
        key, sign, value = match[1].lower().replace("-", "_"), match[2], match[3]
        if not key:
            raise QueryError(f"{part}: nothing before the {sign}")
        if sign in _ORDER and not value:
            raise QueryError(f"{part}: no number after the {sign}")
        if sign in _ORDER and as_number(value) is None:
            raise QueryError(f"{part}: {value} is no number")
        terms.append(Term(key, sign, value))
    return Query(tuple(words), tuple(terms))


def _split(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:
        raise QueryError("a quote is left open") from None


def as_number(value: Any) -> float | None:
    """A number, or a text that is one, such as `1e-3` or `2h` in seconds; None for anything else."""
    if isinstance(value, Since):
        value = time.time() - value.then
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return None if math.isnan(value) else float(value)
    if not isinstance(value, str):
        return None
    unit = 1.0
    if (match := _WITH_UNIT.fullmatch(value)) is not None:
        value, unit = match[1], _UNITS[match[2]]
    try:
        number = float(value) * unit
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _same(found: Any, wanted: str) -> bool:
    wanted = wanted.lower()
    if isinstance(found, tuple):
        return any(_same(one, wanted) for one in found)
    if found is None:
        return wanted in _NOTHING
    if isinstance(found, bool):
        return wanted in (("true", "yes", "1") if found else ("false", "no", "0"))
    text = str(found).lower()
    if "*" in wanted or "?" in wanted:
        return fnmatchcase(text, wanted)
    if text == wanted:
        return True
    number = as_number(found)
    return number is not None and number == as_number(wanted)
