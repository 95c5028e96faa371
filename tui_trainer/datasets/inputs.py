"""Rows of numbers to predict from: `.npy`, `.npz`, delimited text, JSON. Read as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_trainer.datasets.arrays import Arrays, open_npy
from tui_trainer.datasets.columns import MISSING, NUMBER
from tui_trainer.datasets.delimited import delimiter_of, rows_of
from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.json_items import JsonItems, kind_of, quoted
from tui_trainer.datasets.labelled_arrays import INPUTS
from tui_trainer.errors import FileError

_FORM = 'expected lists of numbers, objects of numbers, or {"inputs": [...]}; one a line in a .jsonl file'
_HINT = "give a .npy, .npz, CSV, TSV or .jsonl file of numbers"


def read_rows(path: Path) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Samples of a file, one after the other.

    Of a `.npy`, or of the inputs of a `.npz`: what is along its first dimension. Of CSV and TSV: rows of
    numbers, NaN where one is missing, below a header if there is one. Of JSON: lists of numbers, the values
    of objects, or the lists that objects call `inputs`.

    Yields:
        {"row": number from 0}, and float32 of the sample's shape.

    Raises:
        FileError: missing, unreadable, malformed, no numbers, or empty; the message names line and column.
    """
    count = 0
    for count, values in enumerate(_samples(path), 1):
        yield {"row": count - 1}, torch.from_numpy(values)
    if count == 0:
        raise FileError("no rows", f"{path} holds no row", "give it rows to predict from")


def _samples(path: Path) -> Iterator[NDArray[np.float32]]:
    kind = format_of(path)
    if kind == "npy":
        return _of_array(str(path), open_npy(path))
    if kind == "arrays":
        return _of_array(*inputs_of(path))
    if kind == "json":
        return _of_json(path)
    if kind == "text":
        return _of_text(path)
    raise FileError("no rows of numbers", f"{path} is {'a folder' if os.path.isdir(path) else kind}", _HINT)


def inputs_of(path: Path) -> tuple[str, NDArray[Any]]:
    """The inputs of a `.npz`, with their place for messages: its only array, or the one that is called so.

    Raises:
        FileError: it can't be read, or holds several.
    """
    arrays = Arrays(path)
    named = list(arrays) if len(arrays) == 1 else [name for name in arrays if name.lower() in INPUTS]
    if len(named) != 1:
        names = ", ".join(arrays)
        hint = "give a file that holds the inputs alone, or calls one array X"
        raise FileError("several arrays", f"{path} holds {names}", hint)
    name = named[0]
    return f"{path}: {name}", arrays[name]


def _of_array(where: str, array: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    if array.dtype.kind not in "biuf":
        raise FileError("no numbers", f"{where} holds {array.dtype}", "save numbers")
    if array.ndim < 2:
        message = f"{where} has the shape {array.shape}; a row of it is a single number"
        raise FileError("no rows", message, "give it a dimension for the samples: array[None] for one sample")
    for values in array:
        yield np.array(values, np.float32)


def _of_text(path: Path) -> Iterator[NDArray[np.float32]]:
    rows = rows_of(path, delimiter_of(path))
    first = next(rows, None)
    if first is None:
        return
    line, header = first
    width = len(header)
    names = [f'"{name.strip()}"' for name in header]
    if all(map(_is_number, header)):
        names = [str(number) for number in range(1, width + 1)]
        yield _numbers(path, line, header, names)
    for line, cells in rows:
        if len(cells) != width:
            held = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
            message = f"{path}:{line} has {held}, the first row {width}"
            raise FileError("ragged table", message, "give each row the same cells")
        yield _numbers(path, line, cells, names)


def _is_number(cell: str) -> bool:
    text = cell.strip()
    return text.lower() in MISSING or NUMBER.fullmatch(text) is not None


def _numbers(path: Path, line: int, cells: list[str], names: list[str]) -> NDArray[np.float32]:
    for cell, name in zip(cells, names, strict=True):
        if not _is_number(cell):
            message = f"{path}:{line}: column {name} has {quoted(cell)}, no number"
            raise FileError(
                "not a number", message, "give numbers alone; leave a cell empty where one is missing"
            )
    return np.array([np.nan if c.strip().lower() in MISSING else float(c) for c in cells], np.float32)


def _of_json(path: Path) -> Iterator[NDArray[np.float32]]:
    keys: list[str] | None = None
    for value, line in JsonItems(path, "rows", _FORM, "check the path"):
        where = f"{path}:{line}"
        if isinstance(value, dict) and isinstance(value.get("inputs"), list):
            value = value["inputs"]
        elif isinstance(value, dict):
            keys = keys or list(value)
            if set(keys) != set(value):
                strange = sorted(set(keys) ^ set(value))
                message = f"{where}: the first row has other keys: {', '.join(map(quoted, strange[:5]))}"
                raise FileError("rows differ", message, "give each row the same keys")
            value = [value[key] for key in keys]
        if not isinstance(value, list) or not value:
            raise FileError("no row of numbers", f"{where} is {kind_of(value)}", _FORM)
        yield _json_numbers(where, value)


def _json_numbers(where: str, value: list[Any]) -> NDArray[np.float32]:
    try:
        values = np.array(value)
    except (ValueError, OverflowError) as error:
        raise FileError("no row of numbers", f"{where}: lists of different lengths", _FORM) from error
    if values.dtype == object:
        # What null stands for, in a list that is otherwise of numbers.
        values = np.array([np.nan if each is None else each for each in value])
    if values.dtype.kind not in "biuf":
        strange = next((each for each in value if isinstance(each, str | dict)), value)
        raise FileError("no row of numbers", f"{where} holds {kind_of(strange)}", _FORM)
    return values.astype(np.float32)
