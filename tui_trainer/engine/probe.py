"""Which batch size trains fastest here: a few real steps with each, on fresh weights."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from tui_trainer.config.hparams import Hparams
from tui_trainer.config.problems import validate
from tui_trainer.engine.batch_looper import Waiting, train_batch_looper
from tui_trainer.engine.batches import first_length
from tui_trainer.engine.data import has_batchnorm
from tui_trainer.engine.device import Device, release_memory
from tui_trainer.engine.failure import is_out_of_memory
from tui_trainer.engine.loaders import ForeignLoader, Loader
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.prepare import assemble, load
from tui_trainer.engine.prepared import Prepared
from tui_trainer.errors import TrainerError, UsageError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

LARGEST = 65_536
BUDGET_S = 60.0

GOOD_ENOUGH = 0.9
"""Part of the best throughput that is enough: of two sizes the smaller makes more of each sample."""

HEAD_ROOM = 0.85
"""Part of the device's memory that a size may take: batches differ, and others may use the device too."""

_WARM_UP_STEPS = 2
_LEAST_STEPS = 3
_LEAST_S = 0.25


@dataclass(frozen=True)
class Trial:
    """What a batch size was found to do.

    Attributes:
        batch_size: samples of a batch.
        ms: milliseconds of an optimizer step; None where memory ran out.
        samples_per_s: training samples a second; None where memory ran out.
        memory: most bytes that the device held for it; None where it does not tell.
    """

    batch_size: int
    ms: float | None = None
    samples_per_s: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Finding:
    """The outcome of a search.

    Attributes:
        batch_size: the one to train with.
        reason: why, in words.
        trials: what was tried, smallest first.
    """

    batch_size: int
    reason: str
    trials: tuple[Trial, ...]

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def find_batch_size(
    task: Task,
    hparams: Hparams,
    *,
    budget: float = BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Finding:
    """Try doubling batch sizes until memory runs out, the training set is one batch, or the time is used up.

    The model is not compiled for it, since it would compile anew for each size.

    Args:
        task: what will be trained.
        hparams: of the run; batch_size is what is looked for.
        budget: seconds after which no further size is tried.
        clock: seconds that only ever grow.
        on_trial: told of each size.

    Returns:
        The smallest size that comes near the best throughput and leaves memory free.

    Raises:
        UsageError: the task makes its batches itself.
        TrainerError: what a run would fail of, even with the smallest size.
    """
    begin = clock()
    device, parts = load(task, hparams, lambda name: nullcontext())
    available = _available(device.torch)
    trials: list[Trial] = []
    ended = f"{LARGEST:,} is the largest to try"
    for sized in _candidates(hparams):
        began, size = clock(), sized.batch_size
        try:
            trial, samples = _try(task, sized, device, parts, clock)
        except Exception as error:
            if not trials or not is_out_of_memory(error.__cause__ or error):
                raise
            trial, samples = Trial(size), None
        # Out here, since the exception's traceback holds what did not fit.
        release_memory(device.torch)
        if trial is None:
            continue
        trials.append(trial)
        on_trial(trial)
        now = clock()
        if trial.ms is None:
            ended = f"{size:,} runs out of memory"
            break
        if samples is not None and 2 * size > samples:
            ended = f"the training set has {samples:,} samples"
            break
        # The next one has twice as much to do.
        if now - begin + 2 * (now - began) > budget:
            ended = f"the next one would not fit into the {budget:g} s for the search"
            break
    if not trials:
        raise UsageError("no batch size fits", f"{task.name} refuses each of 1, 2, 4 … {LARGEST:,}")
    return choose(trials, available, ended)


def choose(trials: Sequence[Trial], available: int | None, ended: str) -> Finding:
    """The smallest size that reaches most of the best throughput and leaves memory free.

    Args:
        trials: smallest first; only the last one may have run out of memory.
        available: bytes of the device's memory that a run may take; None where it does not tell.
        ended: why no larger size was tried, in words.
    """
    fitting = [trial for trial in trials if trial.ms is not None]
    most = HEAD_ROOM * available if available is not None else None
    roomy = [trial for trial in fitting if most is None or trial.memory is None or trial.memory <= most]
    if most is None and len(fitting) < len(trials):
        # How much the largest left free is not known; half of it has left some.
        roomy = fitting[:-1]
    roomy = roomy or fitting[:1]
    best = max(roomy, key=_rate)
    chosen = next(trial for trial in roomy if _rate(trial) >= GOOD_ENOUGH * _rate(best))
    if chosen is best:
        reason = f"the best throughput, {_rate(best):,.0f} samples/s"
    else:
        share = _rate(chosen) / max(_rate(best), 1e-9)
        reason = f"{share:.0%} of the best throughput, {_rate(best):,.0f} samples/s with {best.batch_size:,}"
    if len(roomy) < len(fitting):
        reason += "; larger ones leave too little memory free"
    return Finding(chosen.batch_size, f"{reason}; {ended}", tuple(trials))


def _rate(trial: Trial) -> float:
    return trial.samples_per_s or 0.0


def _candidates(hparams: Hparams) -> Iterator[Hparams]:
    """The hparams with each batch size to try, smallest first, without those that the task's rules refuse."""
    whole = None if hparams.micro_batch == "auto" else hparams.micro_batch
    values = {**hparams.model_dump(), "micro_batch": whole, "compile": False}
    for power in range(LARGEST.bit_length()):
        sized, _ = validate(type(hparams), {**values, "batch_size": 1 << power})
        if sized is not None:
            yield sized


def _try(
    task: Task, hparams: Hparams, device: Device, parts: tuple[Any, Any, Any], clock: Callable[[], float]
) -> tuple[Trial | None, int | None]:
    """Train a few steps.

    Returns:
        What was found (None where the model can't train on so few samples), and the samples of an epoch.
    """
    ready = assemble(task, hparams, device, parts, lambda name: nullcontext())
    try:
        if hparams.batch_size == 1 and has_batchnorm(ready.model):
            return None, None
        _check_batches(ready.splits.train, hparams.batch_size)
        return _timed(ready, hparams, clock), ready.splits.train.samples
    finally:
        ready.close()


def _check_batches(loader: Loader, size: int) -> None:
    """Refuse a user's own loader that does not make batches of `size`.

    Raises:
        UsageError: it makes others.
    """
    if not isinstance(loader, ForeignLoader):
        return
    length = first_length(next(loader.epoch(0), ()))
    if length != size and (loader.samples is None or size <= loader.samples):
        raise UsageError(
            "batch_size does not decide the batches",
            f"with batch_size {size}, the task's own loader makes batches of {length}",
            "use hparams.batch_size in dataloader(), or leave --find-batch-size out",
        )


def _timed(ready: Prepared, hparams: Hparams, clock: Callable[[], float]) -> Trial:
    device = ready.device.torch
    backend = getattr(torch, device.type)
    tells_peak = hasattr(backend, "max_memory_reserved")
    if tells_peak:
        backend.reset_peak_memory_stats(device)
    batches, meter = Waiting(_for_ever(ready.splits.train), clock=clock), Meter(device)
    ends: list[tuple[float, int]] = []

    def after_window(_: int) -> bool:
        backend.synchronize()
        meter.step += 1
        ends.append((clock(), batches.samples))
        return (
            len(ends) < _WARM_UP_STEPS + _LEAST_STEPS or ends[-1][0] - ends[_WARM_UP_STEPS - 1][0] < _LEAST_S
        )

    train_batch_looper(
        batches,
        ready.model,
        ready.forward,
        meter,
        ready.updater,
        hparams.grad_accumulation,
        after_window,
    )
    timed = ends[_WARM_UP_STEPS - 1 :]
    if len(timed) < 2:
        raise TrainerError(
            "too little data",
            f"the training loader yields {len(ends)} batches in all",
            "check datasets() or dataloader(); a generator can be read only once",
        )
    # The median, since whatever else runs on the machine makes some steps long.
    seconds = max(statistics.median(now - before for (before, _), (now, _) in pairwise(timed)), 1e-9)
    samples = (timed[-1][1] - timed[0][1]) / (len(timed) - 1)
    memory = backend.max_memory_reserved(device) if tells_peak else None
    return Trial(hparams.batch_size, 1000 * seconds, samples / seconds, memory)


def _for_ever(loader: Loader) -> Iterator[Any]:
    """Batches of one epoch after the other, until an epoch has none."""
    for epoch in itertools.count():
        empty = True
        for batch in loader.epoch(epoch):
            empty = False
            yield batch
        if empty:
            return


def _available(device: torch.device) -> int | None:
    """Bytes of the device's memory that nobody else holds; None where it does not tell."""
    backend = getattr(torch, device.type)
    if not hasattr(backend, "mem_get_info"):
        return None
    free, _ = backend.mem_get_info(device)
    return int(free + backend.memory_reserved(device))
