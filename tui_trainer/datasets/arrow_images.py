"""Encoded images inside of Parquet, Arrow files and saved data sets; decoded when they are asked for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.arrow import ArrowData
from tui_trainer.datasets.labelled_arrays import TARGETS
from tui_trainer.errors import FileError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pyarrow

LARGEST_PARQUET = 1 << 30
"""Bytes of Parquet files, which can't be mapped: their images are held in memory, encoded."""


@dataclass(frozen=True)
class EncodedImage:
    """An image file inside of another file.

    Attributes:
        name: its place, for messages.
        data: its bytes; None: it lies in a file of its own.
        path: that file.
    """

    name: str
    data: bytes | None
    path: str | None = None

    def __str__(self) -> str:
        return self.name

    def opened(self) -> Any:
        """What Pillow opens."""
        return self.path if self.data is None else io.BytesIO(self.data)

    def __len__(self) -> int:
        return len(self.data or b"")


class ArrowImages(Sequence[EncodedImage]):
    """The images of a column, as far as `rows` tells.

    Args:
        data: the files.
        files: those of one split.
        column: of the images.
        rows: int64, which of the files' rows; None: all.
    """

    def __init__(
        self, data: ArrowData, files: Sequence[Path], column: str, rows: NDArray[np.int64] | None = None
    ) -> None:
        self._data = data
        self._files = tuple(files)
        self._column = column
        self._arrays: list[pyarrow.Array] | None = None
        self._starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self.rows = np.arange(data.rows(files)) if rows is None else rows

    def __getstate__(self) -> dict[str, Any]:
        # Loader processes map the files by themselves.
        return self.__dict__ | {"_arrays": None}

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> EncodedImage: ...
    @overload
    def __getitem__(self, index: slice) -> ArrowImages: ...
    def __getitem__(self, index: int | slice) -> EncodedImage | ArrowImages:
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        row = int(self.rows[index])
        arrays = self._opened()
        number = int(np.searchsorted(self._starts, row, "right")) - 1
        value = arrays[number][row - int(self._starts[number])].as_py()
        name = f"{self._files[0] if len(self._files) == 1 else self._data.path}: row {row}"
        if isinstance(value, dict):
            data, path = value.get("bytes"), value.get("path")
        else:
            data, path = value, None
        if data is None and not path:
            raise FileError("image missing", f"{name} has no image", "take the row out")
        return EncodedImage(name, data, path)

    def select(self, rows: NDArray[np.int64]) -> ArrowImages:
        """Those at these positions."""
        chosen = ArrowImages(self._data, self._files, self._column, self.rows[rows])
        chosen._arrays, chosen._starts = self._arrays, self._starts
        return chosen

    def _opened(self) -> list[pyarrow.Array]:
        if self._arrays is None:
            arrays = [batch.column(0) for batch in self._data.batches(self._files, [self._column])]
            # Last, since several threads decode.
            self._starts = np.cumsum([0, *map(len, arrays)])[:-1]
            self._arrays = arrays
        return self._arrays


def arrow_images(data: ArrowData, label: str | None) -> list[tuple[ArrowImages, NDArray[Any]] | None]:
    """Images and their labels, for each split.

    Args:
        data: the files.
        label: the column of the labels; None: the one of classes, or the one of such a name.

    Returns:
        Of each split the images and the labels, as texts or numbers; None where there is none.

    Raises:
        UsageError: no such column, or it is not plain which is meant.
        FileError: no column of images, a missing label, or more Parquet than memory should hold.
    """
    column = _image_column(data)
    label = _label_column(data, label)
    found: list[tuple[ArrowImages, NDArray[Any]] | None] = []
    for files in data.splits:
        size = sum(file.stat().st_size for file in files if file.suffix == ".parquet")
        if size > LARGEST_PARQUET:
            raise FileError(
                "too much Parquet for memory",
                f"{data.path} holds {size:,} bytes of images; {LARGEST_PARQUET:,} is the most",
                "save it as Arrow, which can be mapped: datasets.load_dataset(…).save_to_disk(FOLDER)",
            )
        labels = _labels(data, files, label)
        found.append((ArrowImages(data, files, column), labels) if files else None)
    return found


def image_columns(data: ArrowData) -> list[str]:
    """Names of the columns of encoded images."""
    import pyarrow.types as is_a

    def holds_images(field: Any) -> bool:
        feature = data.features.get(field.name)
        if isinstance(feature, dict) and feature.get("_type") == "Image":
            return True
        kind = field.type
        if is_a.is_struct(kind):
            return "bytes" in {kind.field(i).name for i in range(kind.num_fields)}
        return bool(is_a.is_binary(kind) or is_a.is_large_binary(kind))

    return [str(field.name) for field in data.schema if holds_images(field)]


def _image_column(data: ArrowData) -> str:
    found = image_columns(data)
    if len(found) != 1:
        have = f"columns of images: {', '.join(found)}" if found else "no column of encoded images"
        message = f"{data.path} holds {have}; its columns are {', '.join(data.schema.names)}"
        raise FileError("no column of images", message, "keep one column of images (bytes of PNG, JPEG, …)")
    return found[0]


def _label_column(data: ArrowData, label: str | None) -> str:
    names = [str(name) for name in data.schema.names]
    if label is not None:
        if label not in names:
            message = f'label_column: {data.path} has no column "{label}"{did_you_mean(label, names)}'
            raise UsageError("no such column", message, f"its columns: {', '.join(names)}")
        return label
    found = [name for name in names if data.classes(name)]
    found = found or [name for name in names if name.lower() in TARGETS]
    if len(found) != 1:
        message = f"{data.path} has the columns {', '.join(names)}"
        raise UsageError("which are the labels?", message, "name the column with --label_column")
    return str(found[0])


def _labels(data: ArrowData, files: Sequence[Path], label: str) -> NDArray[Any]:
    classes = data.classes(label)
    values = [value for batch in data.batches(files, [label]) for value in batch.column(0).to_pylist()]
    for row, value in enumerate(values):
        known = (
            isinstance(value, int) and 0 <= value < len(classes) if classes else isinstance(value, str | int)
        )
        if not known:
            message = f'{data.path}: row {row}: "{label}" is {value!r}'
            title = "label missing" if value is None else "labels are no classes"
            raise FileError(title, message, "give each image a class: a text or a whole number")
    return np.array([classes[value] for value in values] if classes else values)
