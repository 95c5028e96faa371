# expect: exit 2 | compute_loss(self, model, inputs, targets, criterion) (one_argument_too_many.py:14) | hint: def compute_loss(self, model, batch, criterion): …
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)

    def compute_loss(self, model, inputs, targets, criterion):
        outputs = model(inputs)
        return criterion(outputs, targets), outputs, targets
