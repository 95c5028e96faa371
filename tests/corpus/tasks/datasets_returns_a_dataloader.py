# expect: exit 1 | datasets() returned a DataLoader | hint: return its data set
import torch
from torch.utils.data import DataLoader, TensorDataset

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return DataLoader(TensorDataset(torch.randn(40, 8), torch.arange(40) % 3), batch_size=8)

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
