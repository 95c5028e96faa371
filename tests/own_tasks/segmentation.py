"""A class for each pixel, judged by the confusion matrix and by intersection over union."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

from tui_trainer import ConfusionMatrix, Ratio, Task


class Segmentation(Task):
    """Where the square is."""

    directions = {"iou": "max", "f1": "max"}

    def datasets(self, hparams):
        generator = torch.Generator().manual_seed(0)
        masks = torch.zeros(50, 12, 12, dtype=torch.long)
        for mask, (row, column) in zip(
            masks, torch.randint(0, 8, (50, 2), generator=generator).tolist(), strict=True
        ):
            mask[row : row + 4, column : column + 4] = 1
        images = masks.unsqueeze(1) + 0.5 * torch.randn(50, 1, 12, 12, generator=generator)
        return TensorDataset(images[:40], masks[:40]), TensorDataset(images[40:], masks[40:])

    def model(self, hparams):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1)
        )

    def metrics(self, outputs, targets):
        found = outputs.argmax(1)
        both, either = (found & targets).sum(), (found | targets).sum()
        return {
            "accuracy": (found == targets).float().mean(),
            "iou": Ratio(both, either),
            "f1": ConfusionMatrix(outputs, targets),
        }
