# expect: exit 1 | residual_of_another_width.py:16 | in forward: h float32 [8, 16], x float32 [8, 8] | hint: the two differ in a dimension
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 16)
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        h = self.hidden(x)
        return self.out(h + x)


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return Net()
