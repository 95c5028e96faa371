# expect: exit 2 | model() is missing | did you mean build_model? | hint: def model(self, hparams): …
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def build_model(self, hparams):
        return torch.nn.Linear(8, 3)
