# expect: exit 1 | outputs float32 [8, 1], targets int64 [8, 1] | targets.float()
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40).reshape(40, 1) % 2

    def model(self, hparams):
        return nn.Linear(8, 1)

    def criterion(self, hparams):
        return nn.BCEWithLogitsLoss()
