"""What holds for a batch of any nesting: its length, and where it lies."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


def to_device(batch: Any, device: torch.device) -> Any:
    """Move every tensor in a batch of any nesting. The container keeps its type."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if callable(getattr(batch, "to", None)):
        # A batch class that moves itself (a PackedSequence, a tokenizer's output) knows what must stay.
        return batch.to(device)
    return _changed(batch, lambda part: to_device(part, device))


def _changed(batch: Any, change: Callable[[Any], Any]) -> Any:
    """A container with each of its parts changed, of the same type. What is no container stays as it is."""
    if isinstance(batch, MutableMapping):
        parts = {key: change(value) for key, value in batch.items()}
        if type(batch) is dict:
            return parts
        # A copy keeps what a dict of another kind needs to be built, such as a default factory.
        like = copy.copy(batch)
        like.update(parts)
        return like
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(change(part) for part in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(change(part) for part in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        instance = copy.copy(batch)
        for field in dataclasses.fields(batch):
            # Also for frozen ones and for fields that the constructor does not take.
            object.__setattr__(instance, field.name, change(getattr(batch, field.name)))
        return instance
    return batch


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """Every tensor in a batch of any nesting, or in an optimizer's state."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for part in batch.values():
            yield from tensors_of(part)
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from tensors_of(part)
    elif dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        for field in dataclasses.fields(batch):
            yield from tensors_of(getattr(batch, field.name))


_PLAIN = (str, bytes, bool, int, float, complex, type(None))


class CannotSplit(Exception):
    """A batch can't be trained in parts; the text says why."""


def split_batch(batch: Any, size: int, least: int = 1) -> list[Any]:
    """Split a batch of any nesting into batches of fewer samples, as equal as can be.

    Tensors, arrays, and lists of plain values (names, paths) are cut along dim 0; single values go to every
    part. Tensors are views.

    Args:
        batch: with samples in dim 0.
        size: samples of a part at most.
        least: samples of a part at least; a part is rather larger than `size` than smaller than this.

    Raises:
        CannotSplit: something in it does not have the batch's length, or is of a type that can't be cut.
    """
    samples = first_length(batch)
    parts = max(1, min(-(-samples // size), samples // least))
    bounds = [samples * part // parts for part in range(parts + 1)]
    return [_cut(batch, samples, slice(*ends)) for ends in pairwise(bounds)]


def _cut(batch: Any, samples: int, rows: slice) -> Any:
    if hasattr(batch, "shape") and hasattr(batch, "__getitem__"):
        if len(batch.shape) == 0:
            return batch
        if len(batch) == samples:
            return batch[rows]
        # Offsets into it, or what else its rows mean, would not fit the parts.
        raise CannotSplit(f"it holds a tensor of shape {tuple(batch.shape)}, and {samples:,} samples")
    if isinstance(batch, _PLAIN):
        return batch
    if isinstance(batch, (list, tuple)) and all(isinstance(each, _PLAIN) for each in batch):
        return batch[rows] if len(batch) == samples else batch
    if callable(getattr(batch, "to", None)) and not isinstance(batch, MutableMapping):
        # A batch class that moves itself (a PackedSequence, a graph) may be more than its tensors.
        raise CannotSplit(f"it holds a value of type {type(batch).__name__}")
    cut = _changed(batch, lambda part: _cut(part, samples, rows))
    if cut is batch:
        raise CannotSplit(f"it holds a value of type {type(batch).__name__}")
    return cut


def first_length(batch: Any) -> int:
    """Length of the first tensor (or array) found in a batch of any nesting.

    Raises:
        TypeError: there is no tensor in it.
    """
    # The usual batch first: this runs at every step.
    likely = batch[0] if type(batch) in (tuple, list) and batch else batch
    if hasattr(likely, "shape") and len(likely.shape) > 0:
        return int(likely.shape[0])
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if dataclasses.is_dataclass(batch):
        parts = [getattr(batch, field.name) for field in dataclasses.fields(batch)]
    if isinstance(parts, (str, bytes)) or not hasattr(parts, "__iter__"):
        raise TypeError("a batch holds no tensor with samples in dim 0; define count(batch) in your task")
    for part in parts:
        try:
            return first_length(part)
        except TypeError:
            continue
    raise TypeError("a batch holds no tensor with samples in dim 0; define count(batch) in your task")
