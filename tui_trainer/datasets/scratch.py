"""Arrays that grow piece by piece: in memory, or, of large data, in a file that nothing else sees.

The file has no name, so it is gone with the process, however that ends. It lies in the cache folder and not
in /tmp, which is memory on many machines.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tui_trainer.errors import FileError

LARGE = 256 << 20
"""Bytes of data from which on arrays are mapped from a file instead of kept in memory."""

_PIECE = 1 << 20


class Scratch:
    """Arrays of one type, each as long as what is appended to it.

    Args:
        arrays: how many there are.
        most: elements that each may come to have; the file is sparse, so a bound far too high costs nothing.
        dtype: of the elements.
        size: about how many bytes they will be, which decides between memory and file.

    Raises:
        FileError: the file can't be made.
    """

    def __init__(self, arrays: int, most: int, dtype: DTypeLike, size: int) -> None:
        self._dtype = np.dtype(dtype)
        self._most = most
        self._lengths = [0] * arrays
        self._parts: list[list[NDArray[Any]]] = [[] for _ in range(arrays)]
        self._file: IO[bytes] | None = None
        if size > LARGE:
            try:
                self._file = tempfile.TemporaryFile(dir=_folder())
            except OSError as error:
                raise _no_space(error) from error

    def append(self, index: int, values: NDArray[Any]) -> None:
        """Add values to the end of an array.

        Args:
            index: of the array, from 0.
            values: of any shape; they are added in C order.

        Raises:
            FileError: the disk is full.
        """
        if self._file is None:
            self._parts[index].append(np.asarray(values, self._dtype).reshape(-1))
        else:
            self._write(index, self._lengths[index], np.ascontiguousarray(values, self._dtype))
        self._lengths[index] += values.size

    def clear(self, index: int) -> None:
        """Begin an array anew."""
        self._parts[index].clear()
        self._lengths[index] = 0

    def change(self, index: int, function: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        """Put function(values) in place of values, a piece at a time."""
        if self._file is None:
            self._parts[index] = [function(part) for part in self._parts[index]]
            return
        before = self.array(index)
        for start in range(0, len(before), _PIECE):
            piece = np.ascontiguousarray(function(before[start : start + _PIECE]), self._dtype)
            self._write(index, start, piece)

    def array(self, index: int) -> NDArray[Any]:
        """All that was appended, in one dimension. Changes of it stay in memory."""
        length = self._lengths[index]
        if self._file is not None and length:
            start = index * self._most * self._dtype.itemsize
            return np.memmap(self._file, self._dtype, "c", start, (length,))
        parts = self._parts[index]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, self._dtype), *parts])

    def _write(self, index: int, at: int, values: NDArray[Any]) -> None:
        assert self._file is not None
        # Written, not mapped: a full disk is then an error, and not a signal that ends the process.
        data = memoryview(values.reshape(-1).view(np.uint8).data)
        offset = (index * self._most + at) * self._dtype.itemsize
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, offset)
                data, offset = data[written:], offset + written
        except OSError as error:
            raise _no_space(error) from error


def _folder() -> Path:
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("tui-trainer", appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _no_space(error: OSError) -> FileError:
    import platformdirs

    folder = platformdirs.user_cache_dir("tui-trainer", appauthor=False)
    return FileError(
        "no room for large data",
        f"{folder}: {error.strerror or error}",
        "data that do not fit into memory are kept there while they are used; free some of its disk, "
        "or set XDG_CACHE_HOME to a folder with more",
    )
