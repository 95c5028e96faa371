"""What holds for a batch of any nesting: its length, and where it lies."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
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
    if isinstance(batch, dict):
        moved = {key: to_device(value, device) for key, value in batch.items()}
        if type(batch) is dict:
            return moved
        # A copy keeps what a dict of another kind needs to be built, such as a default factory.
        like = copy.copy(batch)
        like.update(moved)
        return like
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(part, device) for part in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_device(part, device) for part in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        instance = copy.copy(batch)
        for field in dataclasses.fields(batch):
            # Also for frozen ones and for fields that the constructor does not take.
            object.__setattr__(instance, field.name, to_device(getattr(batch, field.name), device))
        return instance
    return batch


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """Every tensor in a batch of any nesting."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for part in batch.values():
            yield from tensors_of(part)
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from tensors_of(part)
    elif dataclasses.is_dataclass(batch):
        for field in dataclasses.fields(batch):
            yield from tensors_of(getattr(batch, field.name))


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
