"""A small convolutional network for images from 4 × 4 to a few hundred pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CNN(nn.Module):
    """Stages of two 3 × 3 convolutions with BatchNorm and ReLU, then a mean over all positions.

    The resolution halves after each stage but the last, as long as both sides are larger than 4 pixels.
    Channels double from stage to stage, up to 8 times `width`.

    Args:
        channels: channels of an image: 1 gray, 3 RGB.
        size: height and width of an image, in pixels.
        width: channels of the first stage.
        n_stages: stages, ≥ 1.
        n_out: outputs.
        dropout: part of the last features set to 0 in training.
        first: applied to the raw images, for example `Standardize`.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        width: int,
        n_stages: int,
        n_out: int,
        dropout: float = 0.0,
        first: nn.Module | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [first] if first is not None else []
        n_in, side = channels, min(size)
        for stage in range(n_stages):
            n = width * min(2**stage, 8)
            layers += [*_convolution(n_in, n), *_convolution(n, n)]
            if side > 4 and stage < n_stages - 1:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            n_in = n
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(n_in, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] -> [batch, n_out]."""
        # A mean instead of AdaptiveAvgPool2d, whose gradient on CUDA is not deterministic.
        return self.head(torch.mean(self.features(x), dim=(2, 3)))  # type: ignore[no-any-return]


def _convolution(n_in: int, n_out: int) -> list[nn.Module]:
    # BatchNorm's own offset makes a bias useless.
    return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
