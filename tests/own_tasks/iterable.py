"""A stream without a length."""

import torch
from torch import nn
from torch.utils.data import IterableDataset

from tui_trainer import Hparams, Task


class Stream(IterableDataset):
    def __iter__(self):
        for _ in range(75):
            inputs = torch.randn(4)
            yield inputs, inputs.sum().unsqueeze(0)


class StreamHparams(Hparams):
    test_size: float = 0.0


class Streaming(Task):
    """The sum of four numbers that are drawn on the way."""

    hparams_class = StreamHparams

    def datasets(self, hparams):
        inputs = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
        return Stream(), (inputs, inputs.sum(1, keepdim=True))

    def model(self, hparams):
        return nn.Linear(4, 1)
