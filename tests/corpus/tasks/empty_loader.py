# expect: exit 1 | the training loader yields no batch | hint: check datasets() or dataloader()
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return TensorDataset(torch.randn(10, 8), torch.arange(10) % 3), None

    def model(self, hparams):
        return nn.Linear(8, 3)

    def dataloader(self, hparams, dataset, train):
        return DataLoader(dataset, batch_size=16, drop_last=True)
