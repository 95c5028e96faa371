# expect: exit 2 | Mine defines datasets(hparams) (missing_self.py:8) | hint: def datasets(self, hparams): …
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
