"""A dry run: build everything, train one batch, test one batch, write nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.alerts import Alert
from tui_trainer.engine.batch_looper import test_batch_looper, train_batch_looper
from tui_trainer.engine.context import EpochContext, call_hook
from tui_trainer.engine.failure import during, explain
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.prepare import Phase, prepare
from tui_trainer.engine.prepared import Prepared
from tui_trainer.engine.warned import warnings_told

if TYPE_CHECKING:
    from torch import nn

    from tui_trainer.engine.initial import InitialWeights
    from tui_trainer.tasks.base import Task


def check(
    task: Task,
    hparams: Hparams,
    on_phase: Callable[[str], None] = lambda name: None,
    weights: InitialWeights | None = None,
) -> dict[str, Any]:
    """Try a task out.

    Args:
        task: what would be trained.
        hparams: validated.
        on_phase: told what happens.
        weights: what the model starts from.

    Returns:
        task, device, parameters, samples, steps, `metrics` of one training step and one test batch, the
        seconds of each phase, and `alerts` (title, message) of what was dealt with.

    Raises:
        TrainerError: what a run would fail of.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        on_phase(name)
        begin = time.perf_counter()
        with during(name):
            yield
        seconds[name] = time.perf_counter() - begin

    alerts: list[dict[str, str]] = []

    def alert(title: str, message: str) -> None:
        alerts.append({"title": title, "message": message})

    def load_weights(model: nn.Module) -> None:
        if weights is not None:
            weights.load_into(model, alert)

    with warnings_told(alert):
        ready = prepare(task, hparams, phase, alert=alert, load_weights=load_weights if weights else None)
        facts = ready.facts()
        metrics = _one_batch_each(ready, hparams, phase)
        if task.overrides("on_epoch_end"):
            with phase("on_epoch_end"):
                metrics = _with_hook(task, ready, hparams, metrics, alert)
    return {"task": task.name, **facts, "metrics": metrics, "seconds": seconds, "alerts": alerts}


def _with_hook(
    task: Task, ready: Prepared, hparams: Hparams, metrics: dict[str, float], alert: Alert
) -> dict[str, float]:
    """The metrics, with what `on_epoch_end` adds; it is tried out as at the end of an epoch."""
    context = EpochContext(
        ready.evaluated_model, hparams, ready.device.torch, 1, 1, dict(metrics), writer=None
    )
    try:
        call_hook(task, context)
        return {str(name): float(value) for name, value in context.metrics.items()}
    except Exception as error:
        alert("on_epoch_end failed", explain(error).message.split("\n", 1)[0])
        return metrics


def _one_batch_each(ready: Prepared, hparams: Hparams, phase: Phase) -> dict[str, float]:
    """Metrics of one training step and of one batch of each evaluated split."""
    try:
        metrics: dict[str, float] = {}
        meter = Meter(ready.device.torch)
        with phase("training on one batch"):
            window = itertools.islice(ready.splits.train.epoch(0), hparams.grad_accumulation)
            train_batch_looper(
                window,
                ready.model,
                ready.forward,
                meter,
                ready.updater,
                hparams.grad_accumulation,
                lambda batches: False,
            )
            metrics |= {f"train/{name}": value for name, value in meter.means().items()}
        for split, loader in ready.splits.evaluated().items():
            with phase(f"evaluating one {split} batch"):
                first = itertools.islice(loader.epoch(0), 1)
                means = test_batch_looper(
                    first, ready.evaluated_model, ready.forward, meter, micro=ready.measuring
                )
                metrics |= {f"{split}/{name}": value for name, value in means.items()}
        return metrics
    finally:
        ready.splits.close()
