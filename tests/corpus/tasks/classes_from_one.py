# expect: exit 1 | Target 3 is out of bounds | hint: targets of this batch go from 1 to 3 | subtract 1 from the targets
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3 + 1

    def model(self, hparams):
        return nn.Linear(8, 3)
