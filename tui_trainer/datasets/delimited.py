"""Delimited text, such as CSV: its dialect, its rows, and mistakes named by their line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

from tui_trainer.datasets.columns import NUMBER
from tui_trainer.errors import FileError
from tui_trainer.files import open_plain

DELIMITERS = (",", "\t", ";", "|")

PIECE = 1 << 14
"""Rows that are read at once."""


@dataclass(frozen=True)
class Delimited:
    """A delimited text file whose header has been checked."""

    path: Path
    delimiter: str
    names: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> Delimited:
        delimiter = delimiter_of(path)
        found = next(rows_of(path, delimiter), None)
        if found is None:
            raise FileError("empty table", f"{path} holds nothing", "give it a header and rows")
        line, cells = found
        if cells[0].startswith(("{", "[")):
            raise FileError(
                "which format is it?",
                f"{path}:{line} looks like JSON, and the file's name does not end so",
                "name it .jsonl if it has an object a line, .json if it is one list",
            )
        names = tuple(cell.strip() for cell in cells)
        _check_header(f"{path}:{line}", names)
        return cls(path, delimiter, names)

    parts = None
    target = None

    @property
    def most_rows(self) -> int:
        """Each cell takes a byte at least, with the delimiter or line end after it."""
        return self.size // len(self.names) + 1

    @property
    def size(self) -> int:
        """Bytes of the file; a number takes about as many when it is read."""
        return self.path.stat().st_size

    def where(self, row: int) -> str:
        """`FILE:LINE` of a row."""
        return f"{self.path}:{self.line(row)}"

    def pieces(self) -> Iterator[Iterable[tuple[str, ...]]]:
        """For each column its cells, some thousand rows at a time."""
        for rows in self._rows():
            yield zip(*rows, strict=True)

    def _rows(self) -> Iterator[list[list[str]]]:
        with _open(self.path) as file:
            reader = _reader(file, self.delimiter)
            try:
                while not next(reader):
                    pass
                while piece := list(islice(reader, PIECE)):
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

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line on which it begins, cells) of each row below the header, one by one."""
        rows, expected = rows_of(self.path, self.delimiter), len(self.names)
        next(rows)
        for line, cells in rows:
            if len(cells) != expected:
                held = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
                raise FileError(
                    "ragged table",
                    f"{self.path}:{line} has {held}, the header {expected}",
                    "put texts that hold the delimiter in double quotes",
                )
            yield line, cells

    def line(self, row: int) -> int:
        """The line, from 1, on which a row (from 0, below the header) begins."""
        return next(islice(self.rows(), row, None))[0]

    def _refuse_ragged(self) -> NoReturn:
        for _ in self.rows():
            pass
        raise AssertionError("a row that is ragged is ragged when it is read again")


def delimiter_of(path: Path) -> str:
    """The one of `DELIMITERS` that cuts the first line into most cells.

    Raises:
        FileError: the file is missing, unreadable, or no text.
    """
    line = first_line(path)
    tabs_first = path.suffix.lower() in (".tsv", ".tab")
    candidates = ("\t", *DELIMITERS) if tabs_first else DELIMITERS
    return max(candidates, key=lambda each: len(_split(line, each)))


def _open(path: Path) -> IO[str]:
    return open(path, encoding="utf-8-sig", newline="")


def _reader(file: IO[str], delimiter: str) -> Any:
    return csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(_reader([line], delimiter), [])  # type: ignore[arg-type]
    except csv.Error:
        return []


def rows_of(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
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


def first_line(path: Path) -> str:
    """The first line that is not blank, with its line end.

    Raises:
        FileError: the file is missing, unreadable, empty, or no text.
    """
    if os.path.isdir(path):
        raise FileError(
            "table not found",
            f"{path} is a folder",
            "name a file, such as a CSV; only a folder of Parquet or .npy files is a table",
        )
    try:
        # Neither a pipe nor a device, which might never say anything.
        with open_plain(path) as raw:
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
    if named and all(NUMBER.fullmatch(name) for name in named):
        first = ", ".join(named[:5])
        raise FileError(
            "table without a header", f"{where}: the first row is all numbers: {first}", "add a header row"
        )
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise FileError(
            "column names not unique", f"{where}: twice in the header: {', '.join(twice)}", "rename one"
        )
