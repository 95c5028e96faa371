"""Optimizers and learning-rate schedules by name, and reasons where one can't train this model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from tui_trainer.config.hparams import Hparams
from tui_trainer.config.names import OPTION_NAMES
from tui_trainer.errors import TrainerError, UsageError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

_ALL = frozenset({"cpu", "cuda", "mps", "xpu"})
FUSED_DEVICES = {"Adam": _ALL, "AdamW": _ALL, "SGD": _ALL, "Adagrad": frozenset({"cpu"})}
"""Where torch has a fused form of an optimizer, the fastest one."""


def build_optimizer(task: Task, hparams: Hparams, model: nn.Module) -> Optimizer:
    """The task's own optimizer, or the one that `hparams.optimizer` names, in its fastest form.

    Raises:
        UsageError: this optimizer can't train this model; the message says why.
        TrainerError: the model has nothing to train.
    """
    own = task.optimizer(hparams, model)
    if own is not None:
        if not isinstance(own, Optimizer):
            raise TrainerError(
                "not an optimizer",
                f"optimizer() returned a {type(own).__name__}",
                "return a torch.optim.Optimizer",
            )
        return own
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainerError(
            "nothing to train", "the model has no parameter that requires a gradient", "check model(hparams)"
        )
    name = hparams.optimizer
    _refuse_unfit(hparams, model)
    options: dict[str, Any] = {"lr": hparams.lr}
    options |= {option: value for option in OPTION_NAMES if (value := getattr(hparams, option)) is not None}
    plain = all(p.is_floating_point() and p.layout == torch.strided for p in parameters) and not _sparse(
        model
    )
    if plain and parameters[0].device.type in FUSED_DEVICES.get(name, ()):
        options["fused"] = True
    optimizer: Optimizer = getattr(torch.optim, name)(parameters, **options)
    return optimizer


def _sparse(model: nn.Module) -> set[int]:
    """Ids of the parameters whose gradients are sparse."""
    embeddings = (m for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)))
    return {id(m.weight) for m in embeddings if m.sparse}


def _refuse_unfit(hparams: Hparams, model: nn.Module) -> None:
    name, sparse = hparams.optimizer, _sparse(model)
    trained = [(key, p) for key, p in model.named_parameters() if p.requires_grad]
    if name == "Muon":
        others = [key for key, p in trained if p.dim() != 2]
        if others:
            raise UsageError(
                "optimizer can't train this model",
                f"Muon updates matrices only; {len(others)} of {len(trained)} parameters are none, "
                f"for example {others[0]}",
                "--optimizer AdamW, or give Muon its matrices in your task's optimizer()",
            )
    if name == "SparseAdam":
        dense = [key for key, p in trained if id(p) not in sparse]
        if dense:
            raise UsageError(
                "optimizer can't train this model",
                f"SparseAdam needs sparse gradients; {len(dense)} of {len(trained)} parameters have dense "
                f"ones, for example {dense[0]}",
                "--optimizer Adam",
            )
    if name == "LBFGS" and any(p.is_complex() for _, p in trained):
        raise UsageError(
            "optimizer can't train this model", "LBFGS does not take complex parameters", "--optimizer Adam"
        )
    if sparse and hparams.grad_clip_norm is not None:
        raise UsageError(
            "gradients can't be clipped",
            "the model has an embedding with sparse=True, and torch has no norm of sparse gradients",
            "--grad-clip-norm none, or sparse=False",
        )


class Schedule:
    """A learning-rate schedule: moved by optimizer steps, or by evaluations (plateau).

    Args:
        scheduler: torch's scheduler; None for a constant rate.
        optimizer: whose rate it is.
        length: optimizer steps of the whole run; None where that is not known.
    """

    def __init__(
        self,
        scheduler: LRScheduler | ReduceLROnPlateau | None,
        optimizer: Optimizer,
        length: int | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._optimizer = optimizer
        self._length = length
        self._set_to: float | None = None
        self._by_step = scheduler is not None and not isinstance(scheduler, ReduceLROnPlateau)

    def after_step(self) -> None:
        """Call after each optimizer step."""
        if not self._by_step:
            return
        if (
            isinstance(self._scheduler, OneCycleLR)
            and self._scheduler.last_epoch >= self._scheduler.total_steps
        ):
            # A loader that yields more than its length told: the rate stays at its end instead of failing.
            return
        self._scheduler.step()  # type: ignore[union-attr, call-arg]

    def after_evaluation(self, monitored: float) -> None:
        """Call with the monitored value after each evaluation."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(monitored)

    def set_lr(self, lr: float) -> float:
        """Use this rate from the next step on. The schedule goes on from there, in the same proportions.

        Every parameter group's rate is scaled by what the first one's is scaled by, and so are the rates that
        the schedule is built on (the base rates; the peak and the ends of a cycle). A rate of zero has no
        proportion to another: where the schedule stands there, the base rate becomes `lr`.

        Returns:
            The first group's rate as it was.
        """
        groups = self._optimizer.param_groups
        old = float(groups[0]["lr"])
        scaled = "lr" if old > 0 and math.isfinite(lr / old) else "initial_lr"
        factor = lr / (float(groups[0].get(scaled, lr)) or lr)
        for group in groups:
            # Exactly what was asked for, not what rounding makes of it.
            rate = lr if group is groups[0] else float(group.get(scaled, lr)) * factor
            for key in ("initial_lr", "max_lr", "min_lr"):
                if key in group:
                    _assign(group, key, float(group[key]) * factor)
            _assign(group, "lr", rate)
        _scale_bases(self._scheduler, factor)
        self._set_to = lr
        return old

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state; empty for a constant rate."""
        if self._scheduler is None:
            return {}
        return {"scheduler": self._scheduler.state_dict(), "length": self._length, "set_to": self._set_to}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`. The run's length stays as the hparams now say."""
        if self._scheduler is None or not state:
            return
        kept = {
            key: value
            for key, value in state["scheduler"].items()
            if key not in ("total_steps", "lr_lambdas", "_schedule_phases", "optimizer")
            # It becomes an attribute, and must not take a method's place.
            and not callable(getattr(type(self._scheduler), key, None))
        }
        lambdas = {"lr_lambdas": [None]} if "lr_lambdas" in state["scheduler"] else {}
        self._scheduler.load_state_dict({**kept, **lambdas})
        self._set_to = state["set_to"]
        if state["length"] != self._length and isinstance(self._scheduler, (LambdaLR, OneCycleLR)):
            self._stretch()

    def _stretch(self) -> None:
        """The next step's rate by the run's present length: the saved one may be the end of a shorter run."""
        assert self._scheduler is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            rates = self._scheduler.get_lr()
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            _assign(group, "lr", float(rate))
        if self._set_to is not None and float(rates[0]) > self._set_to:
            # Set near the end of a cosine it was a large part of a base rate that nobody meant to train with.
            self.set_lr(self._set_to)


