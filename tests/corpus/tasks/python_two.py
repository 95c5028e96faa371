# expect: exit 3 | python_two.py:9 | Missing parentheses in call to 'print' | print "loading" | hint: this is Python 3.
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        print "loading"
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
