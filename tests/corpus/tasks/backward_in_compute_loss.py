# expect: exit 1 | RuntimeError in step 1, backward pass: Trying to backward through the graph a second time | hint: the trainer calls backward() itself, so compute_loss must not
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
        loss = criterion(outputs, targets)
        if model.training:
            loss.backward()
        return loss, outputs, targets
