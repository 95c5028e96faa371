# expect: exit 1 | collate_fails.py:18 | in collate_fn: inputs (float32 [3], float32 [4] | hint: samples must have one shape
import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Rows(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.randn(3 + index % 2), index % 3

    def collate_fn(self, samples):
        inputs, targets = zip(*samples)
        return torch.stack(inputs), torch.tensor(targets)


class Mine(Task):
    def datasets(self, hparams):
        return Rows()

    def model(self, hparams):
        return nn.Linear(8, 3)
