# expect: exit 0 | warning: the loss compares each output with each target | outputs are [8, 1], targets [8] | outputs.squeeze(1)
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.randn(40)

    def model(self, hparams):
        return nn.Linear(8, 1)

    def criterion(self, hparams):
        return nn.MSELoss()
