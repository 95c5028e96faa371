"""Columns of a table, as float64 or as codes of their distinct texts, while they are read and afterwards."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.scratch import Scratch

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
"""What stands for a missing value, in any case and with any white space around it."""

MOST_TEXTS = 1_000_000
"""Different texts of a column that are kept; a column with more is an identifier or prose."""

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf(inity)?", re.I)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)\.0*")
_LARGE = re.compile(r"-?[0-9](\.[0-9]+)?e\+[0-9]{2}")
_TRUTH = frozenset({"true", "false"})
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_DAY = r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.]([0-9]{4}|[0-9]{2})"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"({_DAY}|{_MONTH} [0-9]{{1,2}},? [0-9]{{4}}|[0-9]{{1,2}}[ -]{_MONTH}[ -][0-9]{{4}})"
    r"([T ][0-9]{1,2}:[0-9]{2}.*)?",
    re.I,
)
_MISSING_AS_WRITTEN = frozenset(form(text) for text in MISSING for form in (str, str.upper, str.title)) | {
    "NaN"
}
_MOSTLY = 0.9


def canonical(text: str) -> str:
    """The one text of a category that formats write in several ways.

    Whole numbers lose their point and keep all their digits (pandas writes 2 as 2.0 in a column with gaps,
    and 10**16 as 1e+16); truth is `true` and `false`. All else, such as 007 or 2.50, stays as it is.
    """
    if _WHOLE.fullmatch(text):
        whole = text.partition(".")[0]
        return "0" if whole == "-0" else whole
    if _LARGE.fullmatch(text):
        number = Decimal(text)
        return f"{number:f}" if number == number.to_integral_value() else text
    return folded if (folded := text.lower()) in _TRUTH else text


@dataclass(frozen=True)
class Column:
    """One column. Either `numbers` or `codes` is there, unless it is `unusable`.

    Attributes:
        name: from the header.
        numbers: float64 [rows], NaN where missing; None if some value is no number.
        codes: int64 [rows], indices into `texts`, −1 where missing.
        texts: the distinct values without surrounding white space, in the order of their first row.
        unusable: why its values can't be learnt from, such as "a list"; empty where they can.
    """

    name: str
    numbers: NDArray[np.float64] | None = None
    codes: NDArray[np.int64] | None = None
    texts: tuple[str, ...] = ()
    unusable: str = ""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Bool [rows]."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.codes is not None
        return self.codes < 0

    def text(self, row: int) -> str | None:
        """The text of a row, of a column of texts; None where it is missing."""
        assert self.codes is not None
        code = int(self.codes[row])
        return None if code < 0 else self.texts[code]

    def first_text(self) -> int:
        """The first row whose value is no number, of a column that is not all numbers."""
        return self._first(lambda text: NUMBER.fullmatch(text) is None)

    def first_comma(self) -> int:
        """The first row with a decimal comma, of a column with `decimal_commas`."""
        return self._first(lambda text: _DECIMAL_COMMA.fullmatch(text) is not None)

    def _first(self, meant: Callable[[str], bool]) -> int:
        assert self.codes is not None
        texts = np.array([meant(text) for text in self.texts], bool)
        return int(np.flatnonzero(texts[self.codes] & (self.codes >= 0))[0])

    def number_share(self) -> float:
        """Which part of the values that are there are numbers, 0 to 1."""
        if self.numbers is not None:
            return 1.0
        return self._share(NUMBER)

    def decimal_commas(self) -> bool:
        """Whether these are numbers with a comma for the point, as much of Europe writes them."""
        if self.numbers is not None or self._share(_DECIMAL_COMMA) < 1 - _MOSTLY:
            return False
        return self._share(_DECIMAL_COMMA, NUMBER) > _MOSTLY

    def dates(self) -> bool:
        """Whether these are likely dates, with or without a time of day."""
        return self.numbers is None and self._share(_DATE) > _MOSTLY

    def mostly_numbers(self) -> bool:
        """Whether so many values are numbers that the others are likely mistakes."""
        return self.numbers is None and self.number_share() > _MOSTLY

    def _share(self, *patterns: re.Pattern[str]) -> float:
        assert self.codes is not None
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))
        alike = [any(pattern.fullmatch(text) for pattern in patterns) for text in self.texts]
        return float(counts[np.array(alike, bool)].sum() / max(counts.sum(), 1))


class ColumnBuilder:
    """One column while it is read. It is numeric until a text comes.

    Args:
        name: of the column.
        text: take even numbers as text.
        store: of int64, for the values of all columns.
        index: of this column's values in the store.

    Attributes:
        late: a text came after numbers whose digits are gone; all must be added once more, after `restart`.
        unusable: why the column can't be used, in words; empty where it can. What is added then is dropped.
    """

    def __init__(self, name: str, text: bool, store: Scratch, index: int) -> None:
        self.name = name
        self.late = False
        self.unusable = ""
        self._text = text
        self._store = store
        self._index = index
        self._begun = False
        self._codes: dict[str, int] = {}

    def restart(self) -> None:
        """Begin anew, as a column of texts."""
        self._store.clear(self._index)
        self.late, self._text = False, True

    def add(self, values: Sequence[str]) -> None:
        """Add values as a text file holds them."""
        if self.late or self.unusable:
            return
        if not self._text:
            try:
                self.add_numbers(numbers_of(values))
                return
            except ValueError:
                if self._begun:
                    self.late = True
                    return
                self._text = True
        self._append_codes(self._codes_of(values))

    def add_numbers(self, values: NDArray[Any]) -> None:
        """Add numbers, NaN where missing; in a column of texts as a text file would hold them."""
        if self.late or self.unusable:
            return
        if self._text:
            distinct, places = np.unique(values, return_inverse=True)
            self._append_codes(self._codes_of([_as_written(each) for each in distinct.tolist()])[places])
            return
        self._begun = True
        # The store's elements are 64 bits, whose meaning the column knows.
        self._store.append(self._index, np.ascontiguousarray(values, np.float64).view(np.int64))

    def _codes_of(self, texts: Sequence[str]) -> NDArray[np.int64]:
        codes = self._codes
        return np.fromiter((codes.setdefault(text, len(codes)) for text in texts), np.int64, len(texts))

    def _append_codes(self, codes: NDArray[np.int64]) -> None:
        self._store.append(self._index, codes)
        if len(self._codes) > MOST_TEXTS:
            self.unusable = f"more than {MOST_TEXTS:,} different texts"
            self._codes.clear()

    def column(self) -> Column:
        """The column, when all has been added."""
        if self.unusable:
            return Column(self.name, unusable=self.unusable)
        if not self._text:
            return Column(self.name, numbers=self._store.array(self._index).view(np.float64))
        final: dict[str, int] = {}
        recode = np.empty(len(self._codes), np.int64)
        for raw, code in self._codes.items():
            text = raw.strip()
            recode[code] = -1 if text.lower() in MISSING else final.setdefault(text, len(final))
        self._store.change(self._index, recode.__getitem__)
        return Column(self.name, codes=self._store.array(self._index), texts=tuple(final))


def _as_written(number: float) -> str:
    """A number as a text file would hold it: whole ones without a point, and nothing for NaN."""
    if math.isnan(number):
        return ""
    whole = isinstance(number, float) and number.is_integer() and abs(number) <= 2**53
    return str(int(number) if whole else number)


def numbers_of(values: Sequence[str]) -> NDArray[np.float64]:
    """Numbers of texts, NaN where missing.

    Raises:
        ValueError: some text is no number.
    """
    joined = "".join(values)
    # Python's float takes 1_000 and ٣ for numbers too, which no table means.
    if joined.isascii() and "_" not in joined:
        for numbers in (
            map(float, values),
            (np.nan if v in _MISSING_AS_WRITTEN else float(v) for v in values),
        ):
            try:
                return np.fromiter(numbers, np.float64, len(values))
            except ValueError:
                continue
    return np.fromiter(map(_number, values), np.float64, len(values))


def _number(text: str) -> float:
    text = text.strip()
    if text.lower() in MISSING:
        return np.nan
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)
