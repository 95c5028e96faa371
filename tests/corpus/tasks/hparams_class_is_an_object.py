# expect: exit 2 | x
import torch

from tui_trainer import Hparams, Task


class Mine(Task):
    hparams_class = Hparams(lr=0.1)

    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
