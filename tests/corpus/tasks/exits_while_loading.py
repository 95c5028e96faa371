# expect: exit 1 | while loading data: the task called sys.exit('no data: run download.sh first') | exits_while_loading.py:11
import sys

import torch

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        sys.exit("no data: run download.sh first")

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
