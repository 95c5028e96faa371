# expect: exit 3 | unclosed_bracket.py:9 | was never closed | hint: this is Python 3.
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return (torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
