"""IDX files, the format of MNIST and its relatives, plain or gzipped.

A header of two zero bytes, a type code, the number of dimensions, and each dimension as a big-endian uint32;
then the values, big-endian. Source: http://yann.lecun.com/exdb/mnist/ ("the IDX file format").
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.errors import FileError
from tui_trainer.files import open_plain

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""NumPy's name of each type code."""

MAX_DIMS = 8

_HINT = "download it again, or check that it is an IDX file such as train-images-idx3-ubyte"
_CHUNK = 1 << 24


def read_idx(path: Path, dims: int | None = None) -> NDArray[Any]:
    """Read a whole IDX file.

    Args:
        path: the file; gzip is known by its first bytes, not by its name.
        dims: how many dimensions it must have, for example 3 for gray images, 1 for labels.

    Returns:
        An array of the header's shape, in the machine's byte order.

    Raises:
        FileError: missing, unreadable, not IDX, truncated, or longer than its header says.
    """
    try:
        with open_plain(path) as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as file:
            dtype, shape, header = _header(path, file)  # type: ignore[arg-type]
            if dims is not None and len(shape) != dims:
                raise _bad(path, f"has the shape {shape}; {dims} dimensions were expected")
            expected = math.prod(shape) * dtype.itemsize
            data = _values(file, expected)  # type: ignore[arg-type]
    except EOFError as error:
        raise _bad(path, "ends in the middle of its gzip stream") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _bad(path, f"is damaged gzip: {error}") from error
    except OSError as error:
        raise FileError(
            "IDX file unreadable", f"{path}: {error.strerror or error}", "check the path"
        ) from error
    if len(data) != expected:
        more = "more than " if len(data) > expected else ""
        actual = header + min(len(data), expected)
        raise _bad(
            path,
            f"holds {more}{actual:,} bytes, its header {shape} asks for {header + expected:,}",
            "truncated IDX file" if len(data) < expected else "malformed IDX file",
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _header(path: Path, file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    magic = file.read(4)
    if len(magic) < 4:
        raise _bad(path, f"holds {len(magic)} bytes, fewer than an IDX header", "truncated IDX file")
    if magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= MAX_DIMS:
        known = "00 00, a type from 08 to 0e, and the number of dimensions"
        raise _bad(path, f"wrong magic number {magic.hex(' ')}; expected {known}")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        held = 4 + len(sizes)
        raise _bad(path, f"holds {held} bytes, its header needs {4 + 4 * magic[3]}", "truncated IDX file")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    return np.dtype(TYPES[magic[2]]), shape, 4 + len(sizes)


def _values(file: IO[bytes], expected: int) -> bytearray:
    """Up to one byte more than expected; a header that lies about the size costs no memory."""
    data = bytearray()
    while len(data) <= expected:
        part = file.read(min(_CHUNK, expected + 1 - len(data)))
        if not part:
            break
        data += part
    return data


def _bad(path: Path, message: str, title: str = "malformed IDX file") -> FileError:
    return FileError(title, f"{path} {message}", _HINT)
