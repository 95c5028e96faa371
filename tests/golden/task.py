"""The task of the golden runs. Never change it: runs that are on file must go on with it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tui_trainer import Field, Hparams, Task

SAMPLES, FEATURES, CLASSES = 40, 3, 2


class GoldenHparams(Hparams):
    """Of `Golden`."""

    latent_dim: int = Field(4, gt=0, description="Width of the hidden layer, in units.")


class Golden(Task):
    """A tiny network with dropout and BatchNorm on a few points."""

    hparams_class = GoldenHparams
    name = "golden"

    def datasets(self, hparams: Any) -> Any:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(SAMPLES, FEATURES, generator=generator)
        return inputs, (inputs.sum(1) > 0).long()

    def model(self, hparams: Any) -> nn.Module:
        return nn.Sequential(
            nn.Linear(FEATURES, hparams.latent_dim),
            nn.BatchNorm1d(hparams.latent_dim),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(hparams.latent_dim, CLASSES),
        )
