# expect: exit 1 | KeyboardInterrupt while loading data: the task raised it by itself
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        raise KeyboardInterrupt

    def model(self, hparams):
        return nn.Linear(8, 3)
