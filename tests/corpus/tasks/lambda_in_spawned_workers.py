# expect: exit 1 | local object | hint: what goes to a loader process that is spawned must be importable
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return TensorDataset(torch.randn(40, 8), torch.arange(40) % 3), None

    def model(self, hparams):
        return nn.Linear(8, 3)

    def dataloader(self, hparams, dataset, train):
        return DataLoader(
            dataset,
            batch_size=8,
            num_workers=1,
            multiprocessing_context="spawn",
            collate_fn=lambda items: torch.utils.data.default_collate(items),
        )
