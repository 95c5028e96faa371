"""The loss by its class name in torch.nn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tui_trainer.config.hparams import Hparams
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
            floating = targets.is_floating_point()
            self.chosen = (
                nn.MSELoss() if floating else nn.CrossEntropyLoss(label_smoothing=self._label_smoothing)
            )
        if isinstance(self.chosen, nn.MSELoss):
            if outputs.shape != targets.shape:
                # torch would broadcast (8, 1) against (8,) to (8, 8) and train on nonsense.
                raise TrainerError(
                    "outputs and targets differ in shape",
                    f"MSELoss of outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}",
                    "make them alike, for example with targets of shape (samples, 1) or outputs.squeeze(1)",
                )
        elif targets.dtype in (torch.int32, torch.int16, torch.int8):
            targets = targets.long()
        loss: torch.Tensor = self.chosen(outputs, targets)
        return loss


def build_criterion(task: Task, hparams: Hparams) -> Any:
    """The task's own criterion, or the one that `hparams.loss` names."""
    own = task.criterion(hparams)
    if own is not None:
        return own
    if hparams.loss == "auto":
        return AutoLoss(hparams.label_smoothing)
    options = {"label_smoothing": hparams.label_smoothing} if hparams.loss == "CrossEntropyLoss" else {}
    return getattr(nn, hparams.loss)(**options)
