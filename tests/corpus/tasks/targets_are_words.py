# expect: exit 1 | a batch's targets are a tuple of 8 str | hint: 
import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Rows(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.randn(8), ["cat", "dog", "owl"][index % 3]


class Mine(Task):
    def datasets(self, hparams):
        return Rows()

    def model(self, hparams):
        return nn.Linear(8, 3)
