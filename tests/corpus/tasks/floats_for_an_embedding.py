# expect: exit 1 | layer 0 Embedding(20, 4) | layer got: float32 [8, 6] | inputs.long()
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randint(0, 20, (40, 6)).float(), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(24, 3))
