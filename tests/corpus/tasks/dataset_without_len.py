# expect: exit 1 | datasets() returned a Rows without __len__ | hint: define __len__(self) in Rows
import torch
from torch.utils.data import Dataset

from tui_trainer import Task


class Rows(Dataset):
    def __getitem__(self, index):
        return torch.randn(8), index % 3


class Mine(Task):
    def datasets(self, hparams):
        return Rows()

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
