# expect: exit 1 | IndexError in step 1, in a loader process | item_fails_in_a_loader_process.py:17 | hint: the data set's __len__
# with: --num-workers 1
import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Rows(Dataset):
    names = [f"{index}.png" for index in range(30)]

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.full((8,), float(len(self.names[index]))), index % 3


class Mine(Task):
    def datasets(self, hparams):
        return Rows(), None

    def model(self, hparams):
        return nn.Linear(8, 3)
