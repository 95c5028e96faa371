"""A text of any size as one array of tokens, from text files, JSON lines, Parquet or a saved data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tui_trainer.datasets.arrow import ArrowData
from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.json_items import JsonItems, kind_of, quoted
from tui_trainer.datasets.scratch import Scratch
from tui_trainer.datasets.text import Vocabulary, code_points, empty_text, text_files, text_pieces
from tui_trainer.errors import FileError, UsageError, did_you_mean

_CODE_POINTS = 0x110000
_PIECE = 1 << 24
_TEXTS = 1 << 12
_ITEM_HINT = 'expected an object a line, such as {"text": "…"}'


@dataclass(frozen=True)
class Corpus:
    """A text as tokens.

    Attributes:
        tokens: uint8, one for each character; of a large text, mapped from a file.
        vocabulary: what they stand for. Of the whole text: which symbols there are must not depend on how it
            is split.
        parts: characters to train, validate and test on, in this order; the last two may be 0.
    """

    tokens: np.ndarray
    vocabulary: Vocabulary
    parts: tuple[int, int, int]


def read_tokens(
    path: Path | None,
    column: str | None = None,
    max_chars: int | None = None,
    known: Vocabulary | None = None,
) -> Corpus:
    """Read a text.

    Args:
        path: a text file, a folder of text files, JSON lines (with `column`), Parquet, Arrow, or what Hugging
            Face's `datasets` saved; None: Python's own sources.
        column: that holds the texts; None: the one of texts, or `text`; JSON lines are read as they are.
        max_chars: stop after so many characters (of each split); None: all.
        known: what tokens stand for; None: decided by the text.

    Raises:
        UsageError: no such column, or it is not plain which is meant.
        FileError: nothing there, or no text; see `text_pieces`.
    """
    splits, size = _splits(path, column, max_chars)
    codes = Scratch(1, size, np.uint32, 4 * size)
    counts = np.zeros(_CODE_POINTS, np.int64)
    blank, lengths = True, []
    for pieces in splits:
        length = 0
        for text in pieces:
            points = code_points(text)
            found = np.bincount(points)
            counts[: len(found)] += found
            codes.append(0, points)
            length += len(text)
            blank = blank and not text.strip()
        lengths.append(length)
    if blank:
        raise empty_text(path)
    vocabulary = known or Vocabulary.of_counts(counts)
    if known is not None:
        known.tell_unknown(counts)
    points, table = codes.array(0), vocabulary.table
    tokens = Scratch(1, len(points), np.uint8, len(points))
    for start in range(0, len(points), _PIECE):
        tokens.append(0, table[points[start : start + _PIECE]])
    train, val, test = (*lengths, 0, 0)[:3]
    return Corpus(tokens.array(0), vocabulary, (train, val, test))


def _splits(path: Path | None, column: str | None, most: int | None) -> tuple[list[Iterator[str]], int]:
    """The pieces of each split, and a bound of how many characters they have together."""
    kind = "text" if path is None else format_of(path)
    if path is not None and kind == "json" and column is not None:
        return [_first(_joined(_of_json(path, column)), most)], path.stat().st_size
    if path is not None and kind in ("parquet", "arrow", "saved") and not _has_texts(path, kind):
        data = ArrowData.open(path)
        name = _text_column(data, column)
        size = sum(_characters(data, files, name) for files in data.splits)
        return [_first(_joined(data.texts(files, name)), most) for files in data.splits], size
    files = text_files(path)
    # A byte is a character at most, and each file may gain a newline.
    return [text_pieces(files, most)], sum(file.stat().st_size + 1 for file in files if file.exists())


def _has_texts(path: Path, kind: str) -> bool:
    """Whether a folder of Parquet is rather one of texts."""
    if kind == "saved" or not path.is_dir():
        return False
    try:
        return bool(text_files(path))
    except FileError:
        return False


def _text_column(data: ArrowData, column: str | None) -> str:
    found = data.text_columns()
    if column is None and "text" in found:
        return "text"
    if column is None and len(found) == 1:
        return found[0]
    listed = f"columns of texts: {', '.join(found) or 'none'}"
    if column is None:
        raise UsageError(
            "which are the texts?", f"{data.path} has the {listed}", "name one: --text_column NAME"
        )
    if column not in found:
        message = f'text_column: {data.path} has no texts in "{column}"{did_you_mean(column, found)}'
        raise UsageError("no such column", message, listed)
    return column


def _characters(data: ArrowData, files: Sequence[Path], name: str) -> int:
    """A bound: the bytes of the texts, and a newline for each."""
    batches = data.batches(files, [name])
    return sum(batch.column(0).nbytes + 2 * batch.num_rows + 1 for batch in batches)


def _of_json(path: Path, column: str) -> Iterator[str]:
    for item, line in JsonItems(path, "texts", _ITEM_HINT):
        if not isinstance(item, dict):
            raise FileError("item is no record", f"{path}:{line} is {kind_of(item)}, no object", _ITEM_HINT)
        if not isinstance(item.get(column), str):
            held = kind_of(item[column]) if column in item else "missing"
            message = f"{path}:{line}: {quoted(column)} is {held}"
            raise FileError("no text", message, f"its keys: {', '.join(map(quoted, list(item)[:10]))}")
        yield item[column]


def _joined(texts: Iterator[str]) -> Iterator[str]:
    """Texts, each closed by a newline, some thousand at a time."""
    while piece := list(islice(texts, _TEXTS)):
        yield "".join(text if text.endswith("\n") else f"{text}\n" for text in piece)


def _first(pieces: Iterator[str], most: int | None) -> Iterator[str]:
    for text in pieces:
        yield text[:most]
        if most is not None:
            most -= len(text)
            if most <= 0:
                return
