# expect: exit 1 | takes 2 positional arguments but 3 were given | batch: (float32 [8, 8], float32 [8, 2], int64 [8]) | let forward() take as many
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.randn(40, 2), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)
