# expect: exit 1 | is invalid for input of size 512 | in forward: x float32 [8, 8, 8] | x.view(len(x), -1)
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(64, 3)

    def forward(self, x):
        return self.out(x.view(32, 64))


class Mine(Task):
    def datasets(self, hparams):
        return torch.rand(40, 8, 8), torch.arange(40) % 3

    def model(self, hparams):
        return Net()
