"""Learning-rate schedules by name, and how a schedule goes on after a resume, a change or a lower rate."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.alerts import Alert, no_alert
from tui_trainer.engine.describe import a
from tui_trainer.engine.several import members_of
from tui_trainer.errors import TrainerError, UsageError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

_SHAPE = frozenset({"warmup", "lr_decay", "lr_decay_every", "momentum", "betas"})
"""Hparams that decide the present rate, or the momentum that a cycle moves with it."""
_OF_STEPS = frozenset({"total_steps", "lr_lambdas", "_schedule_phases"})
_OF_A_PLATEAU = frozenset(
    {"factor", "patience", "mode", "mode_worse", "threshold", "threshold_mode", "cooldown", "min_lrs", "eps"}
)
"""What the state_dict of a scheduler holds of the hparams that it was built with."""
_RATES = ("lr", "initial_lr", "max_lr", "min_lr")
"""What schedulers keep of rates in an optimizer's parameter groups."""
_OF_GROUPS = (*_RATES, "max_momentum", "base_momentum", "swa_lr")


class Schedule:
    """A learning-rate schedule: moved by optimizer steps, or by evaluations (plateau).

    Args:
        scheduler: torch's scheduler; None for a constant rate.
        optimizer: whose rate it is.
        lr: the hparam that it was built with.
        length: optimizer steps of the whole run; None where that is not known.
        own: it is the task's, so nobody here knows which hparams it depends on.
        alert: is told when changed hparams have no effect on it.

    Attributes:
        lr: what the hparam `lr` would be for the rates as they are now: another one after `set_lr`.
    """

    def __init__(
        self,
        scheduler: LRScheduler | ReduceLROnPlateau | None,
        optimizer: Optimizer,
        lr: float,
        length: int | None = None,
        *,
        own: bool = False,
        alert: Alert = no_alert,
    ) -> None:
        self.lr = self._built_lr = lr
        self._own = own
        self._alert = alert
        self._told = False
        self._scheduler = scheduler
        self._optimizer = optimizer
        self._length = length
        self._set_to: float | None = None
        self._by_step = scheduler is not None and not isinstance(scheduler, ReduceLROnPlateau)
        self._start: tuple[dict[str, Any], list[dict[str, Any]]] | None = None
        if own and scheduler is not None and _counts_steps(scheduler):
            groups = [{k: g[k] for k in _OF_GROUPS if k in g} for g in optimizer.param_groups]
            self._start = copy.deepcopy((scheduler.state_dict(), groups))

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

    @property
    def rate(self) -> float:
        """The first parameter group's rate for the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def set_lr(self, lr: float) -> float:
        """Use this rate from the next step on. The schedule goes on from there, in the same proportions.

        Every parameter group's rate is scaled by what the first one's is scaled by, and so are the rates that
        the schedule is built on (the base rates; the peak and the ends of a cycle). A rate of zero has no
        proportion to another: where the schedule stands there, the base rate becomes `lr`.

        Returns:
            The first group's rate as it was.
        """
        groups = self._optimizer.param_groups
        old = self.rate
        scaled = "lr" if old > 0 and math.isfinite(lr / old) else "initial_lr"
        factor = lr / (float(groups[0].get(scaled, lr)) or lr)
        rates = [float(group.get(scaled, lr)) * factor for group in groups]
        # Exactly what was asked for, not what rounding makes of it.
        rates[0] = lr
        self._scale(lr if old == self.lr else self.lr * factor)
        for group, rate in zip(groups, rates, strict=True):
            _assign(group, "lr", rate)
        self._set_to = lr
        return old

    def scale(self, factor: float) -> None:
        """Train on with all rates, and what they are computed from, times a factor."""
        self._scale(self.lr * factor)
        if self._set_to is not None:
            self._set_to *= factor

    def _scale(self, lr: float) -> None:
        """Change all rates, and what they are computed from, in proportion to the hparam `lr`."""
        before, factor = self.lr, lr / self.lr

        def scaled(rate: float) -> float:
            return lr if rate == before else rate * factor

        for group in self._optimizer.param_groups:
            for key in _RATES:
                if key in group:
                    _assign(group, key, scaled(float(group[key])))
        _scale_bases(self._scheduler, scaled)
        self.lr = lr

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state (None for a constant rate), and what is known of the rates."""
        scheduler = self._scheduler.state_dict() if self._scheduler is not None else None
        return {"scheduler": scheduler, "length": self._length, "set_to": self._set_to, "lr": self.lr}

    def load_state_dict(
        self, state: dict[str, Any], step: int, before: Mapping[str, Any] | None = None
    ) -> None:
        """Go on from `state_dict`. The run's length stays as the hparams now say, and so does what changed.

        Args:
            state: of the schedule; empty for a constant rate of an earlier version.
            step: optimizer steps done.
            before: the hparams that count anew, with the values that `state` was saved with. A changed `lr`
                scales the schedule; a changed shape holds as if it had been so from the first step.
        """
        before = before or {}
        saved = state.get("scheduler")
        self.lr = float(state.get("lr", before.get("lr", self._built_lr)))
        self._set_to = state.get("set_to")
        stretched = saved is not None and state["length"] != self._length
        if self._start is not None and (stretched or before):
            self._replay(step, self._built_lr if "lr" in before else self.lr)
            moved = True
        else:
            if self._own and self._by_step and saved is not None and (stretched or before):
                self._tell_what_stays(saved)
            self._load(saved, step, before)
            moved = (stretched or bool(_SHAPE & before.keys())) and isinstance(
                self._scheduler, (LambdaLR, OneCycleLR)
            )
            if moved:
                # The next step's rate is the saved one's of another length or shape.
                self._use(self._rates())
        if moved and stretched and self._set_to is not None and self.rate > self._set_to:
            # Set near the end of a cosine it was a large part of a base rate that nobody meant to use.
            self.set_lr(self._set_to)
        if "lr" in before:
            self._scale(self._built_lr)
            self._set_to = None

    def _load(self, saved: dict[str, Any] | None, step: int, before: Mapping[str, Any]) -> None:
        """Set the scheduler to its saved state, except for what it was built with."""
        if self._scheduler is None:
            if saved is not None and "base_lrs" in saved:
                # A warm-up is over that the rate may have stood in the middle of.
                self._use(saved["base_lrs"])
        elif saved is not None:
            lambdas = {"lr_lambdas": [None]} if "lr_lambdas" in saved else {}
            given = _OF_A_PLATEAU if isinstance(self._scheduler, ReduceLROnPlateau) else _OF_STEPS
            given |= {"optimizer"}
            kind = type(self._scheduler)
            # What is kept becomes an attribute, and must not take a method's place.
            kept = {k: v for k, v in saved.items() if k not in given and not callable(getattr(kind, k, None))}
            self._scheduler.load_state_dict({**kept, **lambdas})
        elif isinstance(self._scheduler, LambdaLR) and "warmup" in before:
            # So far the rate was constant.
            self._scheduler.last_epoch = step
            self._scheduler.base_lrs = [float(group["lr"]) for group in self._optimizer.param_groups]

    def _replay(self, step: int, lr: float) -> None:
        """Stand where the scheduler, as it was built, stands after so many steps.

        Args:
            step: optimizer steps done.
            lr: what the hparam `lr` is for these rates.
        """
        assert self._scheduler is not None
        assert self._start is not None
        state, rates = copy.deepcopy(self._start)
        for group, built in zip(self._optimizer.param_groups, rates, strict=True):
            for key, value in built.items():
                _assign(group, key, value)
        self._scheduler.load_state_dict(state)
        for _ in range(step):
            self.after_step()
        self.lr = self._built_lr
        self._scale(lr)

    def _tell_what_stays(self, saved: Mapping[str, Any]) -> None:
        """Tell once what would be otherwise in a scheduler that can't be replayed, if it were not kept."""
        assert self._scheduler is not None
        built, kept = _numbers(self._scheduler.state_dict()), _numbers(saved)
        differ = [name for name, value in built.items() if name in kept and kept[name] != value]
        if differ and not self._told:
            listed = ", ".join(f"{name} {kept[name]:g}, not {built[name]:g}" for name in differ[:4])
            kind = type(self._scheduler).__name__
            message = f"{kind} keeps {listed}; schedulers of torch.optim follow the hparams"
            self._alert("the task's own schedule goes on as it was saved", message)
        self._told = True

    def start_over(self) -> None:
        """Compare with no earlier evaluation: those measured something else."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.best = self._scheduler.mode_worse
            self._scheduler.num_bad_epochs = 0

    def _rates(self) -> list[Any]:
        """The rates where the schedule stands. Of a cycle the momentum, too, becomes what it is there."""
        assert self._scheduler is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return self._scheduler.get_lr()

    def _use(self, rates: Sequence[Any]) -> None:
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            _assign(group, "lr", float(rate))


def _counts_steps(scheduler: Any) -> bool:
    """Whether a scheduler is known to depend on nothing but what it was built with and the steps done."""
    if isinstance(scheduler, ReduceLROnPlateau) or not type(scheduler).__module__.startswith("torch.optim."):
        return False
    return all(_counts_steps(inner) for inner in getattr(scheduler, "_schedulers", ()))


def _numbers(state: Mapping[str, Any]) -> dict[str, float]:
    """What of a scheduler's state_dict may be a setting."""
    return {
        name: float(value)
        for name, value in state.items()
        if isinstance(value, (int, float)) and name != "last_epoch" and not name.startswith("_")
    }


