"""Optimizers and learning-rate schedules by name, and reasons where one can't train this model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from tui_trainer.config.hparams import Hparams
from tui_trainer.config.names import OPTION_NAMES
from tui_trainer.errors import TrainerError, UsageError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

FUSED = {"Adam", "AdamW", "SGD", "Adagrad"}
FUSED_DEVICES = {"cpu", "cuda", "mps", "xpu"}


def build_optimizer(task: Task, hparams: Hparams, model: nn.Module) -> Optimizer:
    """The task's own optimizer, or the one that `hparams.optimizer` names, in its fastest form.

    Raises:
        UsageError: this optimizer can't train this model; the message says why.
        TrainerError: the model has nothing to train.
    """
    own = task.optimizer(hparams, model)
    if own is not None:
        if not isinstance(own, Optimizer):
            raise TrainerError("not an optimizer", f"optimizer() returned a {type(own).__name__}", "return a torch.optim.Optimizer")
        return own
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainerError("nothing to train", "the model has no parameter that requires a gradient", "check model(hparams)")
    name = hparams.optimizer
    _refuse_unfit(name, model)
    options: dict[str, Any] = {"lr": hparams.lr}
    options |= {option: value for option in OPTION_NAMES if (value := getattr(hparams, option)) is not None}
    plain = all(p.is_floating_point() and p.layout == torch.strided for p in parameters)
    if name in FUSED and plain and parameters[0].device.type in FUSED_DEVICES:
        if not (name == "Adagrad" and parameters[0].device.type != "cpu"):
            options["fused"] = True
    optimizer: Optimizer = getattr(torch.optim, name)(parameters, **options)
    return optimizer


def _refuse_unfit(name: str, model: nn.Module) -> None:
    trained = [(key, p) for key, p in model.named_parameters() if p.requires_grad]
    if name == "Muon":
        others = [key for key, p in trained if p.dim() != 2]
        if others:
            raise UsageError(
                "optimizer can't train this model",
                f"Muon updates matrices only; {len(others)} of {len(trained)} parameters are none, for example {others[0]}",
                "--optimizer AdamW, or give Muon its matrices in your task's optimizer()",
            )
    if name == "SparseAdam":
        sparse = {id(m.weight) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)) and m.sparse}
        dense = [key for key, p in trained if id(p) not in sparse]
        if dense:
            raise UsageError(
                "optimizer can't train this model",
                f"SparseAdam needs sparse gradients; {len(dense)} of {len(trained)} parameters have dense ones, "
                f"for example {dense[0]}",
                "--optimizer Adam",
            )
    if name == "LBFGS" and any(p.is_complex() for _, p in trained):
        raise UsageError("optimizer can't train this model", "LBFGS does not take complex parameters", "--optimizer Adam")


class Schedule:
    """A learning-rate schedule: moved by optimizer steps, or by evaluations (plateau).

    Args:
        scheduler: torch's scheduler; None for a constant rate.
    """

    def __init__(self, scheduler: LRScheduler | ReduceLROnPlateau | None) -> None:
        self._scheduler = scheduler
        self._by_step = scheduler is not None and not isinstance(scheduler, ReduceLROnPlateau)

    def after_step(self) -> None:
        """Call after each optimizer step."""
        if self._by_step:
            self._scheduler.step()  # type: ignore[union-attr, call-arg]

    def after_evaluation(self, monitored: float) -> None:
        """Call with the monitored value after each evaluation."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(monitored)

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state; empty for a constant rate."""
        return self._scheduler.state_dict() if self._scheduler is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`. The run's length stays as the hparams now say."""
        if self._scheduler is None or not state:
            return
        kept = {key: value for key, value in state.items() if key not in ("total_steps", "lr_lambdas", "_schedule_phases")}
        self._scheduler.load_state_dict({**kept, **({"lr_lambdas": [None]} if "lr_lambdas" in state else {})})


def build_schedule(
    task: Task, hparams: Hparams, optimizer: Optimizer, total_steps: int | None, steps_per_epoch: int | None, mode: str
) -> Schedule:
    """The task's own scheduler, or the one that `hparams.scheduler` names.

    Args:
        total_steps: optimizer steps of the whole run; None where the data have no length.
        mode: "min" or "max", for plateau.

    Raises:
        UsageError: the schedule needs a length that the data do not have.
    """
    own = task.scheduler(hparams, optimizer, total_steps)
    if own is not None:
        return Schedule(own)
    name = hparams.scheduler
    if name == "plateau":
        return Schedule(ReduceLROnPlateau(optimizer, mode=mode, factor=hparams.lr_decay, patience=hparams.lr_patience))  # type: ignore[arg-type]
    if name == "constant" and not hparams.warmup:
        return Schedule(None)
    if total_steps is None and (name in ("cosine", "one_cycle") or hparams.warmup):
        raise UsageError(
            "schedule needs a length",
            f"scheduler {name} with warmup {hparams.warmup:g} needs the number of steps, and the training data have no length",
            "set max_steps, or --scheduler constant --warmup 0",
        )
    if name == "one_cycle":
        assert total_steps is not None
        cycles = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
        rise = hparams.warmup or 0.3
        return Schedule(
            OneCycleLR(optimizer, max_lr=hparams.lr, total_steps=max(total_steps, 1), pct_start=min(rise, 1.0), cycle_momentum=cycles)
        )
    if name == "step" and steps_per_epoch is None:
        raise UsageError(
            "schedule needs a length", "scheduler step counts epochs, and the training data have no length", "--scheduler constant"
        )
    return Schedule(LambdaLR(optimizer, lr_factor(hparams, total_steps or 0, steps_per_epoch or 1)))


def lr_factor(hparams: Hparams, total_steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    """Factor on lr as a function of the optimizer steps done: linear warm-up, then constant, cosine or steps.

    The first step of a warm-up over w steps uses lr / w, so that no step is wasted on a rate of zero.
    """
    warm = round(hparams.warmup * total_steps)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if hparams.scheduler == "cosine":
            progress = min(1.0, (step - warm) / max(1, total_steps - warm))
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        if hparams.scheduler == "step":
            return float(hparams.lr_decay ** (step // (hparams.lr_decay_every * steps_per_epoch)))
        return 1.0

    return factor
