# expect: exit 1 | layer 0 Conv2d | to have 3 channels, but got 1 channels | hint: the layer takes 3 channels and got 1
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.rand(40, 1, 8, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
