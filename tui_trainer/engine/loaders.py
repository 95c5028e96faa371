"""Three ways to yield batches on the device, behind one interface.

Tensors and arrays stay on the device and are gathered a batch at a time; data sets go through a DataLoader
whose order and item randomness come from the seed; a user's own loader is taken as it is.
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from tui_trainer.engine import rng
from tui_trainer.engine.alerts import Alert, no_alert
from tui_trainer.engine.batches import to_device
from tui_trainer.engine.sampler import BatchIndices, BatchPlan, PlanSampler
from tui_trainer.engine.workers import LoaderBatches, end_processes, surviving

_WORKER_S = 1.0
"""How long a loader process may take to end."""


class Loader(Protocol):
    """A split as the loop sees it.

    Attributes:
        samples: samples of an epoch; None where only the end tells.
        batches: batches of an epoch; None where only the end tells.
        plan: which samples make which batch; None where only the loader knows.
    """

    samples: int | None
    batches: int | None
    plan: BatchPlan | None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Batches of `epoch` on the device, from batch number `start` on."""
        ...

    def close(self) -> None:
        """End loader processes."""
        ...


class TensorLoader:
    """Batches gathered from tensors with samples in dim 0.

    Args:
        tensors: all with the same length.
        plan: which rows make which batch.
        device: where batches are needed.
        resident: keep the tensors on the device; False: gather on the host and move each batch.
    """

    def __init__(
        self, tensors: Sequence[Tensor], plan: BatchPlan, device: torch.device, resident: bool
    ) -> None:
        self._tensors = tuple(t.to(device) if resident else t for t in tensors)
        self.plan: BatchPlan | None = plan
        self._plan = plan
        self._device = device
        self._resident = resident
        self.samples: int | None = plan.samples
        self.batches: int | None = plan.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        plan, tensors = self._plan, self._tensors
        order = plan.order(epoch).to(tensors[0].device)
        for batch in range(start, plan.batches):
            first, end = plan.bounds(batch)
            if plan.shuffle:
                rows = order[first:end]
                parts = tuple(t.index_select(0, rows) for t in tensors)
            else:
                parts = tuple(t[first:end] for t in tensors)
            yield parts if self._resident else to_device(parts, self._device)

    def close(self) -> None:
        self._tensors = ()


class SeededItems(Dataset[Any]):
    """A data set whose random augmentation depends on (seed, epoch, batch) and on nothing else."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitems__(self, batch: BatchIndices) -> Any:
        outer = rng.host_state() if get_worker_info() is None else None
        rng.seed_host(batch.seed)
        try:
            if callable(getattr(self.dataset, "__getitems__", None)):
                return self.dataset.__getitems__(batch.indices)
            return [self.dataset[index] for index in batch.indices]
        finally:
            if outer is not None:
                rng.set_host_state(outer)


def _shielded_worker(number: int, inner: Callable[[int], Any] | None = None) -> None:
    """Starts a loader process that outlives a signal to the whole process group.

    Ctrl-C, a time limit or a batch system signal every process; the trainer must still get its batches up to
    a step boundary, and ends its loader processes itself. A lost terminal or a wish for a checkpoint ends
    neither.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(signal_number, signal.SIG_IGN)
    if inner is not None:
        inner(number)


def shield_workers(loader: DataLoader[Any]) -> None:
    """Shield the processes of a user's own loader, too. What it does at their start stays."""
    inner = loader.worker_init_fn
    if getattr(inner, "func", None) is not _shielded_worker:
        loader.worker_init_fn = functools.partial(_shielded_worker, inner=inner)


