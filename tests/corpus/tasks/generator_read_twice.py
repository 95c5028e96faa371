# expect: exit 1 | yields no batch in epoch 2 | a generator can be read only once
# with: --epochs 2
import torch
from torch.utils.data import IterableDataset

from tui_trainer import Task


class Stream(IterableDataset):
    def __init__(self):
        self.items = ((torch.randn(8), index % 3) for index in range(40))

    def __iter__(self):
        return self.items


class Mine(Task):
    def datasets(self, hparams):
        return Stream(), None

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
