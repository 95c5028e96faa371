# expect: exit 1 | while loading data: | No such file or directory: 'faces.npy' | missing_data_file.py:10 | counts from the working directory
import numpy as np
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return np.load("faces.npy"), np.load("names.npy")

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
