"""Which tensor went bad first: the steps before a non-finite loss, trained once more with open eyes.

When a NaN is noticed it has been everywhere for some steps. Training is exact, so it can be repeated from the
newest good checkpoint up to the step at which it began, and that step be looked at tensor by tensor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.engine import checkpoint
from tui_trainer.engine.batches import first_length, tensors_of
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.nonfinite import is_finite, learned_tensors
from tui_trainer.engine.prepared import Prepared
from tui_trainer.engine.update import Forward

BUDGET_S = 30.0
"""Repeating may take this long; a cause that lies further back stays unknown."""
FIRST_STATE_BYTES = 256 << 20
"""Models up to this size are kept as they were before the first step, until the first checkpoint."""
_SHOWN = 8


@dataclass(frozen=True)
class Start:
    """A state that training can be repeated from.

    Attributes:
        weights: state_dict of the evaluated model.
        state: a trainer state.
        path: the file of the weights, for messages.
        before: the hparams that have changed since, with the values that it was trained with.
    """

    weights: dict[str, Tensor]
    state: Mapping[str, Any]
    path: Path
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """The batches of one optimizer step.

    Attributes:
        step: its number, from 1.
        epoch: finished epochs before it.
        numbers: of the batches in the epoch.
        batches: on the device.
        samples: their indices in the training set, in order; None for a loader of the user's.
    """

    step: int
    epoch: int
    numbers: range
    batches: list[Any]
    samples: list[int] | None

    def __str__(self) -> str:
        first, last = self.numbers[0] + 1, self.numbers[-1] + 1
        numbers = f"batch {first}" if first == last else f"batches {first} to {last}"
        samples = f", training samples {_listed(self.samples)}" if self.samples else ""
        return f"step {self.step}: epoch {self.epoch + 1}, {numbers}{samples}"


def first_state(ready: Prepared, state: Callable[[], Mapping[str, Any]], path: Path) -> Start | None:
    """The state before the first step, for a failure before the first checkpoint; None for a large model.

    Args:
        ready: model and optimizer.
        state: makes a trainer state.
        path: the run directory, for messages.
    """
    model = ready.evaluated_model
    if sum(t.nbytes for t in model.state_dict().values() if isinstance(t, Tensor)) > FIRST_STATE_BYTES:
        return None
    return Start(checkpoint.model_state(model), checkpoint.plain(state()), path)


def find_cause(
    ready: Prepared,
    start: Start,
    step: int,
    accumulation: int,
    goes_on: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.monotonic,
) -> str | None:
    """Repeat training up to the first bad step and look at it. The state of `ready` is lost.

    Args:
        ready: model, data, optimizer.
        start: where to begin.
        step: the step by which the loss was found to be bad.
        accumulation: batches of a step.
        goes_on: asked between steps; False gives up.
        clock: source of seconds.

    Returns:
        The step, its batches, and the tensor that went bad first, in words; None where it does not show
        again, or repeating takes too long.
    """
    deadline = clock() + BUDGET_S

    def in_time() -> bool:
        return goes_on() and clock() < deadline

    bad = None
    for window in _repeat(ready, start, accumulation, in_time):
        if not _train(ready, window):
            bad = window.step
        if bad is not None or window.step >= step:
            break
    if bad is None:
        return None
    for window in _repeat(ready, start, accumulation, in_time):
        if window.step == bad:
            return f"{window}; first bad: {_first_bad(ready, window)}"
        _train(ready, window)
    return None


def _repeat(
    ready: Prepared, start: Start, accumulation: int, in_time: Callable[[], bool]
) -> Iterator[Window]:
    """The steps from a state on, across epochs. The caller trains on each."""
    # A copy: an optimizer goes on with the very tensors that it is given.
    state = checkpoint.plain(start.state)
    ready.load_state_dict(state, start.weights, start.path, start.path, start.before)
    ready.model.train()
    progress = start.state["progress"]
    epoch, batch, step = int(progress["epoch"]), int(progress["batch"]), int(progress["step"])
    loader = ready.splits.train
    while True:
        batches = loader.epoch(epoch, batch)
        while in_time() and (window := list(islice(batches, accumulation))):
            step += 1
            numbers = range(batch, batch + len(window))
            samples = loader.plan.indices(epoch, numbers) if loader.plan is not None else None
            yield Window(step, epoch, numbers, window, samples)
            batch += len(window)
        if batch == 0 or not in_time():
            return
        epoch, batch = epoch + 1, 0


def _train(ready: Prepared, window: Window) -> bool:
    """Train a step. False if its loss or the weights after it are bad."""
    meter = Meter(ready.device.torch)
    meter.step, ready.updater.epoch = window.step, window.epoch
    ready.updater.step(window.batches, ready.forward, meter)
    ready.schedule.after_step()
    return math.isfinite(meter.means().get("loss", 0.0)) and all(
        is_finite(p) for p in ready.model.parameters()
    )


def _first_bad(ready: Prepared, window: Window) -> str:
    """The first non-finite tensor of a step, in the order of computation, in words."""
    for name, tensor in learned_tensors(ready.model):
        if not is_finite(tensor):
            return f"weight {name}"
    begin = 0
    for batch in window.batches:
        length = first_length(batch)
        samples = window.samples[begin : begin + length] if window.samples is not None else None
        begin += length
        for number, tensor in enumerate(tensors_of(batch)):
            if not is_finite(tensor):
                return f"tensor {number} of the batch{_bad_samples(tensor, samples)}"
        if ready.forward.trains_itself:
            return "what train_step made of it"
        if (computed := _first_computed(ready.model, ready.forward, batch)) is not None:
            return computed
    return "a weight after the update, though every gradient is finite"


def _bad_samples(tensor: Tensor, samples: list[int] | None) -> str:
    if tensor.layout != torch.strided or tensor.dim() == 0:
        return ""
    rows = (~torch.isfinite(tensor).reshape(len(tensor), -1)).any(1).nonzero().flatten().tolist()
    if samples is not None and len(samples) == len(tensor):
        return f", training sample{'s' if len(rows) > 1 else ''} {_listed([samples[row] for row in rows])}"
    return f", row{'s' if len(rows) > 1 else ''} {_listed(rows)}"


def _first_computed(model: nn.Module, forward: Forward, batch: Any) -> str | None:
    """The first bad one among the layers' outputs, the loss and the gradients."""
    found: list[str] = []
    # Compiled code would not call the hooks.
    with torch.compiler.set_stance("force_eager"), _watched(model, found):
        loss, _ = forward(model, batch)
    if found:
        return f"the output of {found[0]}"
    if not is_finite(loss):
        return "the loss, though every layer's output is finite"
    for parameter in model.parameters():
        parameter.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    # Backward goes from the last layer to the first.
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not is_finite(parameter.grad):
            return f"the gradient of {name}"
    return None


@contextmanager
def _watched(model: nn.Module, found: list[str]) -> Iterator[None]:
    """While inside, note the layers whose output is bad."""

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not all(is_finite(tensor) for tensor in tensors_of(output)):
                found.append(f"{name} ({type(module).__name__})" if name else type(module).__name__)

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(look(name)) for name, module in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:_SHOWN])) + (", …" if len(numbers) > _SHOWN else "")