def _assign(group: dict[str, Any], key: str, value: float) -> None:
    """A rate of a parameter group; one that is a tensor (capturable optimizers) stays that tensor."""
    if isinstance(group.get(key), torch.Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


def _scale_bases(scheduler: Any, scaled: Callable[[float], float]) -> None:
    """Scale what a scheduler, and those inside it, compute rates from."""
    for name in ("base_lrs", "max_lrs"):
        rates = getattr(scheduler, name, None)
        if isinstance(rates, list):
            setattr(scheduler, name, [scaled(rate) for rate in rates])
    for inner in getattr(scheduler, "_schedulers", ()):
        _scale_bases(inner, scaled)


def build_schedule(
    task: Task,
    hparams: Hparams,
    optimizer: Optimizer,
    total_steps: int | None,
    steps_per_epoch: int | None,
    mode: str,
    alert: Alert = no_alert,
) -> Schedule:
    """The task's own scheduler, or the one that `hparams.scheduler` names.

    Args:
        total_steps: optimizer steps of the whole run; None where the data have no length.
        mode: "min" or "max", for plateau.
        alert: is told what changed hparams have no effect on.

    Raises:
        UsageError: the schedule needs a length that the data do not have.
        TrainerError: the task returned no scheduler of this optimizer.
    """
    # A scaler that finds its first scale too large skips the first step, which is no mistake of anybody's.
    warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step\(\)` before")
    scheduler = task.scheduler(hparams, optimizer, total_steps)
    own = scheduler is not None
    if own and (isinstance(scheduler, type) or not hasattr(scheduler, "step")):
        hint = "return an object built with the optimizer, such as CosineAnnealingLR(optimizer, T_max=…)"
        raise TrainerError("not a scheduler", f"scheduler() returned {a(scheduler)}", hint)
    if own and getattr(scheduler, "optimizer", optimizer) not in (optimizer, *members_of(optimizer).values()):
        raise TrainerError(
            "scheduler of another optimizer",
            f"the {type(scheduler).__name__} moves the rates of an optimizer that does not train the model",
            "build it with the optimizer that scheduler(hparams, optimizer, total_steps) gets",
        )
    if not own:
        scheduler = _scheduler_by_name(hparams, optimizer, total_steps, steps_per_epoch, mode)
    return Schedule(scheduler, optimizer, hparams.lr, total_steps, own=own, alert=alert)


def _scheduler_by_name(
    hparams: Hparams, optimizer: Optimizer, total_steps: int | None, steps_per_epoch: int | None, mode: str
) -> LRScheduler | ReduceLROnPlateau | None:
    """The scheduler that hparams name; None for a constant rate. Arguments as `build_schedule`."""
    name = hparams.scheduler
    if name == "plateau":
        better: Literal["min", "max"] = "max" if mode == "max" else "min"
        return ReduceLROnPlateau(
            optimizer, mode=better, factor=hparams.lr_decay, patience=hparams.lr_patience
        )
    if name == "constant" and not hparams.warmup:
        return None
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
        return OneCycleLR(
            optimizer, max_lr=hparams.lr, total_steps=length, pct_start=rise, cycle_momentum=cycles
        )
    if name == "step" and steps_per_epoch is None:
        raise UsageError(
            "schedule needs a length",
            "scheduler step counts epochs, and the training data have no length",
            "--scheduler constant",
        )
    return LambdaLR(optimizer, lr_factor(hparams, total_steps or 0, steps_per_epoch or 1))


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
