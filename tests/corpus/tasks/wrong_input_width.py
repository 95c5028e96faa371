# expect: exit 1 | in the first test batch, layer 2 Linear(in_features=128, out_features=3): mat1 and mat2 | model() at wrong_input_width.py:12 | layer got: float32 [8, 64] | in_features=64
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(128, 3))
