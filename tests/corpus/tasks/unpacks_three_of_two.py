# expect: exit 1 | unpacks_three_of_two.py:16 | batch: (float32 [8, 8], int64 [8]) | hint: as many names
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def compute_loss(self, model, batch, criterion):
        inputs, lengths, targets = batch
        outputs = model(inputs)
        return criterion(outputs, targets), outputs, targets
