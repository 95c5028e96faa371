"""Small tasks, and looks into a run directory, for tests of every folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tui_trainer.cli.resume import resume_point
from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.launch import Result, launch
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.tasks.base import Task


def points(samples: int = 101, features: int = 8, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noisy clusters that a small network can tell apart: inputs (samples, features), classes (samples,)."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(samples) % classes
    centres = 2.0 * torch.randn(classes, features, generator=generator)
    return centres[targets] + torch.randn(samples, features, generator=generator), targets


class PointsHparams(Hparams):
    """Of `Points`."""

    device: str = "cpu"
    epochs: int = 2
    batch_size: int = 16
    latent_dim: int = Field(12, gt=0, description="Width of the hidden layer, in units.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Part of the units left out.")


class Points(Task):
    """A network of one hidden layer on `points`.

    Args:
        samples: of train and test together.
        batchnorm: put a BatchNorm layer in.
        on_batch: called with the number (from 1) of each training batch before its forward pass.
    """

    hparams_class = PointsHparams
    name = "points"

    def __init__(
        self,
        samples: int = 101,
        batchnorm: bool = False,
        on_batch: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.samples = samples
        self.batchnorm = batchnorm
        self.on_batch = on_batch
        self.trained_batches = 0
        self._latest: Any = None

    def datasets(self, hparams: Any) -> Any:
        return points(self.samples)

    def model(self, hparams: Any) -> nn.Module:
        norm = [nn.BatchNorm1d(hparams.latent_dim)] if self.batchnorm else []
        return nn.Sequential(
            nn.Linear(8, hparams.latent_dim),
            *norm,
            nn.ReLU(),
            nn.Dropout(hparams.dropout),
            nn.Linear(hparams.latent_dim, 3),
        )

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        # LBFGS looks at one batch several times.
        if model.training and batch is not self._latest:
            self._latest = batch
            self.trained_batches += 1
            self.on_batch(self.trained_batches)
        return super().compute_loss(model, batch, criterion)


CUDA_TEXT = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which "
    "1.20 GiB is free. Including non-PyTorch memory, this process has 77.88 GiB memory in use. Of the "
    "allocated memory 76.00 GiB is allocated by PyTorch, and 1.50 GiB is reserved by PyTorch but unallocated."
)
"""What torch says when a GPU's memory runs out."""


class _Exhausting(torch.autograd.Function):
    """Runs out of memory in the backward pass."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise torch.OutOfMemoryError(CUDA_TEXT)


class Small(Points):
    """`Points` in float64 on a device that holds only so many samples at once.

    Args:
        training: samples that fit in training.
        evaluation: samples that fit in evaluation.
        after: passes with a gradient that still find memory enough, whatever the batch.
        in_backward: it runs out in the backward pass.
    """

    def __init__(
        self,
        training: int = 1 << 30,
        evaluation: int = 1 << 30,
        *,
        after: int = 0,
        in_backward: bool = False,
        dtype: torch.dtype = torch.float64,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fits = {True: training, False: evaluation}
        self.after = after
        self.in_backward = in_backward
        self.dtype = dtype
        self.passes: list[int] = []

    def datasets(self, hparams: Any) -> Any:
        inputs, targets = super().datasets(hparams)
        return inputs.to(self.dtype), targets

    def model(self, hparams: Any) -> nn.Module:
        return super().model(hparams).to(self.dtype)

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        loss, outputs, targets = super().compute_loss(model, batch, criterion)
        if model.training:
            self.passes.append(len(batch[0]))
        enough = model.training and len(self.passes) <= self.after
        if len(batch[0]) > self.fits[model.training] and not enough:
            if not (self.in_backward and model.training):
                raise torch.OutOfMemoryError(CUDA_TEXT)
            loss = _Exhausting.apply(loss)
        return loss, outputs, targets


class NoisyItems(Dataset[tuple[Tensor, int]]):
    """A data set with random augmentation from all three global generators."""

    def __init__(self, samples: int = 60) -> None:
        self.inputs, self.targets = points(samples)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        import random

        noise = torch.randn(8) + float(np.random.rand()) + random.random()
        return self.inputs[index] + 0.1 * noise, int(self.targets[index])


def events(run_dir: Path, name: str | None = None) -> list[dict[str, Any]]:
    """A run's events, or those of one name."""
    return [event for event in RunReader(run_dir).events() if name in (None, event["event"])]


def rows(run_dir: Path) -> dict[str, np.ndarray[Any, Any]]:
    """A run's step series by column."""
    reader = RunReader(run_dir)
    return dict(zip(reader.columns(), reader.steps().T, strict=True))


def weights(run_dir: Path, tag: str | int) -> dict[str, Tensor]:
    """The state_dict of a checkpoint, read without code of ours."""
    state: dict[str, Tensor] = torch.load(run_dir / f"checkpoints/model_{tag}.pt", weights_only=True)
    return state


def tags(run_dir: Path) -> list[str]:
    """Tags of a run's checkpoints, oldest first."""
    return [entry["tag"] for entry in RunReader(run_dir).checkpoints()]


def assert_same_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def resume(task: Task, run_dir: Path, values: dict[str, Any], stop: StopRequest | None = None) -> Result:
    """Go on with a run from its newest good checkpoint, as `--resume` does."""
    hparams = task.hparams_class(task=task.name, **values)
    layout = RunLayout(run_dir)
    return launch(task, hparams, runs_dir=run_dir.parent, resume=resume_point(layout), stop=stop)


def start(task: Task, runs_dir: Path, values: dict[str, Any], stop: StopRequest | None = None) -> Result:
    """Start a run with a stop request of one's own."""
    return launch(task, task.hparams_class(task=task.name, **values), runs_dir=runs_dir, stop=stop)
