"""Tasks that fault tests train: tiny, and telling which samples they saw."""

from __future__ import annotations

import os
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from tests.helpers import NoisyItems, Points, points

SEEN = "FAULTS_SEEN"
"""Environment variable with the file that gets a line for each training batch: its samples' numbers."""


class NumberedItems(Dataset[tuple[Tensor, int, int]]):
    """Random augmentation, and the number of each sample."""

    def __init__(self, samples: int) -> None:
        self._items = NoisyItems(samples)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return (*self._items[index], index)


class Numbered(Points):
    """`Points` with random augmentation, dropout, and a note of which samples each batch held."""

    def datasets(self, hparams: Any) -> Any:
        return NumberedItems(60), NumberedItems(20)

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        inputs, targets, numbers = batch
        if model.training and SEEN in os.environ:
            with open(os.environ[SEEN], "a") as seen:
                print(*numbers.tolist(), file=seen)
        return super().compute_loss(model, (inputs, targets), criterion)


class Long(Points):
    """`Points` with epochs of a thousand steps of 8 samples."""

    def __init__(self) -> None:
        super().__init__(samples=8000)

    def datasets(self, hparams: Any) -> Any:
        return points(self.samples), None


def numbers_seen(text: str) -> list[list[int]]:
    """Sample numbers of each training batch, from the file that SEEN names."""
    return [[int(word) for word in line.split()] for line in text.splitlines()]
