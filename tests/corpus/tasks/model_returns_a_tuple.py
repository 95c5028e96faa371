# expect: exit 1 | the model returned (float32 [8, 5, 3], (float32 [1, 8, 3], float32 [1, 8, 3])) | hint: forward() returns a tuple
import torch
from torch import nn

from tui_trainer import Task


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x):
        return self.lstm(x)


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 5, 4), torch.arange(40) % 3

    def model(self, hparams):
        return Net()
