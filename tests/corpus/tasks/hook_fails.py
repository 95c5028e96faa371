# expect: exit 0 | warning: on_epoch_end failed: KeyError: 'test/acc' | hook_fails.py:16
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return nn.Linear(8, 3)

    def on_epoch_end(self, context):
        context.log_text("accuracy", context.metrics["test/acc"])
