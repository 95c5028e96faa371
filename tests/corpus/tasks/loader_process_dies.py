# expect: exit 1 | left with exit code 7 | 3 times in a row | --num-workers 0
# with: --num-workers 1
# slow: torch looks for dead processes every five seconds
import os

import torch
from torch import nn
from torch.utils.data import Dataset, get_worker_info

from tui_trainer import Task


class Rows(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        if get_worker_info():
            os._exit(7)
        return torch.randn(8), index % 3


class Mine(Task):
    def datasets(self, hparams):
        return Rows(), None

    def model(self, hparams):
        return nn.Linear(8, 3)
