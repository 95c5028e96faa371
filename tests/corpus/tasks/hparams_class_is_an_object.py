# expect: exit 2 | Mine.hparams_class must be a subclass of tui_trainer.Hparams | hint: 
import torch

from tui_trainer import Hparams, Task


class Mine(Task):
    hparams_class = Hparams(lr=0.1)

    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
