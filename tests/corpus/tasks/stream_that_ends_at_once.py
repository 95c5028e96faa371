# expect: exit 1 | yields no batch in epoch 1 | hint: check datasets()
import torch
from torch.utils.data import IterableDataset

from tui_trainer import Task


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


class Mine(Task):
    def datasets(self, hparams):
        return Stream(), None

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
