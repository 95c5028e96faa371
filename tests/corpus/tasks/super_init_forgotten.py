# expect: exit 1 | while building the model: cannot assign module | super_init_forgotten.py:10 | hint: call super().__init__() first
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        return self.out(x)


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return Net()
