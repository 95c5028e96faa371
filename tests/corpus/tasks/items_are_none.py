# expect: exit 1 | collating samples | is None | hint: __getitem__ returned None for a sample
import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Rows(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        if index != 3:
            return torch.randn(8), index % 3


class Mine(Task):
    def datasets(self, hparams):
        return Rows(), None

    def model(self, hparams):
        return nn.Linear(8, 3)
