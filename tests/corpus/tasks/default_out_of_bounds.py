# expect: exit 2 | width: expected a whole number > 0, got 0, its own default
import torch

from tui_trainer import Field, Hparams, Task


class MineHparams(Hparams):
    width: int = Field(0, gt=0, description="Width of the layer, in units.")


class Mine(Task):
    hparams_class = MineHparams

    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
