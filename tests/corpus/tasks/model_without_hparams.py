# expect: exit 2 | Mine defines model(self) (model_without_hparams.py:11) | hint: def model(self, hparams): …
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self):
        return torch.nn.Linear(8, 3)
