"""Tables: CSV and its relatives, and those that come with scikit-learn.

A table is read a piece at a time and kept by column, as float64 or as codes of its distinct texts, so that a
million rows of twenty columns take seconds and some hundred megabytes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from tui_trainer.errors import FileError

BuiltIn = Literal["breast_cancer", "diabetes", "iris", "wine"]

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
"""What stands for a missing value, in any case and with any white space around it."""

DELIMITERS = (",", "\t", ";", "|")

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf(inity)?", re.I)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_MISSING_AS_WRITTEN = frozenset(form(text) for text in MISSING for form in (str, str.upper, str.title)) | {
    "NaN"
}
_PIECE = 1 << 14
_MOSTLY = 0.9


@dataclass(frozen=True)
class Column:
    """One column. Either `numbers` or `codes` is there.

    Attributes:
        name: from the header.
        numbers: float64 [rows], NaN where missing; None if some value is no number.
        codes: int64 [rows], indices into `texts`, −1 where missing.
        texts: the distinct values without surrounding white space, in the order of their first row.
    """

    name: str
    numbers: NDArray[np.float64] | None = None
    codes: NDArray[np.int64] | None = None
    texts: tuple[str, ...] = ()

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
        return self._first(lambda text: _NUMBER.fullmatch(text) is None)

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
        return self._share(_NUMBER)

    def decimal_commas(self) -> bool:
        """Whether these are numbers with a comma for the point, as much of Europe writes them."""
        if self.numbers is not None or self._share(_DECIMAL_COMMA) < 1 - _MOSTLY:
            return False
        return self._share(_DECIMAL_COMMA, _NUMBER) > _MOSTLY

    def mostly_numbers(self) -> bool:
        """Whether so many values are numbers that the others are likely mistakes."""
        return self.numbers is None and self.number_share() > _MOSTLY

    def _share(self, *patterns: re.Pattern[str]) -> float:
        assert self.codes is not None
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))
        alike = [any(pattern.fullmatch(text) for pattern in patterns) for text in self.texts]
        return float(counts[np.array(alike, bool)].sum() / max(counts.sum(), 1))


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes:
        source: the file's path, or the built-in table's name.
        columns: by name, in the header's order.
        rows: how many rows there are.
    """

    source: str
    columns: dict[str, Column]
    rows: int
    _file: _File | None = field(default=None, repr=False)

    def where(self, row: int) -> str:
        """`FILE:LINE` of a row, found by reading the file again, for messages."""
        return self.source if self._file is None else f"{self.source}:{self._file.line(row)}"

    def value(self, name: str, row: int) -> str:
        """A value as a message quotes it."""
        column = self.columns[name]
        if column.numbers is not None:
            return f"{column.numbers[row]:g}"
        assert column.codes is not None
        text = column.texts[column.codes[row]]
        return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}…"'


def read_table(path: Path, texts: Collection[str] = ()) -> Table:
    """Read a CSV, TSV or other delimited text table (UTF-8, with or without BOM) whose first row is a header.

    The delimiter is the one of `DELIMITERS` that cuts the header into most columns. A column is numeric when
    every value in it is a number or missing (see `MISSING`). Columns without a name, such as the index that
    pandas writes, and blank lines are left out.

    Args:
        path: the file.
        texts: columns to take as text even when all their values are numbers.

    Raises:
        FileError: a missing, empty, binary or malformed file; the message names the line.
    """
    file = _File.open(path)
    columns = [_Builder(name, name in texts) for name in file.names]
    rows = _fill(file, columns)
    if rows == 0:
        raise FileError("table without rows", f"{path} holds a header and no row", "give it rows")
    # A first pass may find out late that a column is text; what it had dropped by then is read once more.
    late = [column for column in columns if column.late]
    if late:
        again = [_Builder(c.name, True) if c.late else None for c in columns]
        _fill(file, again)
        columns = [new or old for new, old in zip(again, columns, strict=True)]
    return Table(str(path), {c.name: c.column() for c in columns if c.name}, rows, file)


def _fill(file: _File, columns: list[Any]) -> int:
    rows = 0
    for piece in file.pieces():
        for column, values in zip(columns, zip(*piece, strict=True), strict=True):
            if column is not None and column.name:
                column.add(values)
        rows += len(piece)
    return rows


class _Builder:
    """One column while it is read."""

    def __init__(self, name: str, text: bool) -> None:
        self.name = name
        self.late = False
        self._text = text
        self._parts: list[NDArray[Any]] = []
        self._codes: dict[str, int] = {}

    def add(self, values: tuple[str, ...]) -> None:
        if self.late:
            return
        if not self._text:
            try:
                self._parts.append(_numbers(values))
                return
            except ValueError:
                if self._parts:
                    self.late = True
                    self._parts.clear()
                    return
                self._text = True
        codes = self._codes
        self._parts.append(
            np.fromiter((codes.setdefault(v, len(codes)) for v in values), np.int64, len(values))
        )

    def column(self) -> Column:
        values = np.concatenate(self._parts)
        if not self._text:
            return Column(self.name, numbers=values)
        final: dict[str, int] = {}
        recode = np.empty(len(self._codes), np.int64)
        for raw, code in self._codes.items():
            text = raw.strip()
            recode[code] = -1 if text.lower() in MISSING else final.setdefault(text, len(final))
        return Column(self.name, codes=recode[values], texts=tuple(final))


def _numbers(values: tuple[str, ...]) -> NDArray[np.float64]:
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
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


