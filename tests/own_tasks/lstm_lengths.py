"""An LSTM that predicts a number from series of various lengths, padded by a collate function."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import Dataset

from tui_trainer import R2, Task


class Series(Dataset):
    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(2, 12, (count,), generator=generator)
        self.items = [torch.randn(n, 3, generator=generator) for n in lengths.tolist()]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        series = self.items[index]
        return series, series[:, 0].mean()

    @staticmethod
    def collate_fn(samples):
        series, targets = zip(*samples, strict=True)
        lengths = torch.tensor([len(each) for each in series])
        return pad_sequence(series, batch_first=True), lengths, torch.stack(targets)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, series, lengths):
        packed = pack_padded_sequence(series, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        return self.head(hidden[-1]).squeeze(1)


class Lengths(Task):
    """The mean of a series' first column."""

    def datasets(self, hparams):
        return Series(60, 0), Series(20, 1), Series(20, 2)

    def model(self, hparams):
        return Network()

    def metrics(self, outputs, targets):
        return {"r2": R2(outputs, targets)}
