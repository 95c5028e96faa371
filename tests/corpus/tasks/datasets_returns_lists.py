# expect: exit 1 | datasets() returned a list of 40 int | hint: make tensors of them
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return [[float(i), float(i % 5)] for i in range(40)], [i % 3 for i in range(40)]

    def model(self, hparams):
        return torch.nn.Linear(2, 3)
