"""A backbone with weights from a file, which stay as they are, and a head that learns."""

from pathlib import Path

import torch
from torch import nn

from tui_trainer import Field, Hparams, Task, load_weights


class FrozenHparams(Hparams):
    backbone: Path | None = Field(None, description="State dict of the backbone; none: random weights.")


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU())
        self.head = nn.Linear(12, 3)

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, inputs):
        return self.head(self.backbone(inputs))


class Frozen(Task):
    """Three clusters."""

    hparams_class = FrozenHparams

    def datasets(self, hparams):
        generator = torch.Generator().manual_seed(0)
        classes = torch.arange(90) % 3
        return torch.randn(3, 8, generator=generator)[classes] + 0.3 * torch.randn(
            90, 8, generator=generator
        ), classes

    def model(self, hparams):
        network = Network()
        if hparams.backbone is not None:
            load_weights(network.backbone, hparams.backbone)
        network.backbone.requires_grad_(False)
        return network
