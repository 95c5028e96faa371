# expect: exit 1 | the loader yields float32 [8, 8] | hint: define compute_loss
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def dataloader(self, hparams, dataset, train):
        return dataset
