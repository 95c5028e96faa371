# expect: exit 1 | loss became NaN or infinite at step 1 | tensor 0 of the batch | hint: mend or leave out that sample
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        inputs = torch.randn(40, 8)
        inputs[::7, 2] = float("nan")
        return inputs, torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)