def _assign(group: dict[str, Any], key: str, value: float) -> None:
    """A rate of a parameter group; one that is a tensor (capturable optimizers) stays that tensor."""
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


def _scale_bases(scheduler: Any, factor: float) -> None:
    """Scale what a scheduler, and those inside it, compute rates from."""
    for name in ("base_lrs", "max_lrs"):
        rates = getattr(scheduler, name, None)
        if isinstance(rates, list):
            setattr(scheduler, name, [rate * factor for rate in rates])
    for inner in getattr(scheduler, "_schedulers", ()):
        _scale_bases(inner, factor)


def build_schedule(
    task: Task,
    hparams: Hparams,
    optimizer: Optimizer,
    total_steps: int | None,
    steps_per_epoch: int | None,
    mode: str,
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
        return Schedule(own, optimizer, total_steps)
    name = hparams.scheduler
    if name == "plateau":
        better: Literal["min", "max"] = "max" if mode == "max" else "min"
        return Schedule(
            ReduceLROnPlateau(optimizer, mode=better, factor=hparams.lr_decay, patience=hparams.lr_patience),
            optimizer,
        )
    if name == "constant" and not hparams.warmup:
        return Schedule(None, optimizer)
    if total_steps is None and (name in ("cosine", "one_cycle") or hparams.warmup):
        raise UsageError(
            "schedule needs a length",
            f"scheduler {name} with warmup {hparams.warmup:g} needs the number of steps, and the training "
            "data have no length",
            "set max_steps, or --scheduler constant --warmup 0",
        )
    if name == "one_cycle":
        assert total_steps is not None
        cycles = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
        # torch divides by the steps of the rise less one and of the fall, so each must have some.
        length = max(total_steps, 4)
        rise = min(max(hparams.warmup or 0.3, 2 / length), (length - 1) / length)
        return Schedule(
            OneCycleLR(
                optimizer, max_lr=hparams.lr, total_steps=length, pct_start=rise, cycle_momentum=cycles
            ),
            optimizer,
            total_steps,
        )
    if name == "step" and steps_per_epoch is None:
        raise UsageError(
            "schedule needs a length",
            "scheduler step counts epochs, and the training data have no length",
            "--scheduler constant",
        )
    factor = lr_factor(hparams, total_steps or 0, steps_per_epoch or 1)
    return Schedule(LambdaLR(optimizer, factor), optimizer, total_steps)


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
