"""Arrays that NumPy saved: `.npy`, `.npz`, folders of `.npy`. Mapped where possible, never unpickled."""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tui_trainer.errors import FileError
from tui_trainer.files import open_plain

LARGEST_PACKED = 2 << 30
"""Bytes of a compressed array, which must be unpacked into memory."""

_CHUNK = 1 << 24
_LOCAL_HEADER = 30

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error)
"""What `zipfile` raises. A RuntimeError: a password or a rare kind of compression is needed."""


class Arrays(Mapping[str, NDArray[Any]]):
    """Arrays by name: of a `.npz`, or of the `.npy` files of a folder. Each is opened when it is asked for.

    Args:
        path: the `.npz`, or the folder.

    Raises:
        FileError: it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = os.path.isdir(path)
        if self._folder:
            self._names = sorted(file.stem for file in path.glob("*.npy"))
            return
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
        except OSError as error:
            raise _unreadable(path, error) from error
        except DAMAGED as error:
            raise FileError("damaged archive", f"{path}: {error}", "get the file again") from error
        self._names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
        if not self._names:
            raise FileError("no arrays", f"{path} holds no .npy", "numpy.savez writes such files")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array; mapped, unless it is compressed.

        Raises:
            KeyError: there is none of this name.
            FileError: it is damaged, holds Python objects, or is too large to unpack.
        """
        if name not in self._names:
            raise KeyError(name)
        if self._folder:
            return open_npy(self.path / f"{name}.npy")
        where = f"{self.path}: {name}.npy"
        try:
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(f"{name}.npy")
                with archive.open(info) as member:
                    dtype, shape, fortran = _header(where, member)
                    size = math.prod(shape) * dtype.itemsize
                    start, packed = info.file_size - size, info.compress_type != zipfile.ZIP_STORED
                    if packed and size > LARGEST_PACKED:
                        raise _too_large(where, size)
                    if start < 0:
                        raise _cut(where, info.file_size, size)
                    if not packed:
                        return _mapped(self.path, _offset(self.path, info) + start, dtype, shape, fortran)
                    data = _unpacked(member, size)
                    if len(data) < size:
                        raise _cut(where, len(data), size)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        except DAMAGED as error:
            raise FileError("damaged archive", f"{where}: {error}", "get the file again") from error
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def open_npy(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file, mapped into memory. Changes of it stay in memory.

    Raises:
        FileError: missing, unreadable, cut off, no `.npy`, or one that holds Python objects.
    """
    try:
        with open_plain(path) as file:
            dtype, shape, fortran = _header(str(path), file)
            start = file.tell()
            size, there = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size - start
        if there < size:
            raise _cut(str(path), there, size)
        return _mapped(path, start, dtype, shape, fortran)
    except OSError as error:
        raise _unreadable(path, error) from error


def texts_of(array: NDArray[Any]) -> list[str]:
    """The texts of an array of dtype U or S; bytes are UTF-8.

    Raises:
        ValueError: it holds numbers that are no characters.
    """
    if array.dtype.kind == "S":
        return [bytes(text).decode("utf-8", "replace") for text in array]
    points = np.ascontiguousarray(array).view(f"{array.dtype.byteorder}u4") if array.dtype.itemsize else array
    if points.size and array.dtype.itemsize and (int(points.max()) >= 0x110000 or _has_surrogates(points)):
        raise ValueError("texts that are no Unicode")
    return [str(text) for text in array]


def _has_surrogates(points: NDArray[Any]) -> bool:
    return bool(((points >= 0xD800) & (points < 0xE000)).any())


def _header(where: str, file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """dtype, shape, and whether the first index runs fastest."""
    try:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
    except (OSError, zipfile.BadZipFile, zlib.error):
        raise
    # A damaged header is Python that does not parse, or no dtype, and raises nearly anything.
    except Exception as error:
        message = f"{where}: {str(error).splitlines()[0] if str(error) else 'damaged header'}"
        raise FileError("no array of NumPy", message, "numpy.save writes such files") from error
    if dtype.hasobject:
        raise FileError(
            "array of Python objects",
            f"{where} holds a pickle, which may run any code when it is read",
            "save it with a dtype of numbers, such as array.astype('float32')",
        )
    if any(side < 0 for side in shape):
        raise FileError("no array of NumPy", f"{where} has the shape {shape}", "save it again")
    return dtype, shape, fortran


def _mapped(
    path: Path, start: int, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool
) -> NDArray[Any]:
    if math.prod(shape) * dtype.itemsize == 0:
        return np.empty(shape, dtype)
    # Copy-on-write rather than read-only, which torch warns of.
    return np.memmap(path, dtype, "c", start, shape, "F" if fortran else "C")


def _offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where in the archive a member's bytes begin."""
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:30])
    return info.header_offset + _LOCAL_HEADER + int(name) + int(extra)


def _too_large(where: str, size: int) -> FileError:
    return FileError(
        "array too large to unpack",
        f"{where} is compressed and takes {size:,} bytes; {LARGEST_PACKED:,} is the most",
        "save it with numpy.savez or numpy.save, which don't compress, so that it can be mapped",
    )


def _unpacked(file: IO[bytes], size: int) -> bytearray:
    """At most `size` bytes; a header that lies about them costs no memory."""
    data = bytearray()
    while len(data) < size and (part := file.read(min(_CHUNK, size - len(data)))):
        data += part
    return data


def _cut(where: str, there: int, size: int) -> FileError:
    message = f"{where} holds {max(there, 0):,} bytes of values, its header asks for {size:,}"
    return FileError("array is cut off", message, "get the file again")


def _unreadable(path: Path, error: OSError) -> FileError:
    if isinstance(error, FileNotFoundError):
        return FileError("array not found", f"{path} does not exist", "check dataset_path")
    message = f"{path}: {error.strerror or error}"
    return FileError("array unreadable", message, "check its permissions")
