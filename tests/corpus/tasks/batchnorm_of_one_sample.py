# expect: exit 1 | in step 1, layer 1 BatchNorm1d: Expected more than 1 value per channel | layer got: float32 [1, 6] | hint: BatchNorm needs two samples
# with: --batch-size 1
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(12, 8), torch.arange(12) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
