# expect: exit 1 | in step 2, backward pass | a state kept from the batch before needs .detach()
# with: --batch-size 8
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRUCell(4, 3)
        self.state = None

    def forward(self, x):
        state = self.rnn(x, self.state)
        if self.training:
            self.state = state
        return state


class Mine(Task):
    def datasets(self, hparams):
        return (torch.randn(32, 4), torch.arange(32) % 3), None

    def model(self, hparams):
        return Net()

