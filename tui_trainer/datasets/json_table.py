"""Tables of JSON records: a list of objects, or an object a line. A key is a column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tui_trainer.datasets.delimited import PIECE
from tui_trainer.datasets.json_items import JsonItems, kind_of, quoted
from tui_trainer.errors import FileError

_FORM = 'expected a list of objects such as {"age": 31, "city": "Oslo"}; one a line in a .jsonl file'
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class JsonTable:
    """Records whose values are texts, numbers, true, false or null; a key that one lacks is missing there."""

    path: Path
    names: tuple[str, ...]
    most_rows: int
    parts = None
    target = None

    @classmethod
    def open(cls, path: Path) -> JsonTable:
        """Look at all records, since any of them may have a key that the others lack."""
        names: dict[str, None] = {}
        rows = 0
        for record, line in _items(path):
            rows += 1
            if not isinstance(record, dict):
                raise FileError("item is no record", f"{path}:{line} is {kind_of(record)}, no object", _FORM)
            names.update(dict.fromkeys(record))
        return cls(path, tuple(names), rows)

    @property
    def size(self) -> int:
        """Bytes of the file; a number takes about as many when it is read."""
        return self.path.stat().st_size

    def where(self, row: int) -> str:
        """`FILE:LINE` of a row."""
        return f"{self.path}:{next(islice(_items(self.path), row, None))[1]}"

    def pieces(self) -> Iterator[list[list[str]]]:
        """For each column its values as a text file would hold them, some thousand rows at a time."""
        items = _items(self.path)
        while piece := list(islice(items, PIECE)):
            yield [[self._cell(name, *item) for item in piece] for name in self.names]

    def _cell(self, name: str, record: Any, line: int) -> str:
        value = record.get(name)
        if isinstance(value, str):
            if _SURROGATE.search(value):
                message = f"{self.path}:{line}: {quoted(name)} holds half of a surrogate pair"
                raise FileError("malformed text", message, "write the character itself")
            return value
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return repr(value)
        raise FileError(
            "nested record",
            f"{self.path}:{line}: {quoted(name)} is {kind_of(value)}, not a text or number",
            "give each of its parts a key of its own, or take the key out",
        )


def _items(path: Path) -> Iterator[tuple[Any, int]]:
    return iter(JsonItems(path, "rows", _FORM))
