# expect: ended 9
import os

from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        os._exit(9)

    def model(self, hparams):
        return nn.Linear(8, 3)
