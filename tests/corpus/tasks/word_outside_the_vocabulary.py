# expect: exit 1 | layer 0 Embedding(20, 4) | num_embeddings must be 50 at least
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randint(0, 50, (40, 6)), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(24, 3))
