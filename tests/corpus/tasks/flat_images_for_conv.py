# expect: exit 1 | layer 0 Conv2d | layer got: float32 [8, 64] | hint: a convolution takes [batch, channels, height, width]
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.rand(40, 64), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3))
