"""IDX files: read as written, and refused with the file's name and the bytes that are there."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tui_trainer.datasets.idx import read_idx
from tui_trainer.errors import Exit, FileError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", sorted(CODES))
def test_round_trip(tmp_path: Path, dtype: str, zipped: bool) -> None:
    array = (np.arange(24).reshape(2, 3, 4) - 5).astype(dtype)
    data = idx_bytes(array)
    # The name says nothing; the first bytes do.
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(gzip.compress(data) if zipped else data)
    read = read_idx(path, dims=3)
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_array_can_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(idx_bytes(np.zeros((2, 2), np.uint8)))
    read_idx(path)[0, 0] = 1


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated IDX file: {path} holds 0 bytes"),
        (GOOD[:3], "holds 3 bytes, fewer than an IDX header"),
        (GOOD[:9], "holds 9 bytes, its header needs 16"),
        (GOOD[:-1], "truncated IDX file: {path} holds 27 bytes, its header (3, 2, 2) asks for 28"),
        (GOOD + b"x", "holds more than 28 bytes, its header (3, 2, 2) asks for 28"),
        (b"\x89PNG" + GOOD, "wrong magic number 89 50 4e 47"),
        (b"\0\0\x07\x03" + GOOD[4:], "wrong magic number 00 00 07 03"),
        (b"\0\0\x08\x00", "wrong magic number 00 00 08 00"),
        (b"\0\0\x08\x03" + b"\xff" * 4 + GOOD[8:], "holds 28 bytes, its header (4294967295, 2, 2) asks for"),
        (idx_bytes(np.zeros(3, np.uint8)), "has the shape (3,); 3 dimensions were expected"),
        (gzip.compress(GOOD, mtime=0)[:-12], "ends in the middle of its gzip stream"),
        (b"\x1f\x8b" + b"nonsense" * 4, "gzip"),
    ],
)
def test_bad_file(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(FileError) as caught:
        read_idx(path, dims=3)
    assert words.format(path=path) in str(caught.value)
    assert str(path) in caught.value.message
    assert caught.value.exit_code == Exit.FILE


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_idx(tmp_path / "absent")
