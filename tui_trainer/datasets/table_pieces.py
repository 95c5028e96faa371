"""A table piece by piece, for whoever looks at each row once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.datasets.tables import Table, _Builder, _File


def table_pieces(path: Path, texts: Collection[str] = ()) -> Iterator[Table]:
    """Some thousand rows at a time, each as a table of its own.

    Args:
        path: the file, as for `read_table`.
        texts: columns to take as text. Others are numeric where a piece has nothing but numbers and gaps.

    Raises:
        FileError: a missing, empty or malformed file; the message names the line.
    """
    file, start = _File.open(path), 0
    for piece in file.pieces():
        columns = {}
        for name, values in zip(file.names, zip(*piece, strict=True), strict=True):
            if name:
                builder = _Builder(name, name in texts)
                builder.add(values)
                columns[name] = builder.column()
        place: Any = _Place(file, start)
        yield Table(str(path), columns, len(piece), place)
        start += len(piece)


@dataclass(frozen=True)
class _Place:
    file: _File
    start: int

    def line(self, row: int) -> int:
        return self.file.line(self.start + row)
