"""One optimizer step: forward and backward over a window of batches, then the update.

The gradient of a window is that of one large batch: each batch's mean loss is weighted by what it is a mean
over (`Task.count`), also when batches are unequal or the last window is partial.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tui_trainer.engine.context import StepContext
from tui_trainer.engine.forward import Forward, Measured, detached
from tui_trainer.engine.meter import SKIPPED, Meter
from tui_trainer.engine.micro import MicroBatches
from tui_trainer.engine.nonfinite import running_statistics
from tui_trainer.engine.several import members_of


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
        self._unscaled = False
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
            self._end_scaling()
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
        skipped = self._update(optimizer)
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
        if self._scaler is not None and self._unscaled:
            self._unscaled = False
            self._scaler.update()

    def _update(self, optimizer: Optimizer) -> Tensor | None:
        """Let an optimizer, or several together, make a step, unless the gradient forbids it.

        Args:
            optimizer: one, or several as one.

        Returns:
            1 where it was skipped, else 0, on the device; None where steps are not skipped.
        """
        scaler, members = self._scaler, list(members_of(optimizer).values())
        if scaler is not None:
            # Without a gradient a step changes nothing, and the scaler refuses it.
            members = [member for member in members if any(p.grad is not None for p in _parameters(member))]
        if scaler is not None and (self._clip_norm is not None or self._skips):
            for member in members:
                scaler.unscale_(member)
        skipped = self._clip(self._parameters if self._context is None else _parameters(optimizer))
        if scaler is not None:
            for member in members:
                # It skips by itself.
                scaler.step(member)
                self._unscaled = True
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
            measured.append((values if len(batches) == 1 else detached(values), count))
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
