"""A task that is found by the name of its entry point."""

import torch

from plugged.network import build
from tui_trainer import Field, Hparams, Task


class LargerHparams(Hparams):
    width: int = Field(16, gt=0, unit="units", description="Width of the hidden layer.")


class Larger(Task):
    """The larger of two numbers."""

    hparams_class = LargerHparams

    def datasets(self, hparams):
        inputs = torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
        return inputs, inputs.amax(1, keepdim=True)

    def model(self, hparams):
        return build(hparams.width)
