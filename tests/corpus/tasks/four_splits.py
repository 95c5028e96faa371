# expect: exit 1 | too many data sets | hint: return a Dataset
import torch
from torch.utils.data import TensorDataset

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        data = TensorDataset(torch.randn(40, 8), torch.arange(40) % 3)
        return data, data, data, data

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
