"""What holds for a batch of any nesting: its length, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def to_device(batch: Any, device: torch.device) -> Any:
    """Move every tensor in a batch of any nesting. The container keeps its type."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return type(batch)({key: to_device(value, device) for key, value in batch.items()})
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(part, device) for part in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_device(part, device) for part in batch)
    if hasattr(batch, "__dataclass_fields__") and not isinstance(batch, type):
        return type(batch)(**{name: to_device(getattr(batch, name), device) for name in batch.__dataclass_fields__})
    return batch.to(device) if hasattr(batch, "to") else batch


def first_length(batch: Any) -> int:
    """Length of the first tensor (or array) found in a batch of any nesting.

    Raises:
        TypeError: there is no tensor in it.
    """
    if hasattr(batch, "shape") and len(batch.shape) > 0:
        return int(batch.shape[0])
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if hasattr(batch, "__dataclass_fields__"):
        parts = vars(batch).values()
    if isinstance(parts, (str, bytes)) or not hasattr(parts, "__iter__"):
        raise TypeError("a batch holds no tensor with samples in dim 0; define count(batch) in your task")
    for part in parts:
        try:
            return first_length(part)
        except TypeError:
            continue
    raise TypeError("a batch holds no tensor with samples in dim 0; define count(batch) in your task")
