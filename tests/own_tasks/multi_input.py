"""Two inputs, a picture and a row of numbers, and one target; arrays of NumPy."""

import numpy as np
import torch
from torch import nn

from tui_trainer import Task


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.picture = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU())
        self.numbers = nn.Linear(3, 8)
        self.head = nn.Linear(16, 2)

    def forward(self, picture, numbers):
        return self.head(torch.cat([self.picture(picture), self.numbers(numbers).relu()], 1))


class TwoInputs(Task):
    """Whether a picture or a row of numbers is brighter."""

    def datasets(self, hparams):
        draw = np.random.default_rng(0)
        pictures, numbers = draw.normal(size=(90, 4, 4)), draw.normal(size=(90, 3))
        return pictures, numbers, (pictures.mean((1, 2)) > numbers.mean(1)).astype(np.int64)

    def model(self, hparams):
        return Network()
