# expect: exit 1 | Can't call numpy() | outputs float32 [32, 3] | outputs.detach()
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def compute_loss(self, model, batch, criterion):
        inputs, targets = batch
        outputs = model(inputs)
        if model.training:
            self.largest = outputs.numpy().max()
        return criterion(outputs, targets), outputs, targets
