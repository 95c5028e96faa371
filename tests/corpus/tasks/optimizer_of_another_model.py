# expect: exit 1 | none of the optimizer's 2 tensors is a parameter of the model | hint: build it from the model
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def optimizer(self, hparams, model):
        return torch.optim.SGD(self.model(hparams).parameters(), lr=0.1)
