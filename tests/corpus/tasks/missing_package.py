# expect: exit 1 | No module named 'cv3_no_such_thing' | missing_package.py:2 | hint: pip install the package
import cv3_no_such_thing
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
