# expect: exit 1 | data of different lengths | (30, 8), (30,), (10, 8), (10,) | (x, y), (x_test, y_test)
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        x, y = torch.randn(40, 8), torch.arange(40) % 3
        return x[:30], y[:30], x[30:], y[30:]

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
