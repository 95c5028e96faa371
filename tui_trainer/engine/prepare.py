"""Everything that must stand before the first step: device, data, model, criterion, optimizer, scheduler."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import rng
from tui_trainer.engine.alerts import Alert, no_alert
from tui_trainer.engine.batch_looper import test_batch_looper
from tui_trainer.engine.context import StepContext
from tui_trainer.engine.criterion import build_criterion
from tui_trainer.engine.data import Splits, build_loaders, has_batchnorm, raw_splits
from tui_trainer.engine.describe import a
from tui_trainer.engine.device import Device, check_precision, choose_device
from tui_trainer.engine.failure import during
from tui_trainer.engine.forward import Forward
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.micro import MicroBatches, Wanted
from tui_trainer.engine.monitor import Monitor, no_such_metric
from tui_trainer.engine.optim import build_optimizer
from tui_trainer.engine.prepared import Prepared
from tui_trainer.engine.schedule import build_schedule
from tui_trainer.engine.several import members_of
from tui_trainer.engine.update import Updater
from tui_trainer.errors import TrainerError, UsageError
from tui_trainer.runs.directions import better_direction, loss_direction

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

Phase = Callable[[str], AbstractContextManager[None]]
"""Told the name of each phase; the context lasts as long as the phase does."""


def prepare(
    task: Task,
    hparams: Hparams,
    phase: Phase,
    on_device: Callable[[torch.device], None] = lambda device: None,
    alert: Alert = no_alert,
    load_weights: Callable[[nn.Module], None] | None = None,
) -> Prepared:
    """Choose the device, load the data and `assemble` the rest.

    Args:
        task: what is trained.
        hparams: validated.
        phase: is told what happens.
        on_device: called once the device is chosen.
        alert: is told a title and a message of what was dealt with, now and while it trains.
        load_weights: gives the model other weights than random ones.

    Raises:
        TrainerError: what does not fit, in the user's words.
    """
    device, parts = load(task, hparams, phase, on_device)
    return assemble(task, hparams, device, parts, phase, alert, load_weights)


def load(
    task: Task,
    hparams: Hparams,
    phase: Phase,
    on_device: Callable[[torch.device], None] = lambda device: None,
) -> tuple[Device, tuple[Any, Any, Any]]:
    """The device, and the data: training, validation and test set.

    Raises:
        TrainerError: the device is not there, or the data are none.
    """
    if task.overrides("train_step"):
        _refuse_parts(task, hparams)
    with phase("choosing the device"):
        if hparams.deterministic:
            # cuBLAS reads this once, when a process first multiplies matrices.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        device = choose_device(hparams.device)
        check_precision(hparams.precision, device.torch)
        on_device(device.torch)
        if torch.are_deterministic_algorithms_enabled() != hparams.deterministic:
            # Asked first, since the call itself imports torch's compiler, which takes seconds.
            torch.use_deterministic_algorithms(hparams.deterministic)
        torch.backends.cudnn.benchmark = not hparams.deterministic
    with phase("loading data"):
        rng.seed_everything(hparams.seed)
        return device, raw_splits(task, hparams)


def assemble(
    task: Task,
    hparams: Hparams,
    device: Device,
    parts: tuple[Any, Any, Any],
    phase: Phase,
    alert: Alert = no_alert,
    load_weights: Callable[[nn.Module], None] | None = None,
) -> Prepared:
    """Build what trains on the data, and check it on one batch of each evaluated split.

    Args:
        task: what is trained; its data have been loaded.
        hparams: validated.
        device: where to train.
        parts: training, validation and test set.
        phase: is told what happens.
        alert: is told a title and a message of what was dealt with.
        load_weights: gives the model other weights than random ones.

    Raises:
        TrainerError: what does not fit, in the user's words.
    """
    with phase("building the model"):
        # Seeded again: initial weights must not depend on how many numbers the data drew.
        rng.seed_everything(hparams.seed)
        model = build_model(task, hparams).to(device.torch)
        criterion = build_criterion(task, hparams)
        if isinstance(criterion, nn.Module):
            criterion.to(device.torch)
        forward = Forward(task, criterion, device.torch, hparams.precision)
    if load_weights is not None:
        with phase("loading the weights"):
            # Before anything copies the model, as an average of its weights does.
            load_weights(model)
    with phase("preparing batches"):
        splits = build_loaders(task, hparams, parts, model, device.torch, alert)
        training, measuring = _micro_batches(hparams, model, device.torch, alert)
    with phase("first batch"):
        # Before the optimizer, since it gives lazy layers their shapes.
        by_part = hparams.monitor not in (None, "train/loss") and hparams.monitor_mode == "auto"
        names = _try_evaluation(splits, model, forward, device.torch, measuring, by_part)
        monitor = build_monitor(task, hparams, list(splits.evaluated()), names, forward.parts)
    with phase("building the optimizer"):
        optimizer = build_optimizer(task, hparams, model)
        context = None
        if task.overrides("train_step"):
            context = StepContext(model, hparams, criterion, device.torch, members_of(optimizer))
        steps_per_epoch, total_steps = count_steps(hparams, splits.train.batches)
        schedule = build_schedule(task, hparams, optimizer, total_steps, steps_per_epoch, monitor.mode, alert)
        scaler = torch.amp.GradScaler(device.torch.type) if hparams.precision == "float16" else None
        updater = Updater(
            model,
            optimizer,
            clip_norm=hparams.grad_clip_norm,
            scaler=scaler,
            ema_decay=hparams.ema_decay,
            skips=hparams.on_nonfinite == "skip",
            micro=training,
            context=context,
        )
    if hparams.compile:
        with phase("compiling"):
            # In place, so that names in state_dict stay the model's own.
            model.compile()
    return Prepared(
        device,
        splits,
        model,
        forward,
        optimizer,
        schedule,
        scaler,
        updater,
        measuring,
        monitor,
        steps_per_epoch,
        total_steps,
    )


def _refuse_parts(task: Task, hparams: Hparams) -> None:
    """A task's own step takes a whole batch, and makes its own optimizer steps.

    Raises:
        UsageError: the hparams want batches put together or taken apart.
    """
    for name, plain in (("grad_accumulation", 1), ("micro_batch", "auto")):
        value = getattr(hparams, name)
        if value not in (plain, None):
            raise UsageError(
                "wrong hparams",
                f"{name} is {value}, and {type(task).__name__}.train_step makes a step of each whole batch",
                f"leave {name} at {plain}, or do it in train_step",
            )


def build_model(task: Task, hparams: Hparams) -> nn.Module:
    """The task's network, on the host.

    Raises:
        TrainerError: it is none.
    """
    model = task.model(hparams)
    if not isinstance(model, nn.Module):
        forgotten = "; does it end with `return`?" if model is None else ""
        hint = f"return a torch.nn.Module{forgotten}"
        raise TrainerError("not a model", f"model() returned {a(model)}", hint)
    return model


def _micro_batches(
    hparams: Hparams, model: nn.Module, device: torch.device, alert: Alert
) -> tuple[MicroBatches, MicroBatches]:
    """How many samples go through the model at once, in training and in evaluation."""
    wanted = hparams.micro_batch
    # An evaluation needs less, so a size of its own is taken as it is until memory runs out.
    measured: Wanted = "auto" if isinstance(wanted, int) and hparams.eval_batch_size else wanted
    return (
        MicroBatches(wanted, "training", batchnorm=has_batchnorm(model), device=device, alert=alert),
        MicroBatches(measured, "evaluation", device=device, alert=alert),
    )


def _try_evaluation(
    splits: Splits,
    model: nn.Module,
    forward: Forward,
    device: torch.device,
    micro: MicroBatches,
    by_part: bool,
) -> set[str]:
    """One batch of each evaluated split, so that a broken test set is noticed before an epoch is spent.

    Args:
        by_part: what decides may be a part of the loss.

    Returns:
        The names of their metrics.
    """
    names: set[str] = set()
    with rng.preserved(device):
        for split, loader in splits.evaluated().items():
            # A person looks for what is wrong in the split that it is in.
            with during(f"first {split} batch"):
                first = next(iter(loader.epoch(0)), None)
                if first is None:
                    raise TrainerError(
                        "empty data set",
                        f"the {split} loader yields no batch",
                        "check datasets() or dataloader()",
                    )
                means = test_batch_looper([first], model, forward, Meter(device, capacity=1), micro=micro)
            names |= {f"{split}/{name}" for name in means}
        own = forward.trains_itself
        lazy = any(isinstance(p, UninitializedParameter) for p in model.parameters())
        if not own and not names and (lazy or by_part):
            # Without an evaluated split a training batch gives lazy layers their shapes, and tells which
            # metrics are parts of the loss.
            first = islice(splits.train.epoch(0), 1)
            test_batch_looper(first, model, forward, Meter(device, capacity=1), micro=micro)
    return names


def build_monitor(
    task: Task, hparams: Hparams, splits: list[str], names: set[str], parts: Collection[str] = ()
) -> Monitor:
    """The metric that decides best, plateau and early stopping.

    Args:
        splits: evaluated splits, the deciding one first.
        names: metrics that a first batch showed; empty without an evaluated split.
        parts: those of them that are parts of the loss.

    Raises:
        UsageError: hparams name a metric that the task does not have.
    """
    metric = hparams.monitor or f"{(splits or ['train'])[0]}/loss"
    split, _, name = metric.partition("/")
    if split not in ("train", *splits):
        have = ", ".join(["train", *splits])
        raise UsageError(
            "wrong hparams",
            f'monitor: expected a metric of {have}, got "{metric}"',
            "this run has no such data set; see test_size",
        )
    known = {metric.partition("/")[2] for metric in names}
    # Named by the task, so it is no misspelling.
    from_hook = task.overrides("on_epoch_end") and name in task.directions and name not in known
    if known and name not in known and not from_hook:
        raise no_such_metric(metric, [f"{split}/{name}" for name in known])
    mode = hparams.monitor_mode
    if mode == "auto":
        own = task.directions.get(name) or ("min" if name in parts else None)
        guess = loss_direction if split == "train" and task.overrides("train_step") else better_direction
        mode = own or guess(metric)  # type: ignore[assignment]
    return Monitor(metric, mode, hparams.early_stopping_patience, from_hook)


def count_steps(hparams: Hparams, batches: int | None) -> tuple[int | None, int | None]:
    """Optimizer steps of an epoch and of the whole run; None for what the data's length does not tell."""
    steps_per_epoch = None if batches is None else -(-batches // hparams.grad_accumulation)
    total_steps = None if steps_per_epoch is None else steps_per_epoch * hparams.epochs
    if hparams.max_steps is not None:
        total_steps = hparams.max_steps if total_steps is None else min(hparams.max_steps, total_steps)
    return steps_per_epoch, total_steps
