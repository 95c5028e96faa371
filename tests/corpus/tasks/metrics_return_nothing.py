# expect: exit 1 | 'NoneType' object is not a mapping | hint: metrics() must return a dict
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def metrics(self, outputs, targets):
        {"hits": (outputs.argmax(1) == targets).float().mean()}
