"""The loss by its class name in torch.nn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.describe import a, describe
from tui_trainer.engine.hints import SAME_SHAPE, of_outputs
from tui_trainer.errors import TrainerError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task


class AutoLoss:
    """CrossEntropyLoss for whole-number targets, MSELoss for others: decided by the first batch.

    Args:
        label_smoothing: for CrossEntropyLoss.
    """

    def __init__(self, label_smoothing: float) -> None:
        self._label_smoothing = label_smoothing
        self.chosen: nn.Module | None = None

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.chosen is None:
            _refuse_no_tensors(outputs, targets)
            floating = targets.is_floating_point()
            self.chosen = (
                nn.MSELoss() if floating else nn.CrossEntropyLoss(label_smoothing=self._label_smoothing)
            )
        if isinstance(self.chosen, nn.MSELoss):
            if outputs.shape != targets.shape:
                # torch would broadcast (8, 1) against (8,) to (8, 8) and train on nonsense.
                raise TrainerError(
                    "outputs and targets differ in shape",
                    f"MSELoss of outputs {describe(outputs)} and targets {describe(targets)}",
                    SAME_SHAPE,
                )
        elif targets.dtype in (torch.int32, torch.int16, torch.int8):
            targets = targets.long()
        loss: torch.Tensor = self.chosen(outputs, targets)
        return loss


def _refuse_no_tensors(outputs: Any, targets: Any) -> None:
    """Say what the default loss can't be taken of.

    Raises:
        TrainerError: the model or the data set gives something else than a tensor.
    """
    if not isinstance(outputs, torch.Tensor):
        raise TrainerError(
            "outputs are no tensor", f"the model returned {describe(outputs)}", of_outputs(outputs)
        )
    if not isinstance(targets, torch.Tensor):
        hint = (
            "numbers must stand for classes: targets.append(classes.index(name)) or the like, in datasets()"
        )
        raise TrainerError("targets are no tensor", f"a batch's targets are a {describe(targets)}", hint)


def build_criterion(task: Task, hparams: Hparams) -> Any:
    """The task's own criterion, or the one that `hparams.loss` names.

    Raises:
        TrainerError: the task's own can't be called with outputs and targets.
    """
    own = task.criterion(hparams)
    if isinstance(own, type) or (own is not None and not callable(own)):
        name = getattr(own, "__name__", "nn.CrossEntropyLoss")
        hint = f"return an object that is called with outputs and targets, such as {name}()"
        raise TrainerError("not a criterion", f"criterion() returned {a(own)}", hint)
    if own is not None:
        return own
    if hparams.loss == "auto":
        return AutoLoss(hparams.label_smoothing)
    options = {"label_smoothing": hparams.label_smoothing} if hparams.loss == "CrossEntropyLoss" else {}
    return getattr(nn, hparams.loss)(**options)
