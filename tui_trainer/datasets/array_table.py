"""Tables of NumPy's arrays: a matrix, a structured array, or arrays X and y with or without a split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.arrays import Arrays, open_npy, texts_of
from tui_trainer.datasets.delimited import PIECE
from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.labelled_arrays import HINT, labelled_arrays
from tui_trainer.errors import FileError

TARGET = "y"
"""Column of the array that goes with the inputs. Columns of a matrix are named by their numbers from 0."""


@dataclass(frozen=True)
class ArrayTable:
    """Columns that lie in arrays, one after the other for each part of the data.

    Attributes:
        path: the file or folder.
        names: of the columns.
        columns: for each part, for each column, an array of one dimension.
        parts: as in `Table`.
        target: as in `Table`.
    """

    path: Path
    names: tuple[str, ...]
    columns: tuple[tuple[NDArray[Any], ...], ...]
    parts: tuple[int, int, int] | None = None
    target: str | None = None

    @property
    def most_rows(self) -> int:
        return sum(len(part[0]) for part in self.columns)

    @property
    def size(self) -> int:
        return self.most_rows * len(self.names) * 8

    def where(self, row: int) -> str:
        """Rows are counted from 0, as NumPy does."""
        return f"{self.path}: row {row}"

    def pieces(self) -> Iterator[list[Any]]:
        """For each column its numbers, or its texts, some thousand rows at a time."""
        for part in self.columns:
            for start in range(0, len(part[0]), PIECE):
                yield [_values(column[start : start + PIECE]) for column in part]


def _values(column: NDArray[Any]) -> NDArray[Any] | list[str] | str:
    if column.ndim > 1:
        return f"arrays of shape {column.shape[1:]}"
    if column.dtype.kind in "biuf":
        return column
    if column.dtype.kind in "US":
        try:
            return texts_of(column)
        except ValueError as error:
            return str(error)
    if column.dtype.kind in "Mm":
        return ["" if np.isnat(time) else str(time) for time in column]
    return f"values of dtype {column.dtype}"


def open_array_table(path: Path) -> ArrayTable:
    """The table of a `.npy`, a `.npz`, or a folder of `.npy` files.

    Raises:
        FileError: no array makes a table.
    """
    if format_of(path) == "npy":
        names, columns = _columns(str(path), open_npy(path))
        return ArrayTable(path, names, (columns,))
    arrays = Arrays(path)
    labelled = labelled_arrays(arrays)
    if labelled is None:
        return _unlabelled(arrays)
    splits = (labelled.train, labelled.val, labelled.test)
    found = [(part, *_columns(part.where, part.inputs)) for part in splits if part is not None]
    first = found[0]
    for part, names, _ in found:
        if names != first[1]:
            message = f"{part.where} has {len(names)} columns, {first[0].where} {len(first[1])}"
            raise FileError("parts differ", message, "give each part the same columns")
    train, val, test = (0 if part is None else len(part.targets) for part in splits)
    parts = (train, val, test) if len(found) > 1 else None
    filled = tuple((*columns, part.targets) for part, _, columns in found)
    return ArrayTable(path, (*first[1], TARGET), filled, parts, TARGET)


def _columns(where: str, array: NDArray[Any]) -> tuple[tuple[str, ...], tuple[NDArray[Any], ...]]:
    """Names and columns of a structured array, or of a matrix."""
    if array.dtype.names and array.ndim == 1:
        return array.dtype.names, tuple(array[name] for name in array.dtype.names)
    if array.ndim != 2 or 0 in array.shape:
        message = f"{where} has the shape {array.shape}; a table has rows and columns"
        hint = "the task images trains on arrays of images; reshape others to (rows, columns)"
        raise FileError("no table", message, hint)
    return tuple(map(str, range(array.shape[1]))), tuple(array.T)


def _unlabelled(arrays: Arrays) -> ArrayTable:
    """One array, or an array for each column."""
    found = dict(arrays)
    if len(found) == 1:
        name, array = found.popitem()
        names, columns = _columns(f"{arrays.path}: {name}", array)
        return ArrayTable(arrays.path, names, (columns,))
    if any(array.ndim != 1 for array in found.values()) or len({len(a) for a in found.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in list(found.items())[:20])
        raise FileError("which array is it?", f"{arrays.path} holds {shapes}", HINT)
    return ArrayTable(arrays.path, tuple(found), (tuple(found.values()),))
