# expect: exit 1 | not a model: model() returned | hint: return a
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        nn.Linear(8, 3)