@dataclass(frozen=True)
class _File:
    """A delimited text file whose header has been checked."""

    path: Path
    delimiter: str
    names: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> _File:
        header = _first_line(path)
        delimiter = max(_candidates(path), key=lambda each: len(_split(header, each)))
        found = next(_rows(path, delimiter), None)
        if found is None:
            raise FileError("empty table", f"{path} holds nothing", "give it a header and rows")
        line, cells = found
        names = tuple(cell.strip() for cell in cells)
        _check_header(f"{path}:{line}", names)
        return cls(path, delimiter, names)

    def pieces(self) -> Iterator[list[list[str]]]:
        """Rows below the header, some thousand at a time."""
        with _open(self.path) as file:
            reader = _reader(file, self.delimiter)
            try:
                while not next(reader):
                    pass
                while piece := list(islice(reader, _PIECE)):
                    piece = [row for row in piece if row]
                    if any(len(row) != len(self.names) for row in piece):
                        self._refuse_ragged()
                    if piece:
                        yield piece
            except csv.Error as error:
                raise FileError(
                    "malformed table", f"{self.path}:{reader.line_num}: {error}", "look for an unpaired quote"
                ) from error
            except UnicodeDecodeError as error:
                _refuse_encoding(self.path, error)
            except OSError as error:
                _refuse_unreadable(self.path, error)

    def line(self, row: int) -> int:
        """The line, from 1, on which a row (from 0, below the header) begins."""
        rows = _rows(self.path, self.delimiter)
        next(rows)
        return next(islice(rows, row, None))[0]

    def _refuse_ragged(self) -> NoReturn:
        expected = len(self.names)
        line, cells = next(found for found in _rows(self.path, self.delimiter) if len(found[1]) != expected)
        held = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
        raise FileError(
            "ragged table",
            f"{self.path}:{line} has {held}, the header {expected}",
            "put texts that hold the delimiter in double quotes",
        )


def _open(path: Path) -> IO[str]:
    return open(path, encoding="utf-8-sig", newline="")


def _reader(file: IO[str], delimiter: str) -> Any:
    return csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(_reader([line], delimiter), [])  # type: ignore[arg-type]
    except csv.Error:
        return []


def _candidates(path: Path) -> tuple[str, ...]:
    return ("\t", *DELIMITERS) if path.suffix.lower() in (".tsv", ".tab") else DELIMITERS


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, cells) of every row that is not blank, the header included."""
    with _open(path) as file:
        reader = _reader(file, delimiter)
        begin = 1
        try:
            for cells in reader:
                if cells:
                    yield begin, cells
                begin = reader.line_num + 1
        except csv.Error as error:
            raise FileError(
                "malformed table", f"{path}:{reader.line_num}: {error}", "look for an unpaired quote"
            ) from error
        except UnicodeDecodeError as error:
            _refuse_encoding(path, error)


def _first_line(path: Path) -> str:
    """The first line that is not blank, with its line end.

    Raises:
        FileError: the file is missing, unreadable, empty, or no text.
    """
    if path.is_dir():
        raise FileError("table not found", f"{path} is a folder", "dataset_path must name a CSV or TSV file")
    try:
        with open(path, "rb") as raw:
            head = raw.read(1 << 16)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise FileError("table not in UTF-8", f"{path} is UTF-16", "save it as UTF-8")
        if b"\0" in head:
            raise FileError(
                "not a text table", f"{path} is a binary file", "export it as CSV with a header row"
            )
        with _open(path) as file:
            return next((line for line in file if line.strip()), "")
    except FileNotFoundError as error:
        raise FileError("table not found", f"{path} does not exist", "check dataset_path") from error
    except UnicodeDecodeError as error:
        _refuse_encoding(path, error)
    except OSError as error:
        _refuse_unreadable(path, error)


def _refuse_unreadable(path: Path, error: OSError) -> NoReturn:
    raise FileError(
        "table unreadable", f"{path}: {error.strerror or error}", "check its permissions"
    ) from error


def _refuse_encoding(path: Path, error: UnicodeDecodeError) -> NoReturn:
    byte = error.object[error.start]
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError as inner:
                where, byte = f"{path}:{number}", line[inner.start]
                break
        else:
            where = str(path)
    raise FileError(
        "table not in UTF-8",
        f"{where}: byte 0x{byte:02x} is no UTF-8",
        "save it as UTF-8; spreadsheets offer it",
    ) from error


def _check_header(where: str, names: tuple[str, ...]) -> None:
    named = [name for name in names if name]
    if named and all(_NUMBER.fullmatch(name) for name in named):
        first = ", ".join(named[:5])
        raise FileError(
            "table without a header", f"{where}: the first row is all numbers: {first}", "add a header row"
        )
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise FileError(
            "column names not unique", f"{where}: twice in the header: {', '.join(twice)}", "rename one"
        )
    if len(names) < 2:
        raise FileError(
            "table of one column",
            f"{where}: the header has one column",
            "columns are delimited by a comma, tab, semicolon or |",
        )


def built_in_table(name: BuiltIn) -> Table:
    """A table of scikit-learn's. Its target column is called `target`; classes are named in words."""
    from sklearn import datasets

    loaded: Any = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    columns = {
        str(column): Column(str(column), numbers=np.ascontiguousarray(loaded.data[:, i], np.float64))
        for i, column in enumerate(loaded.feature_names)
    }
    if hasattr(loaded, "target_names"):
        texts = tuple(str(text) for text in loaded.target_names)
        columns["target"] = Column("target", codes=loaded.target.astype(np.int64), texts=texts)
    else:
        columns["target"] = Column("target", numbers=loaded.target.astype(np.float64))
    return Table(name, columns, len(loaded.target))
