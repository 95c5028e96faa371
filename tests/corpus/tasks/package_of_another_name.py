# expect: exit 1 | No module named 'skimage_' | hint: did you mean skimage?
import skimage_
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
