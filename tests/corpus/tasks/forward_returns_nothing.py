# expect: exit 1 | the model returned None | does it end with `return`?
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        x = self.out(x)


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return Net()
