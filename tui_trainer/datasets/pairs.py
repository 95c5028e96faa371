"""Pairs of texts in a JSON file, and their characters as rows of whole numbers.

The file is a list of {"input": text, "target": text}; in a `.jsonl` file each line holds one such object.
Other keys are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tui_trainer.errors import FileError

KEYS = ("input", "target")

LINE_SUFFIXES = (".jsonl", ".ndjson")

FORM_HINT = 'expected a list of {"input": "…", "target": "…"}; one object a line in a .jsonl file'

MISSING_HINT = (
    "dataset_path is its folder, dataset_json_fname its name; "
    "tui-train tasks make-data seq2seq DIR writes an example"
)

Pair = tuple[str, str]

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _RepeatedKey(ValueError):
    """An object that gives a key twice; Python's reader would keep the last without a word."""


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        keys = [key for key, _ in items]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise _RepeatedKey(f"the key {_quoted(repeated)} occurs twice")
    return found


def _quoted(key: str) -> str:
    """A key as JSON writes it, so that control characters don't reach a terminal; cut when long."""
    return json.dumps(key if len(key) <= 40 else f"{key[:40]}…", ensure_ascii=False)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def read_pairs(path: Path) -> list[Pair]:
    """Read (input, target) pairs.

    Raises:
        FileError: missing, unreadable, no JSON (with its line), no list, an item that is no pair of texts
            (with its number, counted from 0, and its line), an empty target, or no item at all. An empty
            input is fine.
    """
    text = _text(path)
    items = _line_items(path, text) if path.suffix.lower() in LINE_SUFFIXES else _list_items(path, text)
    pairs = [_pair(item, f"{path}:{line}: item {index}") for index, (item, line) in enumerate(items)]
    if not pairs:
        raise FileError("no pairs", f"{path} holds no item", FORM_HINT)
    return pairs


def read_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Texts without targets, each with its line: the lines of a text file, or the `input` of each JSON item.

    Raises:
        FileError: missing, unreadable, not UTF-8, or an item without a text.
    """
    suffix = path.suffix.lower()
    if suffix not in (*LINE_SUFFIXES, ".json"):
        for line, text in enumerate(_text(path).removesuffix("\n").split("\n"), 1):
            yield line, text.removesuffix("\r")
        return
    text = _text(path)
    for item, line in _line_items(path, text) if suffix in LINE_SUFFIXES else _list_items(path, text):
        found = item.get("input") if isinstance(item, dict) else item
        if not isinstance(found, str):
            message = f'{path}:{line}: {_kind(item)} without a text called "input"'
            raise FileError("item without an input", message, '{"input": "…"} or "…" each')
        yield line, found


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise FileError("pairs not found", f"{path} does not exist", MISSING_HINT) from error
    except OSError as error:
        hint = "check that it is a readable file"
        raise FileError("pairs unreadable", f"{path}: {error.strerror or error}", hint) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: byte 0x{data[error.start]:02x} at offset {error.start:,} is not UTF-8"
        raise FileError("pairs are not UTF-8", message, "convert the file to UTF-8") from error


def _list_items(path: Path, text: str) -> Iterator[tuple[Any, int]]:
    """Each item of a JSON list with the line it begins on.

    Item by item, and not the whole text at once, so that a wrong item can be named by its line.
    """
    at = _skip(text, 0)
    if at == len(text):
        raise FileError("pairs are empty", f"{path} holds nothing", FORM_HINT)
    if text[at] != "[":
        value = _value(path, text, at, 1)[0]
        raise FileError("pairs are no list", f"{path}: {_kind(value)} at the top, not a list", FORM_HINT)
    at, line, counted = _skip(text, at + 1), 1, 0
    closed = text[at : at + 1] == "]"
    while not closed:
        line, counted = line + text.count("\n", counted, at), at
        value, at = _value(path, text, at, line)
        yield value, line
        at = _skip(text, at)
        closed = text[at : at + 1] == "]"
        if not closed:
            if text[at : at + 1] != ",":
                raise _not_json(path, text, at, "expected a comma or the end of the list")
            at = _skip(text, at + 1)
    end = _skip(text, at + 1)
    if end < len(text):
        raise _not_json(path, text, end, "there is more after the end of the list")


def _line_items(path: Path, text: str) -> Iterator[tuple[Any, int]]:
    """Each object of a file of JSON lines with its line; blank lines are passed over."""
    # Not splitlines: JSON texts may hold U+2028 and its like.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        start = _skip(line, 0)
        value, end = _value(path, line, start, number, first_line=number)
        if _skip(line, end) < len(line):
            raise FileError("pairs are not JSON", f"{path}:{number}: more after the object", FORM_HINT)
        yield value, number


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _value(path: Path, text: str, at: int, line: int, first_line: int = 1) -> tuple[Any, int]:
    """The JSON value at `at` and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except _RepeatedKey as error:
        raise FileError("key occurs twice", f"{path}:{line}: {error}", "keep one of them") from error
    except json.JSONDecodeError as error:
        raise _not_json(path, text, error.pos, error.msg, first_line) from error
    except RecursionError as error:
        raise FileError("pairs are not JSON", f"{path}:{line}: nested too deeply", FORM_HINT) from error
    except ValueError as error:
        # An integer of thousands of digits, which Python refuses to convert.
        raise FileError("pairs are not JSON", f"{path}:{line}: {error}", FORM_HINT) from error


