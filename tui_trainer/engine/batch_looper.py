"""The seed's `batch_looper`: one body for training and testing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import nn

from tui_trainer.engine.batches import first_length
from tui_trainer.engine.forward import Forward, measure
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.micro import MicroBatches
from tui_trainer.engine.update import Updater


class Waiting:
    """Wraps an iterator of batches, counts samples and adds up the seconds spent waiting for it.

    Args:
        batches: what to iterate over.
        samples: where to go on counting.
        clock: seconds that only ever grow.

    Attributes:
        samples: samples so far, by the first tensor of each batch.
        seconds: time inside `next` so far.
    """

    def __init__(
        self, batches: Iterable[Any], samples: int = 0, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._batches = iter(batches)
        self._clock = clock
        self._peeked: list[Any] = []
        self.samples = samples
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self._peeked.pop() if self._peeked else self._next()
        with suppress(TypeError):
            self.samples += first_length(batch)
        return batch

    def _next(self) -> Any:
        begin = self._clock()
        try:
            return next(self._batches)
        finally:
            self.seconds += self._clock() - begin

    def at_end(self) -> bool:
        """Whether there is no further batch. Fetches it: for loaders that can't tell their length."""
        if not self._peeked:
            try:
                self._peeked.append(self._next())
            except StopIteration:
                return True
        return False


def batch_looper(
    batches: Iterable[Any],
    model: nn.Module,
    forward: Forward,
    meter: Meter,
    updater: Updater | None = None,
    accumulation: int = 1,
    after_window: Callable[[int], bool] | None = None,
    micro: MicroBatches | None = None,
) -> None:
    """Run over batches; with an updater, train on them.

    Args:
        batches: batches on the device.
        model: the network, already in the right mode.
        forward: loss and metrics of a batch.
        meter: collects the values.
        updater: makes an optimizer step of each window; None: only measure.
        accumulation: batches of a window.
        after_window: called with the number of batches of each window; False ends the loop.
        micro: how many samples go through the model at once where it only measures; an updater has its own.
    """
    batches, micro = iter(batches), micro or MicroBatches()
    while window := list(islice(batches, accumulation)):
        if updater is None:
            meter.add_all(micro.run(window, forward.count, partial(measure, model, forward)))
        else:
            updater.step(window, forward, meter)
        if after_window is not None and not after_window(len(window)):
            return


def train_batch_looper(
    batches: Iterable[Any],
    model: nn.Module,
    forward: Forward,
    meter: Meter,
    updater: Updater,
    accumulation: int,
    after_window: Callable[[int], bool],
) -> None:
    """Train on the batches of an epoch, or of what is left of it."""
    model.train()
    batch_looper(batches, model, forward, meter, updater, accumulation, after_window)


def test_batch_looper(
    batches: Iterable[Any],
    model: nn.Module,
    forward: Forward,
    meter: Meter,
    after_window: Callable[[int], bool] | None = None,  # noqa: PT028 (no test, whatever its name)
    micro: MicroBatches | None = None,  # noqa: PT028
) -> dict[str, float]:
    """Measure a split: no gradient, evaluation mode; the model's mode comes back as it was.

    Returns:
        The split's metrics, exact means over its samples.
    """
    training = model.training
    model.eval()
    meter.reset()
    try:
        with torch.no_grad():
            batch_looper(batches, model, forward, meter, after_window=after_window, micro=micro)
    finally:
        model.train(training)
    return meter.means()


test_batch_looper.__test__ = False  # type: ignore[attr-defined]
