# expect: exit 1 | batch: [float64 [8, 8], int64 [8]] | hint: data and weights differ in dtype
import numpy as np
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Rows(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return np.random.default_rng(index).normal(size=8), index % 3


class Mine(Task):
    def datasets(self, hparams):
        return Rows()

    def model(self, hparams):
        return nn.Linear(8, 3)