def _not_json(path: Path, text: str, at: int, what: str, first_line: int = 1) -> FileError:
    line = first_line + text.count("\n", 0, at)
    column = at - text.rfind("\n", 0, at)
    return FileError("pairs are not JSON", f"{path}:{line}: {what} (column {column})", FORM_HINT)


def _pair(item: Any, where: str) -> Pair:
    if not isinstance(item, dict):
        raise FileError("item is no pair", f"{where} is {_kind(item)}, not an object", FORM_HINT)
    for key in KEYS:
        if key not in item:
            has = ", ".join(map(_quoted, list(item)[:5])) or "none"
            raise FileError("item is no pair", f'{where} has no "{key}" (its keys: {has})', FORM_HINT)
        value = item[key]
        if not isinstance(value, str):
            message = f'{where}: "{key}" is {_kind(value)}, not a text'
            raise FileError("item is no pair", message, f'write it in quotes: "{key}": "…"')
        if _SURROGATE.search(value):
            message = f'{where}: "{key}" holds half of a surrogate pair'
            raise FileError("item is no pair", message, "write the character itself")
    if not item["target"]:
        hint = "remove the item, or give it a target"
        raise FileError("empty target", f"{where}: there is nothing to predict", hint)
    return item["input"], item["target"]


def _kind(value: Any) -> str:
    """What a JSON value is, as a message says it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    return names.get(type(value), f"the number {str(value)[:40]}")


class Characters:
    """The characters of many texts, numbered by code point after the tokens of special meaning.

    Args:
        texts: where the characters come from.
        specials: how many tokens come before the first character; 0 fills rows.
        end: the token that closes a row.
        unknown: the token of a character that occurs in none of `texts`.
    """

    def __init__(self, texts: Iterable[str], *, specials: int, end: int, unknown: int) -> None:
        self.symbols = "".join(sorted(set().union(*texts)))
        self._specials, self._end, self._unknown = specials, end, unknown
        self._tokens = {symbol: token for token, symbol in enumerate(self.symbols, specials)}

    def __len__(self) -> int:
        """Number of tokens, the special ones included."""
        return len(self.symbols) + self._specials

    def encode(self, texts: Sequence[str], least: int = 0) -> np.ndarray:
        """Rows of tokens: (texts, longest + 1), each closed by the end token and filled with 0.

        The smallest type that holds the tokens: uint8, int16 or int32.

        Args:
            texts: the texts.
            least: columns at least.
        """
        kind = np.uint8 if len(self) <= 256 else np.int16 if len(self) <= 32768 else np.int32
        rows = np.zeros((len(texts), max(max(map(len, texts), default=0) + 1, least)), dtype=kind)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = [self._tokens.get(symbol, self._unknown) for symbol in text]
            row[len(text)] = self._end
        return rows

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of a row up to its end; special tokens show as U+FFFD."""
        text = []
        for token in map(int, tokens):
            if token == self._end:
                break
            text.append(self.symbols[token - self._specials] if token >= self._specials else "\ufffd")
        return "".join(text)
