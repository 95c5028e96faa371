# expect: exit 1 | x
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRUCell(4, 3)
        self.state = None

    def forward(self, x):
        self.state = self.rnn(x, self.state if self.training else None)
        return self.state


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(32, 4), torch.arange(32) % 3

    def model(self, hparams):
        return Net()

    def dataloader(self, hparams, dataset, train):
        return [(dataset[0][:8], dataset[1][:8]), (dataset[0][8:16], dataset[1][8:16])]
