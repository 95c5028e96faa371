# expect: exit 1 | x
import torch
import torch.nn.functional as F
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3 - 1

    def model(self, hparams):
        return nn.Linear(8, 3)

    def compute_loss(self, model, batch, criterion):
        x, y = batch
        logits = model(x)
        return F.cross_entropy(logits, y), logits, y
