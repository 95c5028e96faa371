# expect: exit 1 | out of memory: 2.84 PiB asked for | while building the model | hint: no batch size helps here
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 10**14)
