"""Tables that pyarrow reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.arrow import ArrowData

if TYPE_CHECKING:
    import pyarrow

_INDEX = "__index_level_0__"
"""The row numbers that pandas writes beside the columns."""


@dataclass(frozen=True)
class ArrowTable:
    """Columns of Parquet, Arrow, or a saved data set: numbers, texts, times as texts.

    Attributes:
        data: the files.
    """

    data: ArrowData

    @classmethod
    def open(cls, path: Path) -> ArrowTable:
        """Look at the files, see `ArrowData.open`."""
        return cls(ArrowData.open(path))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple("" if name == _INDEX else name for name in self.data.schema.names)

    @cached_property
    def _rows(self) -> tuple[int, int, int]:
        train, val, test = (self.data.rows(files) for files in self.data.splits)
        return train, val, test

    @property
    def most_rows(self) -> int:
        return sum(self._rows)

    @property
    def size(self) -> int:
        return self.most_rows * len(self.names) * 8

    @property
    def parts(self) -> tuple[int, int, int] | None:
        return self._rows if any(self._rows[1:]) else None

    @property
    def target(self) -> str | None:
        """The only column whose numbers stand for classes."""
        found = [name for name in self.names if self.data.classes(name)]
        return found[0] if len(found) == 1 else None

    def where(self, row: int) -> str:
        """Rows are counted from 0, over all files."""
        return f"{self.data.path}: row {row}"

    def pieces(self) -> Iterator[list[Any]]:
        """For each column its numbers or texts, some thousand rows at a time."""
        names = self.data.schema.names
        for files in self.data.splits:
            for batch in self.data.batches(files, names):
                columns = zip(names, batch.columns, strict=True)
                yield [_values(column, self.data.classes(name)) for name, column in columns]


def _values(column: pyarrow.Array, classes: tuple[str, ...] | None) -> NDArray[Any] | list[str] | str:
    import pyarrow
    import pyarrow.types as is_a

    kind = column.type
    if is_a.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if classes and is_a.is_integer(kind):
        codes = column.to_pylist()
        return [classes[c] if c is not None and 0 <= c < len(classes) else "" for c in codes]
    if is_a.is_boolean(kind) or is_a.is_temporal(kind):
        # Truth and time as CSV has them.
        column = column.cast(pyarrow.string())
        kind = column.type
    if is_a.is_string(kind) or is_a.is_large_string(kind) or is_a.is_string_view(kind):
        return [text or "" for text in column.to_pylist()]
    if is_a.is_null(kind):
        return np.full(len(column), np.nan)
    if is_a.is_integer(kind) or is_a.is_floating(kind) or is_a.is_decimal(kind):
        if not is_a.is_integer(kind) or column.null_count:
            # Whole numbers stay so where they can: as categories or identifiers they need all their digits.
            if is_a.is_integer(kind) and _beyond_float(column):
                return ["" if number is None else str(number) for number in column.to_pylist()]
            column = column.cast(pyarrow.float64(), safe=False)
        numbers: NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return numbers
    return f"values of type {kind}"


def _beyond_float(column: pyarrow.Array) -> bool:
    """Whether some whole number has more digits than float64 keeps."""
    import pyarrow.compute as compute

    span = compute.min_max(column).as_py()
    return span["min"] is not None and (span["min"] < -(2**53) or span["max"] > 2**53)
