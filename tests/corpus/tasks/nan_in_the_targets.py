# expect: exit 1 | loss became NaN or infinite at step 1 | tensor 1 of the batch | hint: mend or leave out that sample
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        targets = torch.randn(40, 1)
        targets[5] = float("nan")
        return torch.randn(40, 8), targets

    def model(self, hparams):
        return nn.Linear(8, 1)
