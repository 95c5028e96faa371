# expect: exit 1 | the training set has no sample | hint: check datasets()
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return (torch.randn(0, 8), torch.arange(0)), None

    def model(self, hparams):
        return nn.Linear(8, 3)
