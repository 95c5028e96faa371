# expect: exit 1 | list index out of range | item_beyond_the_end.py:16 | in __getitem__: index 3 | __len__ may say more than there is
import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Rows(Dataset):
    words = ["cat", "dog"] * 15

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.randn(8), len(self.words[index])


class Mine(Task):
    def datasets(self, hparams):
        return Rows(), None

    def model(self, hparams):
        return nn.Linear(8, 4)
