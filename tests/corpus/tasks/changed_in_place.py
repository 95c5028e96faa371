# expect: exit 1 | in step 1, backward pass | modified by an inplace operation | hint: something that the gradient needs was overwritten
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        y = torch.sigmoid(self.out(x))
        y += 1
        return y


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return Net()
