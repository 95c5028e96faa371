"""What `Task.train_step` and `Task.on_epoch_end` get."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer import files
from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import TrainerError, did_you_mean
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task


class Steps(int):
    """How many training steps are done. Called with an optimizer's name, it lets that one make its step."""

    _make: Callable[[str | None], None]

    def __new__(cls, done: int, make: Callable[[str | None], None]) -> Steps:
        steps = super().__new__(cls, done)
        steps._make = make
        return steps

    def __call__(self, name: str | None = None) -> None:
        """Make a step with the gradients there are; clipped, unscaled and skipped as the hparams say.

        Args:
            name: of the optimizer; None where there is only one.

        Raises:
            TrainerError: no optimizer has this name.
        """
        self._make(name)


class StepContext:
    """What a task's own `train_step` works with.

    `context.step` is a number and a function: `context.step % 5` tells how far training is,
    `context.step("generator")` lets that optimizer make its step.

    Args:
        model: in training mode; the whole method runs under autocast where the precision asks for it.
        hparams: of this run.
        criterion: what `Task.criterion` returned.
        device: where model and batch are.
        optimizers: by name; a single one is called `optimizer`.

    Attributes:
        epoch: epochs done before this one.
        step: training steps done before this one; callable.
    """

    def __init__(
        self,
        model: nn.Module,
        hparams: Hparams,
        criterion: Any,
        device: torch.device,
        optimizers: Mapping[str, Optimizer],
    ) -> None:
        self.model = model
        self.hparams = hparams
        self.criterion = criterion
        self.device = device
        self.optimizers = dict(optimizers)
        self.epoch = 0
        self._backward: Callable[[Tensor], None]
        self._update: Callable[[Optimizer], None]

    def bind(self, backward: Callable[[Tensor], None], update: Callable[[Optimizer], None]) -> None:
        """For the engine: what `backward` and `step` do."""
        self._backward, self._update = backward, update
        self.at(0, 0)

    def at(self, epoch: int, step: int) -> None:
        """For the engine: where training is."""
        self.epoch, self.step = epoch, Steps(step, self._make_step)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those there are.

        The first call of a training step, and the first after a `step`, begin with no gradients at all: one
        loss's must not get into the step of another.
        """
        self._backward(loss)

    def _make_step(self, name: str | None) -> None:
        names = list(self.optimizers)
        if name is None and len(names) == 1:
            name = names[0]
        if name not in self.optimizers:
            said = "no name" if name is None else f'"{name}"{did_you_mean(name, names)}'
            raise TrainerError(
                "no such optimizer", f"step() got {said}", f"the optimizers are {', '.join(names)}"
            )
        self._update(self.optimizers[name])


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
        writer: the record; None in a dry run, which has none.
    """

    model: nn.Module
    hparams: Hparams
    device: torch.device
    epoch: int
    step: int
    metrics: dict[str, float]
    writer: RunWriter | None

    def log_text(self, name: str, text: str) -> None:
        """Put a text into the run's log."""
        self._log(name, text=str(text))

    def _log(self, name: str, **what: str) -> None:
        if self.writer is not None:
            self.writer.event("log", name=name, **what, epoch=self.epoch, step=self.step)

    def log_image(self, name: str, array: Any) -> None:
        """Put an image into the run's `media` folder and a line about it into the log.

        Args:
            name: its name; the file is `{name}_{epoch}.png`.
            array: H×W (grey), H×W×C, or torch's C×H×W, with 1, 3 or 4 channels; bytes, or floats from 0 to
                1. Where it could be either, the channels come last.

        Raises:
            ValueError: another shape.
        """
        from PIL import Image

        pixels = np.asarray(array.detach().cpu() if isinstance(array, Tensor) else array)
        if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4) and pixels.shape[0] in (1, 3, 4):
            pixels = pixels.transpose(1, 2, 0)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
            batch = "; of a batch, take one: images[0]" if pixels.ndim == 4 else ""
            raise ValueError(f"log_image takes H×W, H×W×C or C×H×W, got {tuple(pixels.shape)}{batch}")
        if pixels.dtype != np.uint8:
            pixels = (
                (np.clip(np.nan_to_num(pixels.astype(np.float64)), 0.0, 1.0) * 255).round().astype(np.uint8)
            )
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, format="PNG")
        if self.writer is None:
            return
        layout = self.writer.layout
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
        path = layout.media / f"{safe}_{self.epoch}.png"
        path.parent.mkdir(exist_ok=True)
        files.write_bytes(path, encoded.getvalue(), durable=False)
        self._log(name, image=str(path.relative_to(layout.root)))


def call_hook(task: Task, context: EpochContext) -> None:
    """Call the task's `on_epoch_end` in evaluation mode and without gradients; the mode comes back."""
    training = context.model.training
    context.model.eval()
    try:
        with torch.no_grad():
            task.on_epoch_end(context)
    finally:
        context.model.train(training)
