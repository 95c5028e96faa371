# expect: exit 1 | MSELoss of outputs float32 [8, 1] and targets float32 [8] | hint: make the two alike
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.randn(40)

    def model(self, hparams):
        return nn.Linear(8, 1)
