"""Which samples make which batch, decided by seed and epoch alone.

A position in an epoch is a batch number, so training can go on in the middle of an epoch, on any device and
with any number of loader processes, and see the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler

from tui_trainer.engine.rng import mix


class BatchPlan:
    """The batches of every epoch.

    Args:
        samples: how many samples there are.
        batch_size: samples of a batch; the last one may be short.
        seed: decides the order, together with the epoch.
        shuffle: draw a new order each epoch; False: as they lie.
        join_single: a last batch of one sample joins the batch before it (BatchNorm can't train on one).
        limit: use only this many batches of the first epoch's order, in every epoch; 0: all.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        join_single: bool = False,
        limit: int = 0,
    ) -> None:
        self.total = samples
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.frozen = limit > 0
        self.samples = min(samples, limit * batch_size) if limit else samples
        self.batches = -(-self.samples // batch_size)
        if join_single and self.batches > 1 and self.samples % batch_size == 1:
            self.batches -= 1

    def __len__(self) -> int:
        return self.batches

    def bounds(self, batch: int) -> tuple[int, int]:
        """First and one-past-last position of a batch in the epoch's order."""
        end = self.samples if batch == self.batches - 1 else (batch + 1) * self.batch_size
        return batch * self.batch_size, end

    def order(self, epoch: int) -> Tensor:
        """Sample indices of an epoch in their order. Shape (samples,), int64, on the host."""
        if not self.shuffle:
            return torch.arange(self.samples)
        generator = torch.Generator().manual_seed(mix(self.seed, 0 if self.frozen else epoch))
        return torch.randperm(self.total, generator=generator)[: self.samples]

    def indices(self, epoch: int, batches: range) -> list[int]:
        """The samples of some neighbouring batches of an epoch."""
        first, end = self.bounds(batches[0])[0], self.bounds(batches[-1])[1]
        return [int(index) for index in self.order(epoch)[first:end]]


class BatchIndices(NamedTuple):
    """What a loader process gets: which samples, and the seed of their augmentation."""

    seed: int
    indices: list[int]


class PlanSampler(Sampler[BatchIndices]):
    """A batch sampler over a plan, from a given epoch and batch on."""

    def __init__(self, plan: BatchPlan) -> None:
        self.plan = plan
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[BatchIndices]:
        order = self.plan.order(self.epoch)
        for batch in range(self.start, len(self.plan)):
            first, end = self.plan.bounds(batch)
            yield BatchIndices(mix(self.plan.seed, self.epoch, batch), order[first:end].tolist())
