# expect: exit 1 | layer got: float32 [8, 1, 8, 8] | hint: nn.Flatten() before this layer
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.rand(40, 1, 8, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
