# expect: exit 1 | samples of the batch: 0 is (float32 [3], int), 1 is (float32 [4], int) | hint: samples must have one shape
import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Sentences(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.ones(3 + index % 4), index % 3


class Mine(Task):
    def datasets(self, hparams):
        return Sentences()

    def model(self, hparams):
        return nn.LazyLinear(3)
