# expect: exit 1 | datasets() returned a dict: {train: (float32 [40, 8], int64 [40]), test: None} | hint: return a Dataset
import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return {"train": (torch.randn(40, 8), torch.arange(40) % 3), "test": None}

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
