"""One optimizer step: forward and backward over a window of batches, then the update.

The gradient of a window is that of one large batch: each batch's mean loss is weighted by what it is a mean
over (`Task.count`), also when batches are unequal or the last window is partial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tui_trainer.engine.context import StepContext
from tui_trainer.engine.meter import SKIPPED, Meter
from tui_trainer.engine.metrics import Reducer
from tui_trainer.engine.micro import MicroBatches
from tui_trainer.engine.nonfinite import running_statistics
from tui_trainer.engine.several import members_of
from tui_trainer.errors import TrainerError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

Values = dict[str, Tensor | Reducer]
Measured = list[tuple[Values, "int | Tensor"]]
"""Each batch's values, and what their means are taken over."""


class Forward:
    """Loss and metrics of one batch, in the chosen precision.

    Args:
        task: gives compute_loss, metrics and count.
        criterion: handed to compute_loss.
        device: its type chooses autocast's rules.
        precision: float32, bfloat16 or float16.

    Attributes:
        trains_itself: the task makes its own training steps, which `__call__` knows nothing of.
        parts: names of the parts that a loss was made of so far; the lower, the better.
    """

    def __init__(self, task: Task, criterion: Any, device: torch.device, precision: str) -> None:
        self._task = task
        self._criterion = criterion
        self.trains_itself = task.overrides("train_step")
        self.parts: set[str] = set()
        self._autocast: Callable[[], AbstractContextManager[Any]] | None = None
        if precision != "float32":
            dtype = getattr(torch, precision)
            self._autocast = lambda: torch.autocast(device.type, dtype=dtype)

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Values]:
        """Run the model on a batch.

        Returns:
            The loss to differentiate (a scalar), and all values to record, "loss" first.
        """
        with self._autocast() if self._autocast else nullcontext():
            returned = self._task.compute_loss(model, batch, self._criterion)
        if type(returned) is not tuple or len(returned) != 3:
            raise TrainerError(
                "wrong compute_loss",
                f"compute_loss returned {_kind(returned)}",
                "return the tuple (loss, outputs, targets)",
            )
        loss, outputs, targets = returned
        parts: Values = {}
        if isinstance(loss, dict):
            loss, parts = _divided("compute_loss", loss)
            self.parts.update(parts)
        # Detached, so that metrics never keep a graph alive.
        metrics = self._task.metrics(_detached(outputs), targets)
        return loss, _as_values({"loss": loss, **parts, **metrics})

    def own_step(self, context: StepContext, batch: Any) -> Values:
        """Let the task make its own training step on a batch. Returns what it wants recorded of it."""
        with self._autocast() if self._autocast else nullcontext():
            returned = self._task.train_step(context, batch)
        if not isinstance(returned, dict):
            raise TrainerError(
                "wrong train_step",
                f"train_step returned {_kind(returned)}",
                'return a dict: {"loss": scalar tensor, name: scalar tensor, …}',
            )
        loss, parts = _divided("train_step", returned)
        return _as_values(_detached({"loss": loss, **parts}))

    def count(self, batch: Any) -> int | Tensor:
        """What the batch's loss is a mean over."""
        return self._task.count(batch)


def measure(model: nn.Module, forward: Forward, batches: Sequence[Any]) -> Measured:
    """Values of batches, without an update."""
    return [(forward(model, batch)[1], forward.count(batch)) for batch in batches]


def _divided(method: str, losses: dict[str, Any]) -> tuple[Any, Values]:
    """The total of what a task returned as named losses, and its parts."""
    if "loss" not in losses:
        raise TrainerError(
            f"wrong {method}",
            f"{method} returned a dict with {', '.join(map(str, losses)) or 'nothing'}, and no loss",
            '{"loss": total, name: part, …}: the total is what the run is judged by',
        )
    return losses["loss"], {name: part for name, part in losses.items() if name != "loss"}


def _as_values(values: dict[str, Any]) -> Values:
    """Values to record; plain numbers become tensors."""
    for name, value in values.items():
        if not isinstance(value, (Tensor, Reducer)):
            values[name] = _scalar(name, value)
    return values


def _kind(value: Any) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"a {type(value).__name__}"


