# expect: exit 2 | random.py would be imported wherever random is meant | hint: give the file another name
# as: random.py
import random

import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % random.randint(2, 3)

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
