"""Pairs of texts on disk, and their characters as rows of whole numbers.

A JSON file is a list of {"input": text, "target": text}; in a `.jsonl` file each line holds one such object.
Tables have such columns. Other keys and columns are passed over.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tui_trainer.datasets.arrow import ArrowData
from tui_trainer.datasets.delimited import Delimited
from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.json_items import JsonItems, kind_of, quoted
from tui_trainer.datasets.text import read_text
from tui_trainer.datasets.unseen import Unseen
from tui_trainer.errors import FileError, UsageError, did_you_mean

Keys = tuple[str, str]

KEYS: Keys = ("input", "target")

TABLE_SUFFIXES = (".csv", ".tsv", ".tab")

FORM_HINT = 'expected a list of {"input": "…", "target": "…"}; one object a line in a .jsonl file'

MISSING_HINT = (
    "dataset_path is its folder, dataset_json_fname its name; "
    "tui-train tasks make-data seq2seq DIR writes an example"
)

Pair = tuple[str, str]

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_pairs(path: Path, keys: Keys = KEYS) -> list[Pair]:
    """The pairs of `read_split_pairs`, whatever their split."""
    return read_split_pairs(path, keys)[0]


def read_split_pairs(path: Path, keys: Keys = KEYS) -> tuple[list[Pair], tuple[int, int, int]]:
    """Read (input, target) pairs: JSON, JSON lines, CSV, TSV, Parquet, Arrow, or a saved data set.

    Args:
        path: the file or folder.
        keys: what an input and a target are called.

    Returns:
        The pairs, and how many of them train, validate and test, in this order.

    Raises:
        FileError: missing, unreadable, malformed (with its line), no list, an item that is no pair of texts
            (with its number, counted from 0, and its line), an empty target, or no item at all. An empty
            input is fine.
    """
    kind = format_of(path)
    if kind in ("parquet", "arrow", "saved"):
        splits = _of_arrow(path, keys)
    elif kind == "text" and path.suffix.lower() in TABLE_SUFFIXES:
        splits = [_of_table(path, keys)]
    else:
        items = JsonItems(path, "pairs", FORM_HINT, MISSING_HINT)
        splits = [((item, f"{path}:{line}") for item, line in items)]
    pairs: list[Pair] = []
    ends = []
    for split in splits:
        pairs += [_pair(item, f"{where}: item {index}", keys) for index, (item, where) in enumerate(split)]
        ends.append(len(pairs))
    if not pairs:
        raise FileError("no pairs", f"{path} holds no item", FORM_HINT)
    train, val, test = (*ends, ends[-1], ends[-1])[:3]
    return pairs, (train, val - train, test - val)


def read_texts(path: Path, key: str = KEYS[0]) -> Iterator[tuple[str, str]]:
    """Texts without targets, each with its place: lines of a text file, or items or a column by their key.

    Args:
        path: a text file, JSON, JSON lines; CSV, TSV, Parquet, Arrow or a saved data set with the column.
        key: what an input is called.

    Raises:
        FileError: missing, unreadable, not UTF-8, or an item without a text.
        UsageError: there is no such column.
    """
    kind, suffix = format_of(path), path.suffix.lower()
    if kind == "text" and suffix not in TABLE_SUFFIXES:
        for line, text in enumerate(read_text(path).removesuffix("\n").split("\n"), 1):
            yield f"{path}:{line}", text
        return
    items: Iterable[tuple[Any, str]]
    if kind == "text":
        items = _of_table(path, (key,))
    elif kind in ("parquet", "arrow", "saved"):
        rows = enumerate(chain.from_iterable(_of_arrow(path, (key,))))
        items = ((item, f"{where}: row {row}") for row, (item, where) in rows)
    else:
        found_items = JsonItems(path, "texts", f'expected {{"{key}": "…"}} or "…" each')
        items = ((item, f"{path}:{line}") for item, line in found_items)
    for item, where in items:
        found = item.get(key) if isinstance(item, dict) else item
        if not isinstance(found, str):
            message = f"{where}: {kind_of(item)} without a text called {quoted(key)}"
            raise FileError("item without an input", message, f'{{"{key}": "…"}} or "…" each')
        yield where, found


def _of_table(path: Path, keys: Sequence[str]) -> Iterator[tuple[dict[str, str], str]]:
    table = Delimited.open(path)
    _check_columns(path, table.names, keys)
    for line, cells in table.rows():
        yield dict(zip(table.names, cells, strict=True)), f"{path}:{line}"


def _of_arrow(path: Path, keys: Sequence[str]) -> list[Iterator[tuple[Any, str]]]:
    data = ArrowData.open(path)
    _check_columns(path, data.schema.names, keys)
    return [
        ((item, str(path)) for batch in data.batches(files, keys) for item in batch.to_pylist())
        for files in data.splits
    ]


def _check_columns(path: Path, names: Sequence[str], keys: Sequence[str]) -> None:
    for option, key in zip(("input_column", "target_column"), keys, strict=False):
        if key not in names:
            near = did_you_mean(key, list(names))
            message = f"{path} has no column {quoted(key)}{near}; its columns are {', '.join(names)}"
            raise UsageError("no such column", message, f"name it with --{option}")


def _pair(item: Any, where: str, keys: Keys) -> Pair:
    if not isinstance(item, dict):
        raise FileError("item is no pair", f"{where} is {kind_of(item)}, not an object", FORM_HINT)
    for key in keys:
        if key not in item:
            has = ", ".join(map(quoted, list(item)[:5])) or "none"
            texts = [name for name, text in item.items() if isinstance(text, str)]
            hint = FORM_HINT
            if len(texts) > 1:
                text, target = map(shlex.quote, texts[:2])
                hint = f"name them: --input_column {text} --target_column {target}"
            raise FileError("item is no pair", f'{where} has no "{key}" (its keys: {has})', hint)
        value = item[key]
        if not isinstance(value, str):
            message = f'{where}: "{key}" is {kind_of(value)}, not a text'
            raise FileError("item is no pair", message, f'write it in quotes: "{key}": "…"')
        if _SURROGATE.search(value):
            message = f'{where}: "{key}" holds half of a surrogate pair'
            raise FileError("item is no pair", message, "write the character itself")
    text, target = (item[key] for key in keys)
    if not target:
        hint = "remove the item, or give it a target"
        raise FileError("empty target", f"{where}: there is nothing to predict", hint)
    return text, target


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

    def count_unknown(self, unseen: Unseen, name: str, text: str) -> None:
        """Count the characters of a text that have no token of their own."""
        unseen.looked_at(len(text))
        if unknown := [symbol for symbol in text if symbol not in self._tokens]:
            unseen.add(name, len(unknown), unknown[0])

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of a row up to its end; special tokens show as U+FFFD."""
        text = []
        for token in map(int, tokens):
            if token == self._end:
                break
            text.append(self.symbols[token - self._specials] if token >= self._specials else "\ufffd")
        return "".join(text)
