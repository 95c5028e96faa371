# expect: exit 1 | in forward: x float32 [8, 8], scale float32 [8] on meta | hint: a tensor was made on another device
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        scale = torch.ones(8, device="meta")
        return self.out(x * scale)


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return Net()
