# expect: exit 1 | task can't be imported | circular_helper.py:1 | hint: two files import each other
# beside: circular_helper.py
import torch
from circular_helper import WIDTH

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, WIDTH), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(WIDTH, 3)
