"""Items of a JSON list or of a file of JSON lines, one by one, each with the line it begins on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.errors import FileError
from tui_trainer.files import open_plain

LINE_SUFFIXES = (".jsonl", ".ndjson")

LARGEST_LIST = 1 << 30
"""Bytes of a file that is one JSON list, which is held in memory. JSON lines may be of any size."""

_SPACE = re.compile(r"[ \t\n\r]*")


class _RepeatedKey(ValueError):
    """An object that gives a key twice; Python's reader would keep the last without a word."""


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        keys = [key for key, _ in items]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise _RepeatedKey(f"the key {quoted(repeated)} occurs twice")
    return found


def quoted(key: str) -> str:
    """A key as JSON writes it, so that control characters don't reach a terminal; cut when long."""
    return json.dumps(key if len(key) <= 40 else f"{key[:40]}…", ensure_ascii=False)


def kind_of(value: Any) -> str:
    """What a JSON value is, as a message says it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    return names.get(type(value), f"the number {str(value)[:40]}")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


@dataclass(frozen=True)
class JsonItems:
    """The items of a file: of its list, or of its lines where its name ends as JSON lines do.

    Attributes:
        path: the file.
        noun: what the items are, in the plural, for messages.
        hint: the form that is expected.
        missing: what to do where there is no such file.
    """

    path: Path
    noun: str
    hint: str
    missing: str = "check dataset_path"

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        """(value, line from 1) of each item.

        Raises:
            FileError: missing, unreadable, not UTF-8, or no JSON (with its line).
        """
        lines = self.path.suffix.lower() in LINE_SUFFIXES
        try:
            yield from self._lines() if lines else self._list(self._text())
        except FileNotFoundError as error:
            message = f"{self.path} does not exist"
            raise FileError(f"{self.noun} not found", message, self.missing) from error
        except OSError as error:
            hint = "check that it is a readable file"
            message = f"{self.path}: {error.strerror or error}"
            raise FileError(f"{self.noun} unreadable", message, hint) from error

    def _text(self) -> str:
        if self.path.stat().st_size > LARGEST_LIST:
            message = f"{self.path} is one JSON list of more than {LARGEST_LIST >> 30} GiB"
            raise FileError("list too large", message, "write an object a line, in a .jsonl file")
        with open_plain(self.path) as file:
            return self._decoded(file.read())

    def _decoded(self, data: bytes, line: int = 1, offset: int = 0) -> str:
        try:
            return data.decode("utf-8-sig" if offset == 0 else "utf-8")
        except UnicodeDecodeError as error:
            line += data.count(b"\n", 0, error.start)
            at = offset + error.start
            message = f"{self.path}:{line}: byte 0x{data[error.start]:02x} at offset {at:,} is not UTF-8"
            raise FileError(f"{self.noun} are not UTF-8", message, "convert the file to UTF-8") from error

    def _list(self, text: str) -> Iterator[tuple[Any, int]]:
        # Item by item, and not the whole text at once, so that a wrong item can be named by its line.
        at = _skip(text, 0)
        if at == len(text):
            raise FileError(f"{self.noun} are empty", f"{self.path} holds nothing", self.hint)
        if text[at] != "[":
            value = self._value(text, at, 1)[0]
            message = f"{self.path}: {kind_of(value)} at the top, not a list"
            raise FileError(f"{self.noun} are no list", message, self.hint)
        at, line, counted = _skip(text, at + 1), 1, 0
        closed = text[at : at + 1] == "]"
        while not closed:
            line, counted = line + text.count("\n", counted, at), at
            value, at = self._value(text, at, line)
            yield value, line
            at = _skip(text, at)
            closed = text[at : at + 1] == "]"
            if not closed:
                if text[at : at + 1] != ",":
                    raise self._malformed(text, at, "expected a comma or the end of the list")
                at = _skip(text, at + 1)
        end = _skip(text, at + 1)
        if end < len(text):
            raise self._malformed(text, end, "there is more after the end of the list")

    def _lines(self) -> Iterator[tuple[Any, int]]:
        """Blank lines are passed over."""
        offset = 0
        with open_plain(self.path) as file:
            # Lines of bytes: JSON texts may hold U+2028 and its like, which end a line of str.
            for number, data in enumerate(file, 1):
                # Without its end, or what is cut off would be missed on the next line.
                line = self._decoded(data, number, offset).rstrip("\r\n")
                offset += len(data)
                if not line.strip():
                    continue
                value, end = self._value(line, _skip(line, 0), number, first_line=number)
                if _skip(line, end) < len(line):
                    message = f"{self.path}:{number}: more after the object"
                    raise FileError(f"{self.noun} are not JSON", message, self.hint)
                yield value, number

    def _value(self, text: str, at: int, line: int, first_line: int = 1) -> tuple[Any, int]:
        """The JSON value at `at` and where it ends."""
        try:
            return _DECODER.raw_decode(text, at)
        except _RepeatedKey as error:
            raise FileError("key occurs twice", f"{self.path}:{line}: {error}", "keep one of them") from error
        except json.JSONDecodeError as error:
            raise self._malformed(text, error.pos, error.msg, first_line) from error
        except RecursionError as error:
            message = f"{self.path}:{line}: nested too deeply"
            raise FileError(f"{self.noun} are not JSON", message, self.hint) from error
        except ValueError as error:
            # An integer of thousands of digits, which Python refuses to convert.
            message = f"{self.path}:{line}: {error}"
            raise FileError(f"{self.noun} are not JSON", message, self.hint) from error

    def _malformed(self, text: str, at: int, what: str, first_line: int = 1) -> FileError:
        line = first_line + text.count("\n", 0, at)
        column = at - text.rfind("\n", 0, at)
        message = f"{self.path}:{line}: {what} (column {column})"
        return FileError(f"{self.noun} are not JSON", message, self.hint)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
