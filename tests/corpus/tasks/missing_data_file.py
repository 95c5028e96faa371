# expect: exit 1 | x
import numpy as np
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return np.load("faces.npy"), np.load("names.npy")

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
