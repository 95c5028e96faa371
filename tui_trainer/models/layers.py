"""Parts that several networks share."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """(x − mean) / std, with mean and std of the training split as buffers.

    The checkpoint then holds all that turns raw numbers into a prediction. A std of 0 (a constant pixel or
    column) counts as 1, as in scikit-learn's `StandardScaler`.

    Args:
        mean: any shape that broadcasts to one sample, for example [channels, 1, 1] or [columns].
        std: the same shape, ≥ 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        std = torch.as_tensor(std, dtype=torch.float32)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))

    def forward(self, x: Tensor) -> Tensor:
        """Whole or floating-point [batch, …] -> float32 of the same shape."""
        return (x.to(self.mean.dtype) - self.mean) / self.std


def json_tensor(value: Any) -> Tensor:
    """A JSON value as uint8 [bytes], so that texts such as class names fit into a state_dict of tensors."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).clone()


def json_value(tensor: Tensor) -> Any:
    """The value that `json_tensor` packed.

    Raises:
        ValueError: the bytes are no UTF-8 JSON.
    """
    try:
        return json.loads(bytes(tensor.tolist()).decode())
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
