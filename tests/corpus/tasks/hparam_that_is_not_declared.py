# expect: exit 1 | no attribute 'latent_dims' | hint: declare it in a subclass of Hparams
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Sequential(nn.Linear(8, hparams.latent_dims), nn.Linear(hparams.latent_dims, 3))
