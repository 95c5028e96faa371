# expect: exit 1 | No module named 'numpyy' | hint: did you mean numpy?
import numpyy as np
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
