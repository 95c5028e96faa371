# expect: exit 1 | multi-target not supported | targets int64 [8, 1] | targets.squeeze(1)
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), (torch.arange(40) % 3).reshape(40, 1)

    def model(self, hparams):
        return nn.Linear(8, 3)
