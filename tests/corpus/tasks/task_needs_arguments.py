# expect: exit 2 | __init__ wants width | hint: give them defaults
import torch

from tui_trainer import Task


class Mine(Task):
    def __init__(self, width):
        self.width = width

    def datasets(self, hparams):
        return torch.randn(40, self.width), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(self.width, 3)
