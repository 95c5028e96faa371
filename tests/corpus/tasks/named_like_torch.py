# expect: exit 2 | torch.py would be imported wherever torch is meant | hint: give the file another name
# as: torch.py
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
