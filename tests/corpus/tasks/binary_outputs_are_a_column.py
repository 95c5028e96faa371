# expect: exit 1 | in compute_loss: outputs float32 [8, 1], targets float32 [8] | hint: make the two alike
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), (torch.arange(40) % 2).float()

    def model(self, hparams):
        return nn.Linear(8, 1)

    def criterion(self, hparams):
        return nn.BCEWithLogitsLoss()
