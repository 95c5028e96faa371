# expect: exit 1 | returned a dict with classes, size, and no loss | hint: {"loss": total
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
        return {"classes": criterion(outputs, targets), "size": outputs.abs().mean()}, outputs, targets
