# expect: exit 1 | scheduler() returned the class CosineAnnealingLR | hint: return an object
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def scheduler(self, hparams, optimizer, total_steps):
        return torch.optim.lr_scheduler.CosineAnnealingLR
