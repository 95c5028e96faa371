"""What `Task.on_epoch_end` gets."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tui_trainer import files
from tui_trainer.config.hparams import Hparams
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task


@dataclass(frozen=True)
class EpochContext:
    """The state of training at an epoch's end.

    Attributes:
        model: the network that was evaluated (the averaged one with ema_decay), in evaluation mode.
        hparams: of this run.
        device: where the model is.
        epoch: finished epochs.
        step: optimizer steps done.
        metrics: of this epoch. What is added here is recorded with it.
    """

    model: nn.Module
    hparams: Hparams
    device: torch.device
    epoch: int
    step: int
    metrics: dict[str, float]
    writer: RunWriter

    def log_text(self, name: str, text: str) -> None:
        """Put a text into the run's log."""
        self.writer.event("log", name=name, text=str(text), epoch=self.epoch, step=self.step)

    def log_image(self, name: str, array: Any) -> None:
        """Put an image into the run's `media` folder and a line about it into the log.

        Args:
            name: its name; the file is `{name}_{epoch}.png`.
            array: H×W (grey) or H×W×C with 3 or 4 channels; bytes, or floats from 0 to 1.

        Raises:
            ValueError: another shape.
        """
        from PIL import Image

        pixels = np.asarray(array.detach().cpu() if isinstance(array, Tensor) else array)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
            raise ValueError(f"log_image takes H×W or H×W×3 or H×W×4, got {pixels.shape}")
        if pixels.dtype != np.uint8:
            pixels = (
                (np.clip(np.nan_to_num(pixels.astype(np.float64)), 0.0, 1.0) * 255).round().astype(np.uint8)
            )
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
        path = self.writer.layout.root / "media" / f"{safe}_{self.epoch}.png"
        path.parent.mkdir(exist_ok=True)
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, format="PNG")
        files.write_bytes(path, encoded.getvalue(), durable=False)
        relative = str(path.relative_to(self.writer.layout.root))
        self.writer.event("log", name=name, image=relative, epoch=self.epoch, step=self.step)


def call_hook(task: Task, context: EpochContext) -> None:
    """Call the task's `on_epoch_end` in evaluation mode and without gradients; the mode comes back."""
    training = context.model.training
    context.model.eval()
    try:
        with torch.no_grad():
            task.on_epoch_end(context)
    finally:
        context.model.train(training)