def _scalar(name: str, value: Any) -> Tensor:
    """A plain number that a task returned among its metrics."""
    if name == "loss":
        raise TrainerError(
            "loss is no tensor",
            f"a {type(value).__name__} was returned as loss",
            "return the scalar tensor itself, not its .item()",
        )
    try:
        return torch.tensor(float(value), dtype=torch.float64)
    except (TypeError, ValueError):
        raise TrainerError(
            "metric is no number",
            f"metrics: {name} is a {type(value).__name__}",
            "return a scalar tensor or a reducer of tui_trainer (Mean, Sum, Ratio, Last, R2)",
        ) from None


def _detached(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.detach()
    if isinstance(outputs, dict):
        return {name: _detached(part) for name, part in outputs.items()}
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return type(outputs)(*(_detached(part) for part in outputs))
    if isinstance(outputs, (list, tuple)):
        return type(outputs)(_detached(part) for part in outputs)
    return outputs


def _share(count: int | Tensor, whole: int | Tensor, loss: Tensor) -> float | Tensor:
    """A batch's share of its window. Stays on the device where counts are tensors."""
    if not isinstance(count, Tensor) and not isinstance(whole, Tensor):
        return count / whole
    # Whole numbers divide into float32, which is too coarse for a float64 loss, and half is for any.
    wide = torch.promote_types(loss.dtype, torch.float32)
    share = torch.as_tensor(count, device=loss.device).to(wide) / torch.as_tensor(
        whole, device=loss.device
    ).to(wide)
    # A window of nothing but padding: 0 of 0.
    return share.nan_to_num(0.0)


def _skips_on_device(optimizer: Optimizer) -> bool:
    """Whether an optimizer leaves a step out by itself, without the host's knowing.

    Fused ones do; but torch's fused SGD makes momentum of uninitialised memory where its first step is left
    out.
    """
    fused = getattr(optimizer, "_step_supports_amp_scaling", False)
    return fused and (
        bool(optimizer.state) or not any(group.get("momentum") for group in optimizer.param_groups)
    )


class Updater:
    """Turns windows of batches into optimizer steps.

    Args:
        model: the network.
        optimizer: any of torch.optim, or several as one; LBFGS evaluates the window as often as it likes.
        clip_norm: gradients with a larger norm are scaled down to it.
        scaler: for float16; None otherwise.
        ema_decay: keep an exponential moving average of the weights.
        skips: leave out steps whose gradient is NaN or infinite. For optimizers that are not fused the host
            has to know, and waits for the device.
        micro: how many samples go through the model at once.
        context: of a task that makes its training steps itself.

    Attributes:
        epoch: epochs done, for the context.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        clip_norm: float | None = None,
        scaler: torch.amp.GradScaler | None = None,
        ema_decay: float | None = None,
        skips: bool = False,
        micro: MicroBatches | None = None,
        context: StepContext | None = None,
    ) -> None:
        self.micro = micro or MicroBatches()
        self.epoch = 0
        self._model = model
        self._optimizer = optimizer
        self._clip_norm = clip_norm
        self._scaler = scaler
        self._skips = skips
        # Running statistics, where a step that is skipped must leave them as they were.
        self._statistics = (
            [statistic for module in model.modules() for _, statistic in running_statistics(module)]
            if skips
            else []
        )
        self._parameters = _parameters(optimizer)
        self._context = context
        if context is not None:
            context.bind(self._own_backward, self._own_update)
            known = {id(p) for p in self._parameters}
            self._parameters += [p for p in model.parameters() if id(p) not in known]
        self._stepped = False
        self._skipped: Tensor | None = None
        self.averaged: AveragedModel | None = None
        if ema_decay is not None:
            self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))  # type: ignore[no-untyped-call]

    def step(self, window: Sequence[Any], forward: Forward, meter: Meter) -> None:
        """One optimizer step over the batches of `window`, whose values go to `meter`."""
        if isinstance(self._optimizer, LBFGS):
            self._closure_step(window, forward, meter)
        else:
            before = [statistic.clone() for statistic in self._statistics]
            if self._context is not None:
                measured, skipped = self._own_steps(self._context, window, forward, meter.step - 1)
            else:
                _, measured = self._backward(window, forward)
                skipped = self._update(self._optimizer)
            if skipped is not None:
                # A bad batch went through them before it was known to be one.
                for statistic, old in zip(self._statistics, before, strict=True):
                    statistic.copy_(torch.where(skipped > 0, old, statistic))
                for values, _ in measured:
                    values[SKIPPED] = skipped
            meter.add_all(measured)
        if self.averaged is not None:
            self.averaged.update_parameters(self._model)

    def _backward(self, window: Sequence[Any], forward: Forward) -> tuple[Tensor, Measured]:
        # No lambda: frames of a traceback would go on holding what it closes over, the model too.
        return self.micro.run(window, forward.count, partial(self._gradients, forward=forward))

    def _own_steps(
        self, context: StepContext, window: Sequence[Any], forward: Forward, step: int
    ) -> tuple[Measured, Tensor | None]:
        """The task's own step on each batch."""
        self._skipped = None
        context.at(self.epoch, step)
        measured: Measured = []
        for batch in window:
            self._begin_anew()
            measured.append((forward.own_step(context, batch), forward.count(batch)))
        self._end_scaling()
        return measured, self._skipped

    def _own_backward(self, loss: Tensor) -> None:
        if self._stepped:
            # Losses that were differentiated before the step are done with.
            self._end_scaling()
            self._begin_anew()
        # Backward follows the precision of the forward pass by itself.
        with torch.autocast(loss.device.type, enabled=False):
            (loss if self._scaler is None else self._scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]

    def _own_update(self, optimizer: Optimizer) -> None:
        skipped = self._update(optimizer, last=False)
        self._stepped = True
        if skipped is not None:
            self._skipped = skipped if self._skipped is None else torch.maximum(self._skipped, skipped)

    def _begin_anew(self) -> None:
        self._stepped = False
        # As zero_grad does, without its profiler scope: it costs as much as a small layer.
        for parameter in self._parameters:
            parameter.grad = None

    def _end_scaling(self) -> None:
        # All steps made of one backward have its scale.
        if self._scaler is not None and self._stepped:
            self._scaler.update()

    def _update(self, optimizer: Optimizer, last: bool = True) -> Tensor | None:
        """Let an optimizer, or several together, make a step, unless the gradient forbids it.

        Args:
            optimizer: one, or several as one.
            last: the scale of the loss may change after it.

        Returns:
            1 where it was skipped, else 0, on the device; None where steps are not skipped.
        """
        scaler, members = self._scaler, members_of(optimizer).values()
        if scaler is not None and (self._clip_norm is not None or self._skips):
            for member in members:
                scaler.unscale_(member)
        skipped = self._clip(self._parameters if self._context is None else _parameters(optimizer))
        if scaler is not None:
            for member in members:
                # It skips by itself.
                scaler.step(member)
            if last:
                scaler.update()
        elif skipped is None:
            for member in members:
                member.step()
        elif all(_skips_on_device(member) for member in members):
            for member in members:
                # What GradScaler tells fused optimizers: they leave the step out on the device.
                member.grad_scale, member.found_inf = None, skipped  # type: ignore[attr-defined]
                member.step()
                del member.grad_scale, member.found_inf  # type: ignore[attr-defined]
        elif not bool(skipped):
            for member in members:
                member.step()
        return skipped

    def _gradients(self, batches: Sequence[Any], forward: Forward) -> tuple[Tensor, Measured]:
        self._begin_anew()
        counts = [forward.count(batch) for batch in batches]
        whole = sum(counts)
        if not isinstance(whole, Tensor):
            whole = whole or 1
        total: Tensor | None = None
        measured: Measured = []
        for batch, count in zip(batches, counts, strict=True):
            loss, values = forward(self._model, batch)
            weighted = loss if len(batches) == 1 else loss * _share(count, whole, loss)
            (weighted if self._scaler is None else self._scaler.scale(weighted)).backward()  # type: ignore[no-untyped-call]
            total = weighted.detach() if total is None else total + weighted.detach()
            # Held until all are done, so without what a part of the loss still keeps alive of its graph.
            measured.append((values if len(batches) == 1 else _detached(values), count))
        assert total is not None
        return total, measured

    def _closure_step(self, window: Sequence[Any], forward: Forward, meter: Meter) -> None:
        first = True

        def closure() -> float:
            nonlocal first
            total, measured = self._backward(window, forward)
            if first:
                meter.add_all(measured)
            first = False
            self._clip(self._parameters)
            return float(total)

        self._optimizer.step(closure)

    def _clip(self, parameters: Sequence[Tensor]) -> Tensor | None:
        """Scale gradients down to the norm that is allowed.

        Returns:
            1 where their norm is not finite, else 0, on the device; None where nobody wants to know.
        """
        if not self._skips:
            if self._clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, self._clip_norm)
            return None
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self._clip_norm, norm)
        return (~torch.isfinite(norm)).float()


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]
