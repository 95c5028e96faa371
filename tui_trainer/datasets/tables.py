"""Tables of every format, and those that come with scikit-learn.

A table is read a piece at a time and kept by column, as float64 or as codes of its distinct texts, so that a
million rows of twenty columns take seconds and some hundred megabytes; a larger one is mapped from a file
(see `scratch`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.columns import Column, ColumnBuilder
from tui_trainer.datasets.delimited import Delimited
from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.scratch import Scratch
from tui_trainer.errors import FileError

BuiltIn = Literal["breast_cancer", "diabetes", "iris", "wine"]

Values = Sequence[str] | NDArray[Any] | str
"""A piece of a column: texts as a text file holds them, numbers, or why the column can't be used."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes:
        source: the file's path, or the built-in table's name.
        columns: by name, in the file's order.
        rows: how many rows there are.
        parts: how many of them train, validate and test, in this order, where the data say so.
        target: the column that the data call the target, if they do.
    """

    source: str
    columns: dict[str, Column]
    rows: int
    parts: tuple[int, int, int] | None = None
    target: str | None = None
    _place: Callable[[int], str] | None = field(default=None, repr=False)

    def where(self, row: int) -> str:
        """`FILE:LINE` of a row, found by reading the file again, or `FILE: row N`, for messages."""
        return f"{self.source}: row {row}" if self._place is None else self._place(row)

    def value(self, name: str, row: int) -> str:
        """A value as a message quotes it."""
        column = self.columns[name]
        if column.numbers is not None:
            return f"{column.numbers[row]:g}"
        assert column.codes is not None
        text = column.texts[column.codes[row]]
        return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}…"'


class TableFile(Protocol):
    """What a reader of one format tells of a table."""

    @property
    def names(self) -> Sequence[str]:
        """Of the columns; those without one are left out."""
        ...

    @property
    def most_rows(self) -> int:
        """A bound of how many rows there are."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes the values take."""
        ...

    @property
    def parts(self) -> tuple[int, int, int] | None:
        """As in `Table`."""
        ...

    @property
    def target(self) -> str | None:
        """As in `Table`."""
        ...

    def pieces(self) -> Iterator[Iterable[Values]]:
        """The rows, some thousand at a time: for each column its values."""
        ...

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        ...


def read_table(path: Path, texts: Collection[str] = ()) -> Table:
    """Read a table: CSV, TSV or other delimited text, JSON records, NumPy arrays, Parquet, Arrow.

    A column of a text format is numeric when every value in it is a number or missing (see `MISSING`).
    Columns without a name, such as the index that pandas writes, and blank lines are left out.

    Args:
        path: the file or folder.
        texts: columns to take as text even when all their values are numbers.

    Raises:
        FileError: a missing, empty, binary or malformed file; the message names the line, where there are
            lines.
    """
    file = _opened(path)
    store = Scratch(len(file.names), file.most_rows, np.int64, file.size)
    columns = [ColumnBuilder(name, name in texts, store, i) for i, name in enumerate(file.names)]
    rows = _fill(file, columns)
    if all(column.unusable for column in columns):
        message = f'{path}: no column can be used; "{columns[0].name}" holds {columns[0].unusable}'
        raise FileError("no column of use", message, "give columns of numbers or texts")
    if rows == 0:
        raise FileError("table without rows", f"{path} holds a header and no row", "give it rows")
    # A first pass may find out late that a column is text; what it had dropped by then is read once more.
    late = [column for column in columns if column.late]
    for column in late:
        column.restart()
    if late:
        _fill(file, [column if column in late else None for column in columns])
    found = {column.name: column.column() for column in columns if column.name}
    return Table(str(path), found, rows, file.parts, file.target, file.where)


def read_header(path: Path) -> tuple[tuple[str, ...], str | None]:
    """Names of a table's columns, and its target where the data tell, without reading its rows.

    Raises:
        FileError: as `read_table`.
    """
    file = _opened(path)
    return tuple(name for name in file.names if name), file.target


def table_pieces(path: Path, texts: Collection[str] = ()) -> Iterator[Table]:
    """Some thousand rows at a time, each as a table of its own, for whoever looks at a row once.

    Args:
        path: the file or folder, as for `read_table`.
        texts: columns to take as text. Others are numeric where a piece has nothing but numbers and gaps.

    Raises:
        FileError: as `read_table` does.
    """
    file, start = _opened(path), 0
    for piece in file.pieces():
        store = Scratch(len(file.names), 0, np.int64, 0)
        columns = [ColumnBuilder(name, name in texts, store, i) for i, name in enumerate(file.names)]
        rows = _add(piece, columns)
        found = {column.name: column.column() for column in columns if column.name}

        def where(row: int, start: int = start) -> str:
            return file.where(start + row)

        yield Table(str(path), found, rows, file.parts, file.target, where)
        start += rows


def _opened(path: Path) -> TableFile:
    kind = format_of(path)
    if kind == "json":
        from tui_trainer.datasets.json_table import JsonTable

        return JsonTable.open(path)
    if kind in ("npy", "arrays"):
        from tui_trainer.datasets.array_table import open_array_table

        return open_array_table(path)
    if kind in ("parquet", "arrow", "saved"):
        from tui_trainer.datasets.arrow_table import ArrowTable

        return ArrowTable.open(path)
    return Delimited.open(path)


def _fill(file: TableFile, columns: Sequence[ColumnBuilder | None]) -> int:
    return sum(_add(piece, columns) for piece in file.pieces())


def _add(piece: Iterable[Values], columns: Sequence[ColumnBuilder | None]) -> int:
    """Add a piece to columns. Returns its rows."""
    rows = 0
    for column, values in zip(columns, piece, strict=True):
        if isinstance(values, str):
            if column is not None:
                column.unusable = values
            continue
        rows = len(values)
        if column is None or not column.name:
            continue
        if isinstance(values, np.ndarray):
            column.add_numbers(values)
        else:
            column.add(values)
    return rows


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
