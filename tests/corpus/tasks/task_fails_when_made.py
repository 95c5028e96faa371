# expect: exit 1 | task can't be made | task_fails_when_made.py:11 | counts from the working directory
import json

import torch

from tui_trainer import Task


class Mine(Task):
    def __init__(self):
        with open("sizes.json") as file:
            self.width = json.load(file)["width"]

    def datasets(self, hparams):
        return torch.randn(40, self.width), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(self.width, 3)
