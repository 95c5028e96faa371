# expect: exit 1 | nothing to train | no parameter that requires a gradient | hint: check model(hparams)
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        model = nn.Linear(8, 3)
        for parameter in model.parameters():
            parameter.requires_grad = False
        return model
