# expect: exit 1 | RuntimeError in step 3 | fails_in_a_later_step.py:23 | inputs float32 [8, 4] | takes 8 features and got 4
# with: --batch-size 8
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        self.steps = 0
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def compute_loss(self, model, batch, criterion):
        inputs, targets = batch
        if model.training:
            self.steps += 1
            if self.steps == 3:
                inputs = inputs[:, :4]
        outputs = model(inputs)
        return criterion(outputs, targets), outputs, targets
