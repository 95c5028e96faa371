"""A CNN with BatchNorm, whose last batch would hold one sample."""

import torch
from torch import nn

from tui_trainer import Field, Hparams, Task


class CnnHparams(Hparams):
    batch_size: int = 16
    latent_dim: int = Field(4, gt=0, unit="channels", description="Channels of the convolution.")


class Cnn(Task):
    """Which quarter of an image is bright."""

    hparams_class = CnnHparams

    def datasets(self, hparams):
        def images(count, seed):
            generator = torch.Generator().manual_seed(seed)
            classes = torch.arange(count) % 4
            pixels = torch.rand(count, 1, 8, 8, generator=generator)
            for row, quarter in enumerate(classes.tolist()):
                pixels[row, 0, 4 * (quarter // 2) :, 4 * (quarter % 2) :][:4, :4] += 1.0
            return pixels, classes

        self.classes = ["top left", "top right", "bottom left", "bottom right"]
        return images(65, 0), images(33, 1)

    def model(self, hparams):
        return nn.Sequential(
            nn.Conv2d(1, hparams.latent_dim, 3, padding=1),
            nn.BatchNorm2d(hparams.latent_dim),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * hparams.latent_dim, len(self.classes)),
        )