class DatasetLoader:
    """Batches of a map-style data set through a DataLoader.

    Args:
        dataset: the items.
        plan: which items make which batch.
        device: where batches are needed.
        workers: loader processes.
        collate: makes a batch of items; None: torch's default.
        alert: is told when loader processes died and new ones go on.
    """

    def __init__(
        self,
        dataset: Any,
        plan: BatchPlan,
        device: torch.device,
        workers: int,
        collate: Any = None,
        alert: Alert = no_alert,
    ) -> None:
        self._alert = alert
        self.plan: BatchPlan | None = plan
        self._sampler = PlanSampler(plan)
        self._device = device
        self.samples: int | None = plan.samples
        self.batches: int | None = plan.batches
        self._loader: DataLoader[Any] = DataLoader(
            SeededItems(dataset),
            batch_sampler=self._sampler,  # type: ignore[arg-type]
            num_workers=workers,
            collate_fn=collate,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=_shielded_worker,
            # A generator of its own: drawing the workers' base seed must not move the loop's stream.
            generator=torch.Generator().manual_seed(plan.seed),
        )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        def begin(number: int) -> Iterator[Any]:
            self._sampler.epoch, self._sampler.start = epoch, number
            return LoaderBatches(self._loader)

        for batch in surviving(begin, start, self._alert):
            yield to_device(batch, self._device)

    def close(self) -> None:
        end_processes(self._loader._iterator)
        self._loader._iterator = None


class ForeignLoader:
    """A user's own DataLoader or iterable, or an IterableDataset: taken as it is.

    It draws random numbers from a stream of its own, seeded by (seed, epoch), so its order does not depend on
    the model. It knows no positions: going on in mid-epoch replays the epoch's first batches without training
    on them. So does going on after the death of a DataLoader's process.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        seed: int,
        device: torch.device,
        limit: int = 0,
        alert: Alert = no_alert,
    ) -> None:
        self._alert = alert
        if isinstance(batches, DataLoader):
            shield_workers(batches)
        self.plan: BatchPlan | None = None
        self._iterable = batches
        self._batches: Any = ()
        self._seed = seed
        self._device = device
        self._limit = limit
        self.batches: int | None = _length(batches)
        dataset = getattr(batches, "dataset", None)
        self.samples: int | None = None if dataset is None else _length(dataset)
        if limit and self.batches is not None:
            self.batches = min(limit, self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        if self._limit:
            # The same few batches in every epoch.
            epoch = 0
        for batch in surviving(lambda number: self._drawn(epoch, number), start, self._alert):
            yield to_device(batch, self._device)

    def _drawn(self, epoch: int, start: int) -> Iterator[Any]:
        """The epoch's batches on the host. Those before `start` are drawn too, and dropped."""
        stream = rng.Stream(rng.mix(self._seed, epoch))
        for part in _drawing_parts(self._iterable):
            # A generator of its own would go on where the last epoch ended.
            generator = getattr(part, "generator", None)
            if isinstance(generator, torch.Generator):
                generator.manual_seed(rng.mix(self._seed, epoch))
            if callable(getattr(part, "set_epoch", None)):
                part.set_epoch(epoch)
        with stream:
            loader = self._iterable
            self._batches = batches = (
                LoaderBatches(loader) if isinstance(loader, DataLoader) else iter(loader)
            )
        number = 0
        while not self._limit or number < self._limit:
            with stream:
                try:
                    batch = next(batches)
                except StopIteration:
                    return
            number += 1
            if number > start:
                yield batch

    def close(self) -> None:
        end_processes(self._batches)
        if isinstance(self._iterable, DataLoader):
            self._iterable._iterator = None
        self._iterable = self._batches = ()


def _drawing_parts(loader: Any) -> list[Any]:
    """A user's loader and the samplers inside it: whatever may draw the order of an epoch."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    parts = [loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)]
    return [part for part in parts if part is not None]


def _length(sized: Any) -> int | None:
    try:
        return len(sized)
    except (TypeError, NotImplementedError):
        return None


def worker_count(wanted: str | int, dataset: Any, batch_size: int) -> int:
    """Loader processes for a data set.

    "auto" times a few items: below 2 ms a batch, processes cost more than they bring.
    """
    if isinstance(wanted, int):
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    items = min(8, len(dataset))
    if cores < 2 or items == 0:
        return 0
    probe = SeededItems(dataset)
    probe.__getitems__(BatchIndices(0, [0]))
    begin = time.perf_counter()
    probe.__getitems__(BatchIndices(0, list(range(items))))
    seconds_a_batch = (time.perf_counter() - begin) / items * min(batch_size, len(dataset))
    return 0 if seconds_a_batch < 2e-3 else min(8, cores)
