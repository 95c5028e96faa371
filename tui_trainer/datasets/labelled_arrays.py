"""Which of the arrays of a file are inputs and which targets, by the names that people give them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tui_trainer.datasets.arrays import Arrays
from tui_trainer.datasets.splits import split_of
from tui_trainer.errors import FileError

INPUTS = frozenset({"x", "images", "image", "data", "inputs", "features"})
TARGETS = frozenset({"y", "labels", "label", "targets", "target"})
HINT = "name the arrays X and y, or x_train, y_train, x_test, y_test"


@dataclass(frozen=True)
class Part:
    """Inputs and targets of one split.

    Attributes:
        where: the inputs' place, for messages.
        inputs: samples in dim 0.
        targets: as many.
    """

    where: str
    inputs: NDArray[Any]
    targets: NDArray[Any]


@dataclass(frozen=True)
class LabelledArrays:
    """What a file or folder of arrays holds. `val` and `test` are None where it has no such part."""

    train: Part
    val: Part | None
    test: Part | None


def labelled_arrays(arrays: Arrays) -> LabelledArrays | None:
    """Arrays such as X and y, `x_train` and `y_train`, `train_images` and `train_labels`.

    A validation set without a test set is the test set.

    Returns:
        None where no name is that of inputs.

    Raises:
        FileError: a name that is missing or there twice, or lengths that differ.
    """
    inputs, targets = (_by_split(arrays, names) for names in (INPUTS, TARGETS))
    if not inputs:
        return None
    if "" in inputs and len(inputs) > 1:
        both = f"{arrays.path} holds {inputs['']}, which is in no part, and {inputs[max(inputs)]}"
        raise FileError("which part is it?", both, HINT)
    if not inputs.keys() & {"", "train"}:
        raise FileError("no training set", f"{arrays.path} holds {', '.join(inputs.values())}", HINT)
    found = {split: _part(arrays, name, targets.get(split)) for split, name in inputs.items()}
    train, val, test = found.get("train") or found.get(""), found.get("val"), found.get("test")
    assert train is not None
    return LabelledArrays(train, val, test) if test is not None else LabelledArrays(train, None, val)


def _by_split(arrays: Arrays, meant: frozenset[str]) -> dict[str, str]:
    """For each split ("" for none) the array that has one of these names."""
    found: dict[str, str] = {}
    for name in arrays:
        words = re.split(r"[_\-. ]+", name.lower())
        splits = [split for word in words if (split := split_of(word))]
        rest = [word for word in words if not split_of(word)]
        if len(splits) > 1 or len(rest) != 1 or rest[0] not in meant:
            continue
        split = splits[0] if splits else ""
        if split in found:
            message = f"{arrays.path} holds both {found[split]} and {name}"
            raise FileError("which array is it?", message, HINT)
        found[split] = name
    return found


def _part(arrays: Arrays, name: str, target: str | None) -> Part:
    where = f"{arrays.path}: {name}"
    if target is None:
        message = f"{where} has no targets beside it; the arrays are {', '.join(arrays)}"
        raise FileError("targets not found", message, HINT)
    inputs, targets = arrays[name], arrays[target]
    if not inputs.shape or not targets.shape or len(inputs) != len(targets):
        message = f"{where} has the shape {inputs.shape}, {target} {targets.shape}"
        raise FileError("targets do not match", message, "give as many targets as inputs")
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim != 1:
        message = f"{arrays.path}: {target} has the shape {targets.shape}"
        raise FileError("targets are no column", message, "give one number or text for each sample")
    return Part(where, inputs, targets)
