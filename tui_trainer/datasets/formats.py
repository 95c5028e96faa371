"""Which format a file or folder has, by its first bytes rather than by its name."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Literal

from tui_trainer.datasets.arrays import DAMAGED
from tui_trainer.errors import FileError
from tui_trainer.files import open_plain

DataFormat = Literal["arrays", "npy", "parquet", "arrow", "saved", "folder", "json", "text"]
"""`arrays` is a `.npz`, or a folder of `.npy` files; `saved` a folder that Hugging Face's `datasets` wrote;
`json` a list or lines; `text` anything else, so its reader says what is wrong with it."""

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")

_SAVED = ("dataset_dict.json", "state.json")
_BINARY = {
    b"\x89HDF": ("an HDF5 file", "save its arrays with numpy.savez"),
    b"\x1f\x8b": ("packed by gzip", "unpack it with gunzip"),
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet or document", "export it as CSV"),
    b"SQLite format 3": ("an SQLite database", "export a table as CSV"),
    b"\x80\x04\x95": ("a pickle, which may run any code when it is read", "save arrays with numpy.savez"),
    b"\xfd7zXZ": ("packed by xz", "unpack it with unxz"),
    b"BZh": ("packed by bzip2", "unpack it with bunzip2"),
    b"(\xb5/\xfd": ("packed by zstd", "unpack it with unzstd"),
    b"%PDF-": ("a PDF", "export the data as CSV or text"),
}


def format_of(path: Path) -> DataFormat:
    """The format of a file or folder. What can't be opened counts as `text`, whose reader says why.

    Raises:
        FileError: it must not be read, or its format is known and not read here, such as gzip.
    """
    # Not pathlib, which raises where a folder above must not be looked into.
    if os.path.isdir(path):
        if any(os.path.isfile(path / name) for name in _SAVED):
            return "saved"
        if any(path.glob("*.npy")):
            return "arrays"
        return "parquet" if any(path.glob("*.parquet")) else "folder"
    try:
        with open_plain(path) as file:
            head = file.read(16)
    except PermissionError as error:
        raise FileError("file unreadable", f"{path}: {error.strerror}", "check its permissions") from error
    except OSError:
        return "text"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"ARROW1") or (head.startswith(b"\xff\xff\xff\xff") and path.suffix == ".arrow"):
        return "arrow"
    for magic, (what, hint) in _BINARY.items():
        if head.startswith(magic):
            raise FileError("format not read", f"{path} is {what}", hint)
    return "json" if path.suffix.lower() in JSON_SUFFIXES else "text"


def _zipped(path: Path) -> DataFormat:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, *DAMAGED):
        # A cut download of a .npz has no directory of its members.
        return "arrays" if path.suffix == ".npz" else "text"
    if any(name.startswith(("xl/", "content.xml")) for name in names):
        raise FileError("format not read", f"{path} is a spreadsheet", "export the sheet as CSV")
    if path.suffix != ".npz" and not any(name.endswith(".npy") for name in names):
        raise FileError("format not read", f"{path} is a zip archive", "unpack it with unzip")
    return "arrays"
