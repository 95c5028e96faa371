"""Loss and metrics of one batch, as the task says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tui_trainer.engine.context import StepContext
from tui_trainer.engine.describe import a
from tui_trainer.engine.metrics import Reducer
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
        metrics = self._task.metrics(detached(outputs), targets)
        values = {"loss": loss, **parts, **metrics}
        # What is trained is what is judged, whatever else has this name.
        values["loss"] = loss
        return loss, _as_values(values)

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
        return _as_values(detached({"loss": loss, **parts}))

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
        if not isinstance(value, Tensor) and (name == "loss" or not isinstance(value, Reducer)):
            values[name] = _scalar(name, value)
    return values


def _kind(value: Any) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else a(value)


def _scalar(name: str, value: Any) -> Tensor:
    """A plain number that a task returned among its metrics."""
    if name == "loss":
        raise TrainerError(
            "loss is no tensor",
            f"{a(value)} was returned as loss",
            "return the scalar tensor itself, not its .item()",
        )
    try:
        return torch.tensor(float(value), dtype=torch.float64)
    except (TypeError, ValueError):
        raise TrainerError(
            "metric is no number",
            f"metrics: {name} is {a(value)}",
            "return a scalar tensor or a reducer of tui_trainer (Mean, Sum, Ratio, Last, R2)",
        ) from None


def detached(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.detach()
    if isinstance(outputs, dict):
        return {name: detached(part) for name, part in outputs.items()}
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return type(outputs)(*(detached(part) for part in outputs))
    if isinstance(outputs, (list, tuple)):
        return type(outputs)(detached(part) for part in outputs)
    return outputs
