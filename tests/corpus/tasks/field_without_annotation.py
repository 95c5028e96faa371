# expect: exit 1 | Field 'width' requires a type annotation | hint: write its type: width: int = Field(…)
import torch

from tui_trainer import Field, Hparams, Task


class MineHparams(Hparams):
    width = Field(8, gt=0, description="Width of the layer, in units.")


class Mine(Task):
    hparams_class = MineHparams

    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
