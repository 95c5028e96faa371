"""Pairs through one network, with nested batches and a data set that draws its partners at random."""

import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


class Pairs(Dataset):
    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.classes = torch.arange(count) % 5
        self.points = torch.randn(5, 6, generator=generator)[self.classes]
        self.points += 0.3 * torch.randn(count, 6, generator=generator)

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        other = int(torch.randint(0, len(self), ()))
        same = (self.classes[index] == self.classes[other]).float()
        return {"pair": (self.points[index], self.points[other]), "same": same}


class Siamese(Task):
    """Whether two points are of one class."""

    def datasets(self, hparams):
        return Pairs(60, 0), Pairs(20, 0)

    def model(self, hparams):
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))

    def compute_loss(self, model, batch, criterion):
        one, other = (model(side) for side in batch["pair"])
        distances = (one - other).norm(dim=1)
        same = batch["same"]
        loss = (same * distances.square() + (1 - same) * (1.0 - distances).relu().square()).mean()
        return loss, distances, same

    def metrics(self, outputs, targets):
        return {"accuracy": ((outputs < 0.5) == (targets > 0.5)).float().mean()}
