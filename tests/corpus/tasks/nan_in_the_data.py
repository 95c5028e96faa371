# expect: exit 1 | x
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        inputs = torch.randn(40, 8)
        inputs[::7, 2] = float("nan")
        return inputs, torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)
