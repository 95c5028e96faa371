"""tui-train my_task.py"""

import torch
from torch import nn

from tui_trainer import Task


class MyTask(Task):
    """Classify points by the side of a curve that they are on."""

    def datasets(self, hparams):
        points = torch.rand(2000, 2) * 4 - 2
        return points, (points[:, 1] > torch.sin(2 * points[:, 0])).long()

    def model(self, hparams):
        return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
