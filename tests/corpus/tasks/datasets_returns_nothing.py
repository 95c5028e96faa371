# expect: exit 1 | datasets() returned None | does datasets() end with `return`?
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
